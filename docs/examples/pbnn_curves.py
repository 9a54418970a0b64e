"""From whole curves to a number: a convolutional network over curves with error bars."""

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
q = torch.logspace(-2, -0.7, 32, dtype=torch.float64)  # 1/Å, the same grid for all curves
radius = 20 + 40 * torch.rand(60, 1, generator=generator, dtype=torch.float64)  # Å
curve = torch.exp(-((q * radius) ** 2) / 5) + 0.01
sigma = 0.02 * curve
curve = curve + sigma * torch.randn(60, 32, generator=generator, dtype=torch.float64)

# Two channels, one after the other, each brought to the unit cube: log I, and its error bars.
log_i = (curve.clamp_min(1e-3).log10() + 3) / 3
X = torch.cat([log_i, (sigma / curve).clamp(0, 1)], -1)

network = {"kind": "convnet", "channels_in": 2, "channels": [4, 8], "hidden": [16], "activation": "relu"}
model = PBNN(X[:40], radius[:40], seed=1, network=network, members=4, bayesian=["dense0", "output"])
belief = model.posterior(X[40:])
off = (belief.mean - radius[40:]).abs()
print(f"layers {model.layers} of {model.networks.depth}, engine {model.diagnostics()['engine']}")
print(f"radius off by {off.mean():.1f} Å on average, error bar {belief.variance.sqrt().mean():.1f} Å")
