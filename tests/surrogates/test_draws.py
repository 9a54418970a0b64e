"""A posterior that is a set of draws: moments, batches, gradients, chunks, state."""

import pytest
import torch

from surrogates.inference import draws as module
from surrogates.inference.base import Problem
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.inference.draws import DrawsPosterior
from surrogates.likelihoods import make_likelihood
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.networks.convnet import ConvNet1d
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import read_state, write_state

G, CHAINS, DRAWS = 2, 2, 3
GRID = LogGrid(0.1, 1.0, 5)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(kind="gaussian", layers=(1, 2), chains=CHAINS, draws=DRAWS, architecture=None):
    likelihood = make_likelihood(kind)
    architecture = MLP(2, likelihood.heads, hidden=(5, 4)) if architecture is None else architecture
    networks = NetworkEnsemble.draw(
        architecture, G, prior=WeightPrior(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    parameters = {
        i: {name: normal(G, chains, draws, *shape, seed=i) for name, shape in architecture.layers[i].shapes.items()}
        for i in layers
    }
    report = {"r_hat": 1.01, "ess": 3.0}
    scales = 0.1 + rand(G, chains, draws, seed=5), 0.5 + rand(G, chains, draws, seed=6)
    return DrawsPosterior(networks, layers, likelihood, parameters, *scales, report, True)


def functions(posterior, X):
    """Heads ``(G, chains * draws, n, heads)``, one network and one draw at a time."""
    networks = posterior.networks
    found = []
    for g in range(G):
        for s in range(posterior.noise_sd[0].numel()):
            own = []
            for i, layer in enumerate(networks.parameters):
                if i in posterior.layers:
                    own.append({k: t[g].flatten(0, 1)[s][None] for k, t in posterior.parameters[i].items()})
                else:
                    own.append({k: t[g : g + 1] for k, t in layer.items()})
            found.append(NetworkEnsemble(networks.architecture, tuple(own))(X)[0])
    return torch.stack(found).unflatten(0, (G, -1))


@pytest.mark.parametrize("layers", [(2,), (0,), (0, 2), (0, 1, 2)])
def test_predictions_are_the_networks_one_by_one(layers):
    posterior, X = make(layers=layers), rand(7, 2)
    found = posterior.predictions(X)
    assert found.shape == (G, CHAINS, DRAWS, 7, 1)
    torch.testing.assert_close(found.flatten(1, 2), functions(posterior, X))
    assert posterior.predictions(X[:0]).shape == (G, CHAINS, DRAWS, 0, 1)


@pytest.mark.parametrize("kind", ["gaussian", "student_t", "heteroscedastic"])
def test_moments_against_explicit_loops(kind):
    posterior, X, Z = make(kind), rand(4, 2), rand(3, 2, seed=1)
    belief, other = posterior.evaluate(X), posterior.evaluate(Z)
    heads = functions(posterior, torch.cat([X, Z]))
    sd = posterior.noise_sd.flatten(1)
    for g in range(G):
        f = heads[g, :, :, 0]
        torch.testing.assert_close(belief.mean[g], f[:, :4].mean(0))
        joint = torch.cov(f.T, correction=0)
        torch.testing.assert_close(belief.covariance(other)[g], joint[:4, 4:])
        torch.testing.assert_close(belief.covariance(belief)[g], joint[:4, :4])
        torch.testing.assert_close(belief.variance()[g], joint.diagonal()[:4])
        noise = torch.zeros(4, dtype=torch.float64)
        for s in range(CHAINS * DRAWS):
            own = sd[g, s].square().expand(4)
            if kind == "student_t":
                own = own * 4 / 2
            elif kind == "heteroscedastic":
                own = own * torch.exp(2 * heads[g, s, :4, 1])
            noise += own / (CHAINS * DRAWS)
        torch.testing.assert_close(belief.noise[g], noise)
    torch.testing.assert_close(posterior.noise_variance, sd.square().mean(1))
    torch.testing.assert_close(posterior.summary["noise_sd"], sd.square().mean(1).sqrt())
    torch.testing.assert_close(posterior.summary["prior_sd"], posterior.prior_sd.flatten(1).square().mean(1).sqrt())
    assert "log_evidence" not in posterior.summary


def test_batches_are_their_points():
    posterior, X, Z = make(), rand(3, 1, 4, 2), rand(2, 5, 2, seed=1)
    one, two = posterior.evaluate(X), posterior.evaluate(Z)
    assert one.mean.shape == one.variance().shape == one.noise.shape == (G, 3, 1, 4)
    cross = one.covariance(two)
    assert cross.shape == (G, 3, 2, 4, 5)
    torch.testing.assert_close(two.covariance(one), cross.mT)
    for i in range(3):
        for j in range(2):
            left, right = posterior.evaluate(X[i, 0]), posterior.evaluate(Z[j])
            torch.testing.assert_close(cross[:, i, j], left.covariance(right))
            torch.testing.assert_close(one.mean[:, i, 0], left.mean)
            torch.testing.assert_close(two.variance()[:, j], right.variance())


def test_joint_covariance_has_the_rank_of_the_draws():
    posterior = make(layers=(0, 1, 2), chains=1, draws=4)
    belief = posterior.evaluate(rand(12, 2))
    values = torch.linalg.eigvalsh(belief.covariance(belief))
    # Four draws less their mean.
    assert (values[:, :-3].abs() < 1e-12 * values[:, -1:]).all()
    assert (values[:, -3:] > 1e-9 * values[:, -1:]).all()


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_pieces_are_the_whole_and_no_larger_than_they_may_be(kind, monkeypatch):
    if kind == "mlp":
        posterior, X, widest = make("heteroscedastic"), rand(23, 2), 5
    else:
        # Eight positions of four channels.
        architecture = ConvNet1d(8, channels=(4,), kernel=3, pool=1, hidden=(6,))
        posterior, X, widest = make(layers=(0, 1), architecture=architecture), rand(23, 8), 32
    whole = posterior.predictions(X)
    sizes = []
    before = NetworkEnsemble.before

    def counted(self, points, layer):
        sizes.append(len(points))
        return before(self, points, layer)

    monkeypatch.setattr(NetworkEnsemble, "before", counted)
    for limit in (5 * widest * G * CHAINS * DRAWS, 1):  # five points; less than one, which is one at a time
        sizes.clear()
        monkeypatch.setattr(module, "_CHUNK", limit)
        torch.testing.assert_close(posterior.predictions(X), whole, rtol=1e-12, atol=1e-14)
        assert max(sizes) == (5 if limit > 1 else 1)


def test_gradients_are_finite_differences(monkeypatch):
    posterior = make("heteroscedastic", layers=(0, 2))

    def sums(X):
        belief = posterior.evaluate(X)
        return belief.mean.sum() + belief.covariance(belief).square().sum() + belief.noise.log().sum()

    X = rand(2, 3, 2).requires_grad_()
    torch.autograd.gradcheck(sums, X)
    monkeypatch.setattr(module, "_CHUNK", 1)
    torch.autograd.gradcheck(sums, X)


@pytest.mark.parametrize("kind", ["gaussian", "heteroscedastic"])
def test_state_restores_bit_by_bit(kind, tmp_path):
    posterior = make(kind)
    problem = Problem(
        posterior.networks,
        posterior.layers,
        rand(3, 2),
        rand(G, 3),
        None,
        GRID,
        GRID,
        rand(3, 2),
        likelihood=posterior.likelihood,
    )
    write_state(tmp_path / "draws", posterior.state(), {})
    again = DrawsPosterior.restore(problem, read_state(tmp_path / "draws")[0])
    X = rand(2, 6, 2, seed=4)
    one, two = posterior.evaluate(X), again.evaluate(X)
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.variance(), two.variance())
    assert torch.equal(one.noise, two.noise)
    assert torch.equal(one.covariance(one), two.covariance(two))
    assert again.report == posterior.report
    assert again.converged is True


def test_conditioning_keeps_two_moments():
    """The Gaussian step on the draws' covariance, against the formula with explicit inverses."""
    posterior, X, Z = make(draws=20), rand(3, 2), rand(4, 2, seed=1)
    Y, variances = normal(G, 3, seed=2), 0.1 * rand(G, 3, seed=3)
    after = ConditionedPosterior(posterior, X, Y, variances).evaluate(Z)
    given, new = posterior.evaluate(X), posterior.evaluate(Z)
    for g in range(G):
        K = given.covariance(given)[g] + torch.diag(given.noise[g] + variances[g])
        cross = new.covariance(given)[g]
        torch.testing.assert_close(after.mean[g], new.mean[g] + cross @ torch.linalg.inv(K) @ (Y - given.mean)[g])
        expected = new.covariance(new)[g] - cross @ torch.linalg.inv(K) @ cross.T
        torch.testing.assert_close(after.covariance(after)[g], expected)


def test_beliefs_of_different_posteriors_do_not_mix():
    X = rand(2, 2)
    with pytest.raises(TypeError, match="same posterior"):
        make(draws=3).evaluate(X).covariance(make(draws=4).evaluate(X))
