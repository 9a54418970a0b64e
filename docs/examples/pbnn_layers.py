"""Which layers are Bayesian: by name, by index, or all."""

import torch

from surrogates.networks import make_architecture
from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
X = torch.rand(30, 2, generator=generator, dtype=torch.float64)  # in the unit cube
Y = torch.where(X[:, :1] < 0.5 + 0.2 * X[:, 1:], 2.0, 0.7)  # a border
Y = Y + 0.05 * torch.randn(30, 1, generator=generator, dtype=torch.float64)

network = {"kind": "mlp", "hidden": [32, 16], "activation": "tanh"}
print("layers:", ", ".join(layer.name for layer in make_architecture(network, n_inputs=2, n_outputs=1).layers))
for bayesian in ("all", "first", ["dense1", "output"], -1):
    model = PBNN(X, Y, seed=1, network=network, bayesian=bayesian)
    middle = model.posterior(torch.tensor([[0.55, 0.2]], dtype=torch.float64))
    print(f"{bayesian!s:22}{model.diagnostics()['engine']:12}", end="")
    print(f"{middle.mean.item():.2f} ± {middle.variance.sqrt().item():.2f}")
