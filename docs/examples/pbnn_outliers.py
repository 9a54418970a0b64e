"""Values that are simply wrong now and then: a Student-t likelihood does not follow them."""

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
X = torch.linspace(0, 1, 40, dtype=torch.float64).unsqueeze(-1)
truth = torch.sin(5 * X)
Y = truth + 0.05 * torch.randn(40, 1, generator=generator, dtype=torch.float64)
Y[[7, 18, 29]] += torch.tensor([[2.5], [-2.5], [2.5]], dtype=torch.float64)

svi = {"kind": "svi", "steps": 600, "lr": 0.1}
for likelihood in ("gaussian", {"kind": "student_t", "df": 3}):
    model = PBNN(X, Y, seed=1, network={"hidden": [16, 8]}, bayesian="last", likelihood=likelihood, inference=svi)
    error = (model.posterior(X).mean - truth).square().mean().sqrt()
    print(f"{model.likelihood_model.kind}: error {error:.2f}, noise {model.noise_variance.sqrt().item():.2f}")
