"""One more point without fitting anew; imagined values; a model on disk."""

import time

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
X = torch.rand(41, 2, generator=generator, dtype=torch.float64)
Y = torch.where(X[:, :1] + X[:, 1:] > 1, 2.0, 0.7) + 0.05 * torch.randn(41, 1, generator=generator, dtype=torch.float64)
test = torch.rand(200, 2, generator=generator, dtype=torch.float64)

model = PBNN(X[:40], Y[:40], seed=1)
began = time.perf_counter()
updated = model.update(X[40:], Y[40:])  # trunks kept; the chosen layers and the scales follow
print(f"updated in {1e3 * (time.perf_counter() - began):.0f} ms")

# To see what a value would change, the scales stay as well: exact for each member, in batches, with gradients.
imagined = model.condition_on_observations(X[40:], Y[40:])
apart = (imagined.posterior(test).mean - updated.posterior(test).mean).abs().max()
print(f"imagined and learnt, largest difference: {apart:.3f}")

updated.save("phase_model")  # phase_model.safetensors and phase_model.json
again = PBNN.load("phase_model")
print("bit by bit the same:", torch.equal(again.posterior(test).mean, updated.posterior(test).mean))
