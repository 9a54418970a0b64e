"""Networks: tangent kernels against explicit Jacobians, training, activations."""

import pytest
import torch
from torch.func import jacrev

from surrogates.errors import SurrogateError
from surrogates.networks import ACTIVATIONS, NetworkEnsemble, train_map
from surrogates.priors import LogGrid, WeightPrior


def draw(d=3, hidden=(5, 4), members=2, activation="tanh", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(
        d, hidden, members, activation=activation, prior=WeightPrior(), generator=generator, dtype=torch.float64
    )


def points(n, d=3, seed=1):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jacobian(networks, member, X, layers):
    """Explicit ``(n, p)`` Jacobian of one member by the weights and biases of its chosen layers."""

    def output(chosen):
        weights = [w[member : member + 1] for w in networks.weights]
        biases = [b[member : member + 1] for b in networks.biases]
        for layer, (w, b) in chosen.items():
            weights[layer], biases[layer] = w, b
        return NetworkEnsemble(tuple(weights), tuple(biases), networks.activation)(X)[0]

    start = {
        layer: (networks.weights[layer][member : member + 1], networks.biases[layer][member : member + 1])
        for layer in layers
    }
    blocks = jacrev(output)(start)
    return torch.cat([t.flatten(1) for layer in layers for t in blocks[layer]], 1)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("layers", [(0,), (2,), (0, 1, 2), (0, 2)])
def test_tangent_kernel_is_the_product_of_jacobians(activation, layers):
    networks = draw(activation=activation)
    A, B = points(6), points(4, seed=2)
    tangent_a, tangent_b = networks.tangent(A, layers), networks.tangent(B, layers)
    kernel = tangent_a.kernel(tangent_b)
    for member in range(2):
        expected = jacobian(networks, member, A, layers) @ jacobian(networks, member, B, layers).T
        torch.testing.assert_close(kernel[member], expected)
    torch.testing.assert_close(tangent_a.diagonal(), tangent_a.kernel(tangent_a).diagonal(dim1=-2, dim2=-1))


def test_tangent_of_a_batch_is_that_of_its_points():
    networks, X = draw(), points(12)
    flat, batched = networks.tangent(X, (0, 1)), networks.tangent(X.view(2, 3, 2, 3), (0, 1))
    torch.testing.assert_close(batched.diagonal().flatten(1), flat.diagonal())


def test_training_fits_every_member_and_leaves_the_start_alone():
    X = points(30)
    targets = torch.sin(3 * X[:, 0]).expand(2, -1)
    start = draw(hidden=(16, 8))
    before = start.weights[0].clone()
    trained = train_map(start, X, targets, variances=None, noise_sd=0.1, prior=WeightPrior(), epochs=200, lr=0.03)
    assert torch.equal(start.weights[0], before)
    assert ((start(X) - targets).square().mean(1) > 0.1).all()
    assert ((trained(X) - targets).square().mean(1) < 0.02).all()


def test_points_with_large_variance_are_ignored_by_training():
    X = points(20)
    targets = torch.zeros(2, 20, dtype=torch.float64)
    targets[:, 0] = 5.0
    variances = torch.full_like(targets, 1e-4)
    options = {"noise_sd": 0.1, "prior": WeightPrior(), "epochs": 150, "lr": 0.03}
    fitted = train_map(draw(), X, targets, variances=variances, **options)(X)[:, 0]
    variances[:, 0] = 1e4
    ignored = train_map(draw(), X, targets, variances=variances, **options)(X)[:, 0]
    assert (ignored.abs() < 0.5).all()
    assert (fitted > 2).all()


def test_divergence_is_said_in_words():
    X = points(5)
    targets = torch.full((2, 5), 1e30, dtype=torch.float64)
    with pytest.raises(SurrogateError, match="diverged"):
        train_map(
            draw().to(X.float()), X, targets, variances=None, noise_sd=1e-30, prior=WeightPrior(), epochs=5, lr=1e30
        )


@pytest.mark.parametrize(("low", "high", "size"), [(0.0, 1.0, 3), (2.0, 1.0, 3), (1.0, 1.0, 2), (1.0, 2.0, 1)])
def test_impossible_grids_are_refused(low, high, size):
    with pytest.raises(SurrogateError, match="grid"):
        LogGrid(low, high, size)


def test_grid_is_even_in_the_logarithm_and_includes_both_ends():
    nodes = LogGrid(0.1, 10.0, 5).nodes(torch.zeros(1))
    torch.testing.assert_close(nodes.log10(), torch.linspace(-1, 1, 5, dtype=torch.float64))


def test_unknown_activation_is_refused():
    with pytest.raises(SurrogateError, match="tanh"):
        draw(activation="swishy")
