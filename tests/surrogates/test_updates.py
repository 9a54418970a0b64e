"""Updates of the closed forms against inference from all data: equal to rounding, and by the short way."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal

from surrogates.errors import SurrogateError
from surrogates.inference import growth
from surrogates.inference.base import Problem
from surrogates.inference.border import Further, border
from surrogates.inference.choice import make_engine
from surrogates.inference.scales import decompose, integrate, noise_levels
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.networks.convnet import ConvNet1d
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import read_state, write_state

PRIOR, NOISE = LogGrid(0.1, 10.0, 9), LogGrid(0.05, 1.0, 8, median=0.2)
CLOSED = [("linearised", (0, 1, 2)), ("linearised", (0, 2)), ("conjugate", (2,))]
closed = pytest.mark.parametrize(("engine", "layers"), CLOSED)
measured = pytest.mark.parametrize("measured", [False, True], ids=["", "measured"])


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(seed=5, architecture=None, members=3):
    return NetworkEnsemble.draw(
        MLP(2, hidden=(7, 5)) if architecture is None else architecture,
        members,
        prior=WeightPrior(),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )


def problem(layers, n, *, measured=False, networks=None, centre=None, noise=NOISE):
    """Data of the first points are the same whatever `n`."""
    X = rand(99, 2)[:n]
    spread = torch.linspace(0.5, 2, 3, dtype=torch.float64)[:, None]
    targets = spread * torch.sin(5 * X[:, 0]) + 0.3 * rand(99, 3, seed=3).T[:, :n]
    variances = 0.02 + 0.2 * rand(99, 3, seed=4).T[:, :n] if measured else None
    return Problem(
        networks=draw() if networks is None else networks,
        layers=layers,
        X=X,
        targets=targets,
        variances=variances,
        prior_sd=PRIOR,
        noise_sd=noise,
        reference=rand(99, 2)[:30],
        centre=centre,
    )


def cut(whole, n):
    variances = None if whole.variances is None else whole.variances[:, :n]
    return replace(whole, X=whole.X[:n], targets=whole.targets[:, :n], variances=variances)


def at_levels(whole, levels):
    """Inference from all data at given noise levels, of which the decomposition alone makes use."""
    from surrogates.inference import linearised

    return linearised._posterior(whole, linearised._decomposed(whole, levels))


def assert_same(one, two, *, exactly=False):
    """Bit by bit, or to rounding.

    Covariances are differences of numbers up to a million times larger, which shows: with the points in another order
    inference from all data itself differs by as much.
    """
    close = {"rtol": 0.0, "atol": 0.0} if exactly else {"rtol": 1e-9, "atol": 1e-10}
    less_close = close if exactly else {"rtol": 1e-7, "atol": 5e-8}
    X = rand(2, 6, 2, seed=8)
    a, b = one.evaluate(X), two.evaluate(X)
    torch.testing.assert_close(a.mean, b.mean, **close)
    torch.testing.assert_close(a.covariance(a), b.covariance(b), **less_close)
    torch.testing.assert_close(a.variance(), b.variance(), **less_close)
    torch.testing.assert_close(a.noise, b.noise, **close)
    torch.testing.assert_close(one.noise_variance, two.noise_variance, **close)
    for name, value in one.summary.items():
        torch.testing.assert_close(value, two.summary[name], **close)


@closed
@measured
@pytest.mark.parametrize("k", [0, 1, 3])
def test_an_update_is_inference_from_all_data(engine, layers, measured, k, monkeypatch):
    whole = problem(layers, 75 + k, measured=measured)
    engine = make_engine(engine)
    base = engine.infer(cut(whole, 75))
    full = engine.infer(whole) if engine.name == "conjugate" or not measured else at_levels(whole, base.levels)
    monkeypatch.delattr(torch.linalg, "eigh")  # the short way needs none
    updated = engine.update(base, whole)
    assert_same(updated, full)
    assert int(updated.decomposed_size) == 75


def dense_mixture(whole, levels, X):
    """One dense Gaussian process a node, all data: mean and covariance of the mixture, and its log evidence."""
    tangent, new = whole.networks.tangent(whole.X, whole.layers), whole.networks.tangent(X, whole.layers)
    unit = 1 / whole.networks.tangent(whole.reference, whole.layers).diagonal().mean(-1)
    of_noise = whole.noise_sd.log_density(levels.sqrt()).log_softmax(0)
    means, covariances, evidences = [], [], []
    for s in whole.prior_sd.nodes(X):
        for v, log_prior in zip(levels, of_noise, strict=True):
            factor = (s**2 * unit)[:, None, None]
            noise = v + (torch.zeros_like(whole.targets) if whole.variances is None else whole.variances)
            total = factor * tangent.kernel(tangent) + torch.diag_embed(noise)
            cross = factor * new.kernel(tangent)
            solved = torch.linalg.solve(total, cross.mT)
            means.append((solved.mT @ whole.targets.unsqueeze(-1)).squeeze(-1))
            covariances.append(factor * new.kernel(new) - cross @ solved)
            evidences.append(MultivariateNormal(torch.zeros_like(whole.targets), total).log_prob(whole.targets))
            evidences[-1] = evidences[-1] + log_prior - math.log(whole.prior_sd.size)
    evidence, mean, covariance = torch.stack(evidences), torch.stack(means), torch.stack(covariances)
    weight = evidence.softmax(0)[..., None]
    centre = (weight * mean).sum(0)
    away = mean - centre
    mixed = (weight[..., None] * (covariance + away.unsqueeze(-1) * away.unsqueeze(-2))).sum(0)
    return centre, mixed, evidence.logsumexp(0)


@closed
@measured
def test_an_update_is_the_dense_mixture_over_the_grid(engine, layers, measured):
    whole = problem(layers, 52, measured=measured)
    engine = make_engine(engine)
    base = engine.infer(cut(whole, 50))
    updated = engine.update(base, whole)
    assert int(updated.decomposed_size) == 50
    levels = NOISE.nodes(whole.X).square() if engine.name == "conjugate" else base.levels
    X = rand(5, 2, seed=8)
    mean, covariance, evidence = dense_mixture(whole, levels, X)
    belief = updated.evaluate(X)
    torch.testing.assert_close(belief.mean, mean)
    torch.testing.assert_close(belief.covariance(belief), covariance)
    torch.testing.assert_close(updated.summary["log_evidence"], evidence)


@closed
@measured
def test_updates_in_steps_are_one_update_bit_by_bit(engine, layers, measured):
    whole = problem(layers, 78, measured=measured)
    engine = make_engine(engine)
    base = engine.infer(cut(whole, 75))
    before = {name: t.clone() for name, t in base.state().items()}
    stepwise = base
    for n in (76, 77, 78):
        stepwise = engine.update(stepwise, cut(whole, n))
    assert_same(stepwise, engine.update(base, whole), exactly=True)
    assert all(torch.equal(t, before[name]) for name, t in base.state().items())


@closed
@measured
def test_a_restored_posterior_predicts_and_updates_the_same(engine, layers, measured, tmp_path):
    whole = problem(layers, 78, measured=measured)
    engine = make_engine(engine)
    base = engine.infer(cut(whole, 75))
    for posterior, n in ((base, 75), (engine.update(base, cut(whole, 77)), 77)):
        write_state(tmp_path / "posterior", posterior.state(), {})
        restored = engine.restore(cut(whole, n), read_state(tmp_path / "posterior")[0])
        assert_same(restored, posterior, exactly=True)
        assert_same(engine.update(restored, whole), engine.update(posterior, whole))


@closed
def test_too_many_points_are_inferred_anew(engine, layers):
    whole = problem(layers, 75 + growth.MOST + 1)
    engine = make_engine(engine)
    updated = engine.update(engine.infer(cut(whole, 75)), whole)
    assert int(updated.decomposed_size) == len(whole.X)
    assert_same(updated, engine.infer(whole), exactly=True)


@closed
@measured
def test_what_is_no_extension_is_inferred_anew(engine, layers, measured):
    whole = problem(layers, 77, measured=measured)
    engine = make_engine(engine)
    base = engine.infer(cut(whole, 75))
    changed = [
        replace(whole, targets=whole.targets + 1e-6),
        replace(whole, X=whole.X.flip(0)),
        replace(whole, networks=draw(6)),
        replace(whole, noise_sd=LogGrid(0.1, 1.0, 5)),
        cut(whole, 60),
    ]
    if measured:
        changed.append(replace(whole, variances=2 * whole.variances))
    for other in changed:
        assert_same(engine.update(base, other), engine.infer(other), exactly=True)


@closed
def test_an_update_with_a_centre(engine, layers):
    networks = draw()
    centre = replace(networks, parameters=(*networks.parameters[:2], draw(6).parameters[2]))
    whole = problem(layers, 77, networks=networks, centre=centre)
    engine = make_engine(engine)
    updated = engine.update(engine.infer(cut(whole, 75)), whole)
    assert int(updated.decomposed_size) == 75
    assert_same(updated, engine.infer(whole))


def test_layers_that_are_not_dense():
    """Their tangents are Jacobians; only those of the further points are computed."""
    networks = draw(architecture=ConvNet1d(8, channels=(3,), kernel=3, hidden=(4,)))
    whole = replace(problem(tuple(range(networks.depth)), 52, networks=networks), X=rand(52, 8), reference=rand(9, 8))
    engine = make_engine("linearised")
    base = engine.infer(cut(whole, 50))
    updated, full = engine.update(base, whole), engine.infer(whole)
    assert int(updated.decomposed_size) == 50
    X = rand(4, 8, seed=8)
    a, b = updated.evaluate(X), full.evaluate(X)
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(a.covariance(a), b.covariance(b), rtol=1e-7, atol=5e-8)
    restored = engine.restore(whole, updated.state()).evaluate(X)
    assert torch.equal(restored.mean, a.mean)
    assert torch.equal(restored.variance(), a.variance())


@pytest.mark.parametrize("engine", ["linearised", "conjugate"])
def test_where_rounding_wins_all_is_inferred_anew(engine):
    """Copies of a point measured without noise to speak of leave nothing that a border could be divided by."""
    whole = problem((2,), 79, noise=LogGrid.fixed(1e-9))
    whole.X[75:] = whole.X[0]
    engine = make_engine(engine)
    updated = engine.update(engine.infer(cut(whole, 75)), whole)
    if engine.name == "linearised":
        assert int(updated.decomposed_size) == 79
    assert torch.isfinite(updated.evaluate(rand(4, 2)).mean).all()


def test_a_border_that_is_not_positive_definite_says_so():
    K = torch.ones(1, 3, 3, dtype=torch.float64)
    y, levels = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([1e-2], dtype=torch.float64)
    parts = decompose(K, y, None, PRIOR, LogGrid.fixed(0.1), levels)
    wrong = Further(torch.full((3, 1), 2.0).double(), torch.ones(1, 1).double(), torch.zeros(1).double(), None)
    with pytest.raises(SurrogateError, match="not positive definite"):
        border(parts.nodes, parts.networks[0], -parts.nodes.prior, wrong)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    k=st.integers(0, 6),
    rank=st.integers(1, 40),
    measured=st.booleans(),
    outlier=st.sampled_from([0.0, 20.0]),
    seed=st.integers(0, 1000),
)
def test_moments_of_bordered_matrices(n, k, rank, measured, outlier, seed):
    """Whatever the shape, the rank and how surprising the further points are."""
    generator = torch.Generator().manual_seed(seed)
    F = torch.randn(2, n + k, rank, generator=generator, dtype=torch.float64) / math.sqrt(rank)
    K = F @ F.mT
    y = torch.randn(2, n + k, generator=generator, dtype=torch.float64)
    y[:, n:] += outlier
    variances = 0.3 * torch.rand(2, n + k, generator=generator, dtype=torch.float64) if measured else None

    def up_to(t, stop):
        return None if t is None else t[:, :stop]

    levels = noise_levels(K[:, :n, :n], y[:, :n], up_to(variances, n), PRIOR, NOISE)
    parts = decompose(K[:, :n, :n], y[:, :n], up_to(variances, n), PRIOR, NOISE, levels)
    further = [
        Further(K[g, :n, n:], K[g, n:, n:], y[g, n:], None if variances is None else variances[g, n:]) for g in (0, 1)
    ]
    found, whole = integrate(parts, further), integrate(decompose(K, y, variances, PRIOR, NOISE, levels))
    for name in ("dual", "reduction", "prior_variance", "noise_variance", "log_evidence"):
        a, b = getattr(found, name), getattr(whole, name)
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-8 * b.abs().max()


def test_points_that_a_border_is_worth():
    assert growth.worthwhile(200, 8, shared=True)
    assert not growth.worthwhile(200, 9, shared=True)
    assert growth.worthwhile(200, 16, shared=False)
    assert not growth.worthwhile(2000, 17, shared=False)
