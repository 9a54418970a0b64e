"""One posterior by several engines: what each says, and whether it can be trusted."""

import torch

from surrogates.pbnn import PBNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
X = torch.linspace(0, 1, 12, dtype=torch.float64).unsqueeze(-1)
Y = torch.sin(5 * X) + 0.1 * torch.randn(12, 1, generator=generator, dtype=torch.float64)
where = torch.tensor([[0.46]], dtype=torch.float64)

engines = {
    "exact": "conjugate",
    "variational": {"kind": "svi", "guide": "multivariate", "steps": 600, "lr": 0.1},
    "sampled": "hmc",
    "sampled too shortly": {"kind": "hmc", "chains": 4, "warmup": 20, "draws": 10},
}
told = ("r_hat", "ess", "divergences", "elbo_slope", "elbo_slope_error")
for name, engine in engines.items():
    model = PBNN(X, Y, seed=1, network={"hidden": [8, 4]}, members=1, bayesian="last", inference=engine)
    belief, found = model.posterior(where), model.diagnostics()
    print(f"{name} ({found['engine']}): {belief.mean.item():.2f} ± {belief.variance.sqrt().item():.2f},", end=" ")
    print("converged" if model.converged else "NOT converged", {k: round(found[k], 3) for k in told if k in found})
