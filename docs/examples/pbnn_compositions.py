"""A property of compositions at a temperature: a transformer over the elements that are there."""

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
elements = ["Li", "Na", "K", "O", "S", "Se"]
# One alkali metal and one chalcogen each; amounts need not sum to 1. The last column is a temperature in the unit cube.
amounts = torch.zeros(60, 6, dtype=torch.float64)
metal = torch.randint(3, (60, 1), generator=generator)
chalcogen = 3 + torch.randint(3, (60, 1), generator=generator)
share = 0.2 + 0.6 * torch.rand(60, 1, generator=generator, dtype=torch.float64)
amounts.scatter_(1, metal, share).scatter_(1, chalcogen, 1 - share)
temperature = torch.rand(60, 1, generator=generator, dtype=torch.float64)
X = torch.cat([amounts, temperature], -1)
Y = share * (1 + metal) + 0.5 * temperature * (chalcogen - 3)

network = {"kind": "transformer", "elements": elements, "extra": 1, "width": 16, "heads": 2, "blocks": 1}
model = PBNN(X[:45], Y[:45], seed=1, network=network, members=2, bayesian=["block0.feedforward", "output"])
print(", ".join(layer.name for layer in model.networks.architecture.layers))
error = (model.posterior(X[45:]).mean - Y[45:]).square().mean().sqrt()
print(f"error {error:.2f}, spread of the values {Y.std():.2f}")
