"""A prior from theory, and a wrong one that is found out."""

import torch

from surrogates.pbnn import PBNN
from surrogates.pretraining import pretrain

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
low, high = [300.0, -20.0], [700.0, 20.0]  # °C, mm
space = torch.rand(512, 2, generator=generator, dtype=torch.float64)


def theory(cube):
    """A smooth transition, at a temperature that depends on the position."""
    return torch.tanh(8 * (cube[:, :1] - 0.3 - 0.4 * cube[:, 1:]))


physical = torch.tensor(low) + space * (torch.tensor(high) - torch.tensor(low))
options = {"input_names": ["temperature", "x"], "low": low, "high": high, "output_names": ["order"], "seed": 1}
right = pretrain(physical, theory(space), members=4, epochs=100, **options)
wrong = pretrain(physical, theory(space.flip(1)), members=4, epochs=100, **options)
right.save("order_theory")  # order_theory.safetensors, and the card order_theory.json
print("on rows that it was not trained on:", {k: round(v, 2) for k, v in right.card["metrics"]["order"].items()})

X = space[:12]
Y = 0.9 * theory(X) + 0.1 + 0.05 * torch.randn(12, 1, generator=generator, dtype=torch.float64)
test = space[100:]
for name, prior in {"none": None, "right": right, "wrong": wrong}.items():
    prior = None if prior is None else prior.fitted_to(["temperature", "x"], low, high)
    model = PBNN(X, Y, seed=1, members=4, prior=prior)
    error = (model.posterior(test).mean - 0.9 * theory(test) - 0.1).square().mean().sqrt()
    weight = model.diagnostics().get("weight_theory", 0.0)
    print(f"theory {name}: weight {weight:.2f}, error {error:.2f}")
