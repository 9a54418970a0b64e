"""Ensembles of networks: evaluation, tangent kernels of dense layers, training."""

import math

import pytest
import torch
from torch.func import jacrev

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Categorical, Gaussian
from surrogates.networks import ACTIVATIONS, MLP, NetworkEnsemble, train_map
from surrogates.priors import WeightPrior

TRAINING = {"likelihood": Gaussian(), "variances": None, "noise_sd": 0.1, "prior": WeightPrior(), "lr": 0.03}


def draw(d=3, hidden=(5, 4), members=2, activation="tanh", seed=0, outputs=1):
    return NetworkEnsemble.draw(
        MLP(d, outputs, hidden, activation),
        members,
        prior=WeightPrior(),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )


def points(n, d=3, seed=1):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_perceptron_is_what_torch_computes_with_the_same_weights():
    networks, X = draw(members=1), points(7)
    sizes = (3, 5, 4, 1)
    modules = []
    for own, a, b in zip(networks.parameters, sizes, sizes[1:], strict=False):
        linear = torch.nn.Linear(a, b, dtype=torch.float64)
        linear.weight.data, linear.bias.data = own["weight"][0].T / math.sqrt(a), own["bias"][0]
        modules += [linear, torch.nn.Tanh()]
    reference = torch.nn.Sequential(*modules[:-1])
    torch.testing.assert_close(networks(X)[0], reference(2 * X - 1).detach())


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("layers", [(0,), (2,), (0, 1, 2), (0, 2)])
def test_tangent_kernel_is_the_product_of_jacobians(activation, layers):
    networks = draw(activation=activation)
    A, B = points(6), points(4, seed=2)
    tangent_a, tangent_b = networks.tangent(A, layers), networks.tangent(B, layers)
    kernel = tangent_a.kernel(tangent_b)

    def jacobian(member, X):
        def output(chosen):
            return networks.select(slice(member, member + 1)).after(X.unsqueeze(0) * 2 - 1, 0, chosen)[0, :, 0]

        blocks = jacrev(output)(
            {i: {k: t[member : member + 1] for k, t in networks.parameters[i].items()} for i in layers}
        )
        return torch.cat([t.flatten(1) for i in layers for t in blocks[i].values()], 1)

    for member in range(2):
        torch.testing.assert_close(kernel[member], jacobian(member, A) @ jacobian(member, B).T)
    torch.testing.assert_close(tangent_a.diagonal(), tangent_a.kernel(tangent_a).diagonal(dim1=-2, dim2=-1))


def test_tangent_of_a_batch_is_that_of_its_points():
    networks, X = draw(), points(12)
    flat, batched = networks.tangent(X, (0, 1)), networks.tangent(X.view(2, 3, 2, 3), (0, 1))
    torch.testing.assert_close(batched.diagonal().flatten(1), flat.diagonal())


def test_tangent_of_several_heads_is_refused():
    with pytest.raises(SurrogateError, match="one head"):
        draw(outputs=2).tangent(points(3), (0,))


def test_selected_members_are_those_of_the_ensemble():
    networks, X = draw(members=4), points(5)
    assert torch.equal(networks.select(torch.tensor([2, 0]))(X), networks(X)[[2, 0]])
    assert networks.select(slice(1, 3)).members == 2


def test_draws_depend_on_the_generator_alone():
    state = torch.random.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(draw(seed=3).tensors(), draw(seed=3).tensors(), strict=True))
    assert not torch.equal(draw(seed=3).tensors()[0], draw(seed=4).tensors()[0])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_training_fits_every_member_and_leaves_the_start_alone():
    X = points(30)
    targets = torch.sin(3 * X[:, 0]).expand(2, -1)
    start = draw(hidden=(16, 8))
    before = [t.clone() for t in start.tensors()]
    trained = train_map(start, X, targets, **TRAINING, epochs=200)
    assert all(torch.equal(a, b) for a, b in zip(start.tensors(), before, strict=True))
    assert ((start(X).squeeze(-1) - targets).square().mean(1) > 0.1).all()
    assert ((trained(X).squeeze(-1) - targets).square().mean(1) < 0.02).all()


def test_points_with_large_variance_are_ignored_by_training():
    X = points(20)
    targets = torch.zeros(2, 20, dtype=torch.float64)
    targets[:, 0] = 5.0
    variances = torch.full_like(targets, 1e-4)
    options = {**TRAINING, "epochs": 150}
    fitted = train_map(draw(), X, targets, **{**options, "variances": variances})(X)[:, 0]
    variances[:, 0] = 1e4
    ignored = train_map(draw(), X, targets, **{**options, "variances": variances})(X)[:, 0]
    assert (ignored.abs() < 0.5).all()
    assert (fitted > 2).all()


def test_the_maximum_a_posteriori_of_a_linear_layer_is_ridge_regression():
    """With fixed features below it, the output layer's optimum is known."""
    X = points(40)
    y = torch.sin(3 * X[:, 0]) + X[:, 1]
    prior = WeightPrior(map_sd=0.5)
    trained = train_map(
        draw(hidden=(3,), members=1),
        X,
        y.unsqueeze(0),
        **{**TRAINING, "noise_sd": 0.3, "prior": prior, "lr": 0.1},
        epochs=800,
    )
    features = trained.before(X, 1)[0] / math.sqrt(3)
    design = torch.cat([features, torch.ones(40, 1, dtype=torch.float64)], 1)
    ridge = torch.linalg.solve(design.T @ design + (0.3 / 0.5) ** 2 * torch.eye(4, dtype=torch.float64), design.T @ y)
    found = torch.cat([trained.parameters[1]["weight"][0, :, 0], trained.parameters[1]["bias"][0]])
    torch.testing.assert_close(found, ridge, atol=2e-3, rtol=0)


def test_without_data_to_speak_of_training_returns_to_its_centre():
    X, centre = points(3), draw(seed=8)
    targets = torch.zeros(2, 3, dtype=torch.float64)
    trained = train_map(draw(), X, targets, **{**TRAINING, "noise_sd": 1e3, "lr": 0.1}, epochs=400, centre=centre)
    for found, expected in zip(trained.tensors(), centre.tensors(), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_training_in_batches_finds_what_training_on_everything_finds():
    X = points(60, d=1)
    targets = torch.sin(4 * X[:, 0]).expand(2, -1)
    options = {**TRAINING, "epochs": 150, "batch_size": 16}
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 5, 6)]
    first, same, other = (train_map(draw(d=1), X, targets, **options, generator=g)(X) for g in generators)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert ((first.squeeze(-1) - targets).square().mean(1) < 0.01).all()


def test_batches_weigh_data_and_prior_as_all_points_do():
    """A wide noise leaves the prior something to say: a batch counted as if it were all would be drawn back more."""
    X = points(64, d=1)
    targets = (2 * X[:, 0] - 1).expand(2, -1)
    options = {**TRAINING, "noise_sd": 1.0, "prior": WeightPrior(map_sd=0.6), "lr": 0.03}
    full = train_map(draw(d=1), X, targets, **options, epochs=500)(X)
    batches = train_map(
        draw(d=1), X, targets, **options, epochs=60, batch_size=8, generator=torch.Generator().manual_seed(0)
    )(X)
    assert 0.05 < full.std() < 0.95 * targets.std()  # the prior does matter
    torch.testing.assert_close(batches, full, atol=0.02, rtol=0)


def test_batches_need_a_generator_and_a_size():
    for wrong in ({"batch_size": 4}, {"batch_size": 0, "generator": torch.Generator()}):
        with pytest.raises(SurrogateError, match="batch_size"):
            train_map(draw(), points(5), torch.zeros(2, 5), **TRAINING, epochs=1, **wrong)


def test_labels_are_learned():
    X = points(60, d=2)
    labels = (X[:, 0] > X[:, 1]).long()
    trained = train_map(
        draw(d=2, outputs=2),
        X,
        labels.expand(2, -1),
        **{**TRAINING, "likelihood": Categorical(2)},
        epochs=150,
    )
    assert (trained(X).argmax(-1) == labels).float().mean() > 0.95


def test_divergence_is_said_in_words():
    X = points(5)
    targets = torch.full((2, 5), 1e30, dtype=torch.float64)
    with pytest.raises(SurrogateError, match="diverged"):
        train_map(draw().to(X.float()), X, targets, **{**TRAINING, "noise_sd": 1e-30, "lr": 1e30}, epochs=5)


def test_unknown_activation_is_refused():
    with pytest.raises(SurrogateError, match="tanh"):
        draw(activation="swishy")
