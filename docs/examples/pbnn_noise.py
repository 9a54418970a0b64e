"""Noise that varies over the space: a second head of the network learns its logarithm."""

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
X = torch.rand(120, 1, generator=generator, dtype=torch.float64)
sd = 0.02 + 0.4 * X  # twenty times more at one end than at the other
Y = torch.sin(5 * X) + sd * torch.randn(120, 1, generator=generator, dtype=torch.float64)

model = PBNN(
    X,
    Y,
    seed=1,
    network={"hidden": [16, 8]},
    bayesian="last",
    likelihood="heteroscedastic",
    inference={"kind": "svi", "steps": 600, "lr": 0.1},
)
ends = torch.tensor([[0.1], [0.9]], dtype=torch.float64)
measured = model.posterior(ends, observation_noise=True).variance  # of a value that will be measured
function = model.posterior(ends).variance
for x, noise in zip(ends, (measured - function).sqrt(), strict=True):
    print(f"noise at {x.item()}: {noise.item():.2f}")
