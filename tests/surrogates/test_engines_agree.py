"""Every engine against Pyro's NUTS on the same small problem, within Monte Carlo error."""

import math
from dataclasses import dataclass, replace

import arviz
import pytest
import torch
from pyro.poutine import condition, trace
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.choice import make_engine
from surrogates.inference.latent import noncentred
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


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", ["last layer, free scales", "all layers, known scales"])
def test_engines_agree_with_a_short_run(case):
    """Four standard errors of some 250 draws, about a quarter of the posterior's sd: coarse, but it is quick."""
    reference = check(case, NUTSEngine(chains=2, warmup=80, draws=130, jit=True), closed_form=None)
    # The standard errors must be small enough for the test to mean something.
    assert (reference.mean_error < 0.12).all()
    assert (reference.sd_error < 0.15).all()


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("case", CASES)
def test_engines_agree_with_a_long_run(case):
    """Closed forms within 1 % of the posterior's sd, samplers within Monte Carlo error."""
    known = scales_known(case)
    engine = NUTSEngine(chains=4, warmup=500, draws=12_000 if known else 8000, target_accept=0.9, jit=True)
    reference = check(case, engine, closed_form=0.01 if known else 0.03)
    assert (reference.mean_error < 0.02).all()


def scales_known(case):
    return CASES[case][1] is FIXED


def latent_of(p, target, q):
    """Vectors of the vectorised sampler as Pyro's latent variables, of network ``c // 3`` the c-th."""
    drawn = target.draw(q.unsqueeze(0), torch.Generator().manual_seed(0))
    found = []
    for c in range(len(q)):
        g, chain = divmod(c, 3)
        w = drawn.prior_sd[g, chain, 0] * prior_unit(p)[g].sqrt()
        found.append(
            {
                f"{site}_decentered": (drawn.parameters[i][name][g, chain, 0] - p.centre.parameters[i][name][g]) / w
                for site, i, name in sites(p)
            }
        )
    return found


def pyros_density(p, g, latent, u):
    """Pyro's log density of latent variables and of `u (2,)`, whose normal distribution functions place the scales."""
    scales = {}
    for name, grid, place in zip(
        ("prior_sd", "noise_sd"), (p.prior_sd, p.noise_sd), torch.special.ndtr(u), strict=True
    ):
        low, high = math.log(grid.low), math.log(grid.high)
        scales[f"log_{name}"] = low + (high - low) * place
    found = trace(condition(noncentred(p, problem_model(p, g)), data=latent | scales)).get_trace()
    # A place that is uniform between the ends is a standard normal number before.
    return found.log_prob_sum() - 0.5 * u.square().sum()


DENSITIES = [
    pytest.param(likelihood, measured, scales, id=f"{likelihood.kind}-{measured}-{name}")
    for likelihood in (Gaussian(), StudentT(), Heteroscedastic(), Categorical(3))
    for measured in (False, True)[: 1 + likelihood.has_noise]
    for name, scales in (("known", FIXED), ("free", (FREE[0], LogGrid(0.05, 1.0, 9))))
]


@pytest.mark.parametrize(("likelihood", "measured", "scales"), DENSITIES)
def test_density_of_the_vectorised_sampler_is_pyros(likelihood, measured, scales):
    """Up to a constant; with its gradient."""
    p = problem((0, 1), scales, likelihood, members=2, measured=measured, centre=True)
    target = Target(p, 3, torch.float64, marginal=False)
    q = torch.randn(6, target.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_prob, gradient = target(q)
    constants = []
    for c, latent in enumerate(latent_of(p, target, q)):
        latent = {k: v.requires_grad_() for k, v in latent.items()}
        u = q[c, -2:].clone().requires_grad_()
        density = pyros_density(p, c // 3, latent, u)
        constants.append(log_prob[c] - density.detach())
        *slopes, of_u = torch.autograd.grad(density, [*latent.values(), u])
        theirs = torch.cat([slope.flatten() for slope in slopes])
        # The order of parameters in a vector is the target's own business: norm and sum do not depend on it.
        torch.testing.assert_close(gradient[c, :-2].norm(), theirs.norm())
        torch.testing.assert_close(gradient[c, :-2].sum(), theirs.sum())
        torch.testing.assert_close(gradient[c, -2:], of_u)
    torch.testing.assert_close(torch.stack(constants), constants[0].expand(6))


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("scales", [FIXED, (FREE[0], LogGrid(0.05, 1.0, 9))], ids=["known", "free"])
def test_density_without_the_output_layer_is_pyros_integrated(measured, scales):
    """Pyro's log density is a quadratic function of the output layer: its integral follows from two derivatives."""
    p = problem((0, 1), scales, members=2, measured=measured, centre=True)
    target = Target(p, 3, torch.float64)
    q = torch.randn(6, target.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_prob, _ = target(q)
    constants = []
    for c, latent in enumerate(latent_of(p, target, q)):

        def density(z, c=c, latent=latent):
            output = {"output.weight_decentered": z[:3].unsqueeze(1), "output.bias_decentered": z[3:]}
            return pyros_density(p, c // 3, latent | output, q[c, -2:])

        z = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(density(z), z)
        curvature = -torch.autograd.functional.hessian(density, z)
        peak = density(z) + 0.5 * slope @ torch.linalg.solve(curvature, slope)
        constants.append((log_prob[c] - (peak - 0.5 * torch.logdet(curvature))).detach())
    torch.testing.assert_close(torch.stack(constants), constants[0].expand(6))


def test_a_wrong_posterior_is_found_out():
    """The comparison has teeth: a prior 30 % narrower is told apart by the short run's errors."""
    layers, scales, _ = CASES["last layer, known scales"]
    p = problem(layers, scales)
    reference = Moments.of(NUTSEngine(chains=2, warmup=60, draws=150, jit=True).infer(p))
    wrong = Moments.of(make_engine("conjugate").infer(replace(p, prior_sd=LogGrid.fixed(0.7 * 0.8))))
    found = [
        (away > 4 * error).any()
        for away, error in zip(wrong.away_from(reference), wrong.errors_with(reference), strict=True)
    ]
    assert any(found)
