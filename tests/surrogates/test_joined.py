"""Several posteriors in one: parts side by side, output-major, before and after conditioning."""

import math

import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.choice import make_engine
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.inference.draws import DrawsPosterior
from surrogates.inference.joined import JoinedPosterior, join
from surrogates.inference.stationary import Matern
from surrogates.likelihoods import Gaussian
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior

D = torch.float64
MEMBERS = (3, 1, 2)
"""Per output: networks, Matérn kernels, draws."""


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def networks(members, seed):
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(MLP(2, hidden=(5, 4)), members, prior=WeightPrior(), generator=generator, dtype=D)


def parts(outputs):
    X, Y = rand(8, 2), rand(outputs, 8, seed=1)

    def problem(members, kernel=None):
        grids = LogGrid(0.1, 10.0, 9), LogGrid(0.05, 1.0, 8)
        own = networks(outputs * members, members)
        return Problem(own, (0, 1, 2), X, Y.repeat_interleave(members, 0), None, *grids, X, kernel=kernel)

    one = make_engine("linearised").infer(problem(MEMBERS[0]))
    two = make_engine("linearised").infer(problem(MEMBERS[1], Matern(0.2 + rand(outputs, 2, seed=2))))
    G = outputs * MEMBERS[2]
    drawn = {2: {"weight": rand(G, 2, 9, 4, 1, seed=3), "bias": rand(G, 2, 9, 1, seed=4)}}
    scales = rand(G, 2, 9, seed=5), rand(G, 2, 9, seed=6)
    three = DrawsPosterior(networks(G, 9), (2,), Gaussian(), drawn, *scales, {"r_hat": 1.2, "ess": 50.0}, False)
    return [one, two, three]


def beside(tensors, outputs):
    """Output by output, each part's members one by one: an independent way to write `join`."""
    rows = []
    for i in range(outputs):
        for t, members in zip(tensors, MEMBERS, strict=True):
            rows += [t[i * members + j] for j in range(members)]
    return torch.stack(rows)


outputs = pytest.mark.parametrize("outputs", [1, 2])


def test_join_is_output_major():
    a, b = torch.arange(4).view(4, 1), torch.arange(10, 12).view(2, 1)
    assert join([a, b], 2).flatten().tolist() == [0, 1, 10, 2, 3, 11]
    assert join([a, b], 1).flatten().tolist() == [0, 1, 2, 3, 10, 11]


@outputs
def test_moments_are_the_parts_side_by_side(outputs):
    own = parts(outputs)
    joined = JoinedPosterior(own, outputs)
    X, Z = rand(2, 3, 2, seed=7), rand(4, 2, seed=8)
    belief, other = joined.evaluate(X), joined.evaluate(Z)
    each, others = [p.evaluate(X) for p in own], [p.evaluate(Z) for p in own]
    assert belief.mean.shape == (outputs * 6, 2, 3)
    assert torch.equal(belief.mean, beside([b.mean for b in each], outputs))
    assert torch.equal(belief.variance(), beside([b.variance() for b in each], outputs))
    assert torch.equal(belief.noise, beside([b.noise.expand(b.mean.shape) for b in each], outputs))
    pairs = list(zip(each, others, strict=True))
    found = belief.covariance(other)
    assert found.shape == (outputs * 6, 2, 3, 4)
    assert torch.equal(found, beside([a.covariance(b) for a, b in pairs], outputs))
    assert torch.equal(other.covariance(belief), beside([b.covariance(a) for a, b in pairs], outputs))
    assert torch.equal(joined.noise_variance, beside([p.noise_variance for p in own], outputs))


@outputs
def test_conditioning_is_that_of_each_part(outputs):
    own = parts(outputs)
    X, Z = rand(3, 2, 2, seed=7), rand(4, 2, seed=8)
    Y = rand(outputs, 5, 3, 2, seed=9)  # five fantasies at each of three pairs of points
    noise = 0.1 * rand(outputs, 5, 3, 2, seed=10)

    def conditioned(posterior, members):
        return ConditionedPosterior(posterior, X, Y.repeat_interleave(members, 0), noise.repeat_interleave(members, 0))

    whole = conditioned(JoinedPosterior(own, outputs), 6).evaluate(Z)
    each = [conditioned(p, members).evaluate(Z) for p, members in zip(own, MEMBERS, strict=True)]
    assert whole.mean.shape == (outputs * 6, 5, 3, 4)
    torch.testing.assert_close(whole.mean, beside([b.mean for b in each], outputs))
    torch.testing.assert_close(whole.variance(), beside([b.variance() for b in each], outputs))
    covariance = beside([b.covariance(b).expand(-1, 5, 3, 4, 4) for b in each], outputs)
    torch.testing.assert_close(whole.covariance(whole).expand_as(covariance), covariance)


@outputs
def test_gradients_reach_the_points(outputs):
    joined = JoinedPosterior(parts(outputs), outputs)

    def sums(X):
        belief = joined.evaluate(X)
        return belief.mean.sum() + belief.variance().sum() + belief.covariance(belief).square().sum()

    torch.autograd.gradcheck(sums, rand(3, 2, seed=7).requires_grad_())


@outputs
def test_summary_is_what_all_parts_know(outputs):
    own = parts(outputs)
    summary = JoinedPosterior(own, outputs).summary
    assert set(summary) == {"prior_sd", "noise_sd"}
    assert torch.equal(summary["prior_sd"], beside([p.summary["prior_sd"] for p in own], outputs))
    closed = JoinedPosterior(own[:2], outputs).summary
    assert torch.equal(closed["log_evidence"], join([p.summary["log_evidence"] for p in own[:2]], outputs))


def test_report_is_the_worst_of_the_parts():
    one, two, three = parts(1)
    better = DrawsPosterior(**{**vars(three), "report": {"r_hat": 1.01, "ess": 20.0, "acceptance": 0.9}})
    assert JoinedPosterior([one, two], 1).report == {}
    assert JoinedPosterior([one, three], 1).report == {"r_hat": 1.2, "ess": 50.0}
    for order in ([three, two, better], [better, three]):
        assert JoinedPosterior(order, 1).report == {"r_hat": 1.2, "ess": 20.0, "acceptance": 0.9}
    endless = DrawsPosterior(**{**vars(three), "report": {"r_hat": math.inf, "ess": 0.0}})
    assert JoinedPosterior([better, endless], 1).report["r_hat"] == math.inf


def test_converged_is_that_of_all_parts():
    one, two, three = parts(1)
    assert JoinedPosterior([one, two], 1).converged is True
    assert JoinedPosterior([one, three], 1).converged is False
    assert JoinedPosterior([three, one], 1).converged is False


def test_state_is_that_of_the_parts():
    own = parts(1)
    state = JoinedPosterior(own, 1).state()
    assert set(state) == {f"{i}.{name}" for i, p in enumerate(own) for name in p.state()}
    assert torch.equal(state["1.dual"], own[1].state()["dual"])


def test_beliefs_of_other_posteriors_are_refused():
    own = parts(1)
    X = rand(2, 2)
    belief = JoinedPosterior(own, 1).evaluate(X)
    for other in (JoinedPosterior(own[:2], 1).evaluate(X), own[0].evaluate(X)):
        with pytest.raises(TypeError, match="same posterior"):
            belief.covariance(other)
    with pytest.raises(SurrogateError, match="fantasies"):
        ConditionedPosterior(JoinedPosterior(own, 1), X, rand(6, 2), rand(6, 2)).state()
