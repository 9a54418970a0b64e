"""Every engine against Pyro's NUTS on the same small problem, within Monte Carlo error."""

from dataclasses import dataclass, replace

import arviz
import pytest
import torch
from pyro.infer.mcmc.util import initialize_model
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.choice import make_engine
from surrogates.inference.latent import noncentred, seeded
from surrogates.inference.nuts import NUTSEngine
from surrogates.inference.target import Target, prior_unit
from surrogates.likelihoods import Categorical, Gaussian, Heteroscedastic, StudentT
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior
from surrogates.pyro_model import problem_model, sites

FIXED = (LogGrid.fixed(0.8), LogGrid.fixed(0.3))
FREE = (LogGrid(0.05, 20.0, 200, median=1.0, log_sd=0.5), LogGrid(0.01, 3.0, 200, median=0.2, log_sd=0.5))
"""Fine grids whose ends hardly matter: what is left between them and the continuous prior is below 0.1 %."""


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(layers, scales, likelihood=None, *, members=1, measured=False, centre=False):
    likelihood = likelihood or Gaussian()
    X = rand(8, 1)

    def networks(seed):
        architecture = MLP(1, likelihood.heads, hidden=(3,))
        generator = torch.Generator().manual_seed(seed)
        return NetworkEnsemble.draw(
            architecture, members, prior=WeightPrior(), generator=generator, dtype=torch.float64
        )

    labels = isinstance(likelihood, Categorical)
    return Problem(
        networks(3),
        layers,
        X,
        (3 * rand(members, 8, seed=3)).floor() if labels else torch.sin(5 * X.T) + 0.6 * rand(members, 8, seed=3) - 0.3,
        0.05 * rand(members, 8, seed=4) if measured else None,
        *scales,
        X,
        likelihood=likelihood,
        centre=networks(4) if centre else None,
    )


POINTS = torch.linspace(-0.2, 1.2, 5, dtype=torch.float64).unsqueeze(1)
"""Between the data and beyond them."""


@dataclass
class Moments:
    """Predictive mean and sd at `POINTS`, and their standard errors in units of that sd."""

    mean: Tensor
    sd: Tensor
    mean_error: Tensor
    sd_error: Tensor

    @classmethod
    def of(cls, posterior):
        belief = posterior.evaluate(POINTS)
        sd = belief.variance()[0].sqrt()
        errors = [torch.zeros_like(sd)] * 2
        if hasattr(posterior, "predictions"):
            f = posterior.predictions(POINTS)[0, ..., 0]  # (chains, draws, k)
            away = (f - f.mean((0, 1))).numpy()
            # The error of the mean is sd / sqrt(ESS); that of the variance follows from the ESS of the squares.
            errors = []
            for draws in (away, away**2):
                ess = [arviz.ess(draws[..., i], method="mean") for i in range(len(POINTS))]
                errors.append(torch.tensor(draws.std((0, 1))) / torch.tensor(ess).sqrt())
            errors = [errors[0] / sd, errors[1] / (2 * sd.square())]
        return cls(belief.mean[0], sd, *errors)

    def away_from(self, reference):
        """Differences of mean and sd, in units of the reference's sd."""
        return (self.mean - reference.mean).abs() / reference.sd, (self.sd / reference.sd - 1).abs()

    def errors_with(self, reference):
        return [
            (a.square() + b.square()).sqrt()
            for a, b in ((self.mean_error, reference.mean_error), (self.sd_error, reference.sd_error))
        ]


SAMPLED = {"kind": "hmc"}
FULL_RANK = {"kind": "svi", "guide": "multivariate", "steps": 1000, "particles": 32, "draws": 4000}
CASES = {
    "last layer, known scales": ((1,), FIXED, ["conjugate", "linearised", SAMPLED, FULL_RANK]),
    "last layer, free scales": ((1,), FREE, ["conjugate", "linearised", SAMPLED]),
    "all layers, known scales": ((0, 1), FIXED, [SAMPLED]),
    "all layers, free scales": ((0, 1), FREE, [SAMPLED]),
}
SYSTEMATIC = {"svi": 0.05}
"""What an engine may be off beyond Monte Carlo error: the guide's optimum is found by noisy steps."""


def check(case, reference_engine, *, closed_form):
    layers, scales, engines = CASES[case]
    p = problem(layers, scales)
    found = reference_engine.infer(p)
    assert found.converged, found.report
    reference = Moments.of(found)
    for spec in engines:
        posterior = make_engine(spec).infer(p)
        assert posterior.converged, (spec, posterior.report)
        moments = Moments.of(posterior)
        for away, error in zip(moments.away_from(reference), moments.errors_with(reference), strict=True):
            allowed = 4 * error + SYSTEMATIC.get(make_engine(spec).name, 0.0)
            if closed_form is not None and isinstance(spec, str):
                allowed = torch.full_like(error, closed_form)
            assert (away < allowed).all(), (spec, away, error)
    return reference


@pytest.mark.parametrize("case", ["last layer, free scales", "all layers, known scales"])
def test_engines_agree_with_a_short_run(case):
    """Four standard errors of some 400 draws, about a fifth of the posterior's sd: coarse, but it is quick."""
    reference = check(case, NUTSEngine(chains=2, warmup=120, draws=200, jit=True), closed_form=None)
    # The standard errors must be small enough for the test to mean something.
    assert (reference.mean_error < 0.1).all()
    assert (reference.sd_error < 0.15).all()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_engines_agree_with_a_long_run(case):
    """Closed forms within 1 % of the posterior's sd, samplers within Monte Carlo error."""
    known = scales_known(case)
    engine = NUTSEngine(chains=4, warmup=500, draws=12_000 if known else 8000, target_accept=0.9, jit=True)
    reference = check(case, engine, closed_form=0.01 if known else 0.03)
    assert (reference.mean_error < 0.02).all()


def scales_known(case):
    return CASES[case][1] is FIXED


@pytest.mark.parametrize(
    "likelihood", [Gaussian(), StudentT(), Heteroscedastic(), Categorical(3)], ids=lambda x: x.kind
)
@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("scales", [FIXED, (FREE[0], LogGrid(0.05, 1.0, 9))])
def test_density_of_the_vectorised_sampler_is_pyros(likelihood, measured, scales):
    """Up to a constant, in the same unconstrained variables; with its gradient."""
    measured = measured and likelihood.has_noise
    p = problem((0, 1), scales, likelihood, members=2, measured=measured, centre=True)
    target = Target(p, 3, torch.float64)
    q = torch.randn(6, target.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_prob, gradient = target(q)
    parameters, prior_sd, _ = target.unpack(q)
    free = q[:, target.n_parameters :]
    names = [name for name, grid in zip(("log_prior_sd", "log_noise_sd"), scales, strict=True) if grid.size > 1]
    names = names if likelihood.has_noise else names[:1]
    constants = []
    for c in range(6):
        g = c // 3
        model = noncentred(p, problem_model(p, g))
        with seeded(0, p.X):
            _, potential, _, _ = initialize_model(model)
        w = prior_sd[c] * prior_unit(p)[g].sqrt()
        latent = {
            f"{site}_decentered": (parameters[i][name][c] - p.centre.parameters[i][name][g]) / w
            for site, i, name in sites(p)
        }
        latent |= dict(zip(names, free[c], strict=True))
        latent = {k: v.detach().requires_grad_() for k, v in latent.items()}
        energy = potential(latent)
        constants.append(log_prob[c] + energy.detach())
        slopes = torch.autograd.grad(energy, list(latent.values()))
        # The order of parameters in a flat vector is the target's own business: norms do not depend on it.
        n = len(latent) - len(names)
        ours, theirs = gradient[c, : target.n_parameters], torch.cat([s.flatten() for s in slopes[:n]])
        torch.testing.assert_close(ours.norm(), theirs.norm())
        torch.testing.assert_close(ours.sum(), -theirs.sum())
        for column, slope in enumerate(slopes[n:]):
            torch.testing.assert_close(gradient[c, target.n_parameters + column], -slope)
    torch.testing.assert_close(torch.stack(constants), constants[0].expand(6))


def test_a_wrong_posterior_is_found_out():
    """The comparison has teeth: a prior 30 % narrower is told apart by the short run's errors."""
    layers, scales, _ = CASES["last layer, known scales"]
    p = problem(layers, scales)
    reference = Moments.of(NUTSEngine(chains=2, warmup=100, draws=200, jit=True).infer(p))
    wrong = Moments.of(make_engine("conjugate").infer(replace(p, prior_sd=LogGrid.fixed(0.7 * 0.8))))
    found = [
        (away > 4 * error).any()
        for away, error in zip(wrong.away_from(reference), wrong.errors_with(reference), strict=True)
    ]
    assert any(found)
