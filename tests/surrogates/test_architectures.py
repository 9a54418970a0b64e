"""What every architecture must do: layers that broadcast, tangent kernels, choice of layers, description."""

import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import grad, jacrev, vmap

from surrogates.errors import SurrogateError
from surrogates.networks import (
    ARCHITECTURES,
    MLP,
    ConvNet1d,
    ElementTransformer,
    NetworkEnsemble,
    chosen_layers,
    describe_architecture,
    make_architecture,
    run,
)
from surrogates.priors import WeightPrior

SMALL = {
    "mlp": MLP(6, 1, (5, 4)),
    "convnet": ConvNet1d(16, 1, channels_in=2, channels=(3, 4), kernel=3, hidden=(5,), activation="tanh"),
    "transformer": ElementTransformer(
        6, 1, elements=("O", "Fe", "Li", "Ti"), extra=2, width=4, heads=2, blocks=1, max_tokens=3
    ),
}
CASES = [
    ("mlp", (0,)),
    ("mlp", (0, 2)),
    ("convnet", (0,)),
    ("convnet", (1, 3)),
    ("convnet", (2, 3)),
    ("convnet", (0, 1, 2, 3)),
    ("transformer", (0,)),
    ("transformer", (1,)),
    ("transformer", (2, 3)),
    ("transformer", (0, 1, 2, 3)),
]


def draw(kind, members=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(SMALL[kind], members, prior=WeightPrior(), generator=generator, dtype=torch.float64)


def points(kind, n, seed=1):
    X = torch.rand(n, SMALL[kind].n_inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if kind == "transformer":  # one element absent, a different one each time
        X[torch.arange(n), torch.arange(n) % 4] = 0.0
    return X


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_architecture_is_tested_here():
    assert set(SMALL) == set(ARCHITECTURES)


@pytest.mark.parametrize(("kind", "layers"), CASES)
def test_tangent_kernel_is_the_product_of_jacobians(kind, layers):
    networks, A, B = draw(kind), points(kind, 5), points(kind, 4, seed=2)

    def jacobian(member, X):
        one = networks.select(slice(member, member + 1))

        def output(chosen):
            own = [chosen.get(i, one.parameters[i]) for i in range(one.depth)]
            h = networks.architecture.enter(X).unsqueeze(0)
            return run(networks.architecture.layers, own, h)[0, :, 0]

        blocks = jacrev(output)({i: dict(one.parameters[i]) for i in layers})
        return torch.cat([t.flatten(1) for i in layers for t in blocks[i].values()], 1)

    kernel = networks.tangent(A, layers).kernel(networks.tangent(B, layers))
    for member in range(2):
        torch.testing.assert_close(kernel[member], jacobian(member, A) @ jacobian(member, B).T)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_tangent_is_differentiable_in_the_points(kind):
    """`_jacobian` nests three transforms: that its own derivative is right is not to be taken for granted."""
    networks, X = draw(kind), points(kind, 2)
    if kind == "transformer":
        X[:, :3], X[:, 3] = X[:, :3] + 0.1, 0.0  # within a region of differentiability
    direction = normal(*X.shape, seed=3)
    if kind == "transformer":
        direction[:, 3] = 0.0
    moved = X.clone().requires_grad_()
    gradient = torch.autograd.grad(networks.tangent(moved, (1,)).diagonal().sum(), moved)[0]

    def total(step):
        return networks.tangent(X + step * direction, (1,)).diagonal().sum()

    numeric = (total(1e-6) - total(-1e-6)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(SMALL))
@settings(max_examples=10, deadline=None)
@given(
    n=st.integers(1, 4),
    draws=st.integers(1, 3),
    layers=st.sets(st.integers(0, 3), min_size=1),
    seed=st.integers(0, 99),
)
def test_draws_of_layers_on_one_trunk_are_one_network_at_a_time(kind, n, draws, layers, seed):
    networks, X = draw(kind, seed=seed), points(kind, n)
    layers = {i % networks.depth for i in layers}
    first = min(layers)
    chosen = {
        i: {k: normal(2, draws, *t.shape[1:], seed=seed + 10 * i) for k, t in networks.parameters[i].items()}
        for i in layers
    }
    together = networks.after(networks.before(X, first).unsqueeze(1), first, chosen)
    assert together.shape == (2, draws, n, 1)
    for g in range(2):
        for s in range(draws):
            own = [
                {k: (chosen[i][k][g, s] if i in chosen else t[g]) for k, t in networks.parameters[i].items()}
                for i in range(networks.depth)
            ]
            alone = run(networks.architecture.layers, own, networks.architecture.enter(X))
            torch.testing.assert_close(together[g, s], alone)


@pytest.mark.parametrize("kind", sorted(SMALL))
@settings(max_examples=15, deadline=None)
@given(
    of_parameters=st.lists(st.sampled_from([1, 2]), max_size=3),
    of_points=st.lists(st.sampled_from([1, 2]), max_size=3),
    expanded=st.booleans(),
)
def test_leading_dimensions_of_every_layer_broadcast(kind, of_parameters, of_points, expanded):
    """Against a loop over the broadcast dimensions, layer by layer."""
    networks = draw(kind, members=1)
    wide = torch.broadcast_shapes(of_parameters, of_points)
    h = networks.architecture.enter(points(kind, 3))
    for layer in networks.architecture.layers:
        own = {k: normal(*of_parameters, *shape, seed=4) for k, shape in layer.shapes.items()}
        here = h.expand(*of_points, *h.shape)
        if not expanded:
            here = here.clone()
            scale = 1 + torch.rand(of_points, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
            if h.is_floating_point() and not (kind == "transformer" and layer.name == "embedding"):
                here[..., 0] *= scale.view(*of_points, *[1] * (h.ndim - 1))
        out = layer(own, here)
        assert out.shape[: len(wide)] == wide
        every = {k: t.expand(*wide, *layer.shapes[k]) for k, t in own.items()}
        here = here.expand(*wide, *h.shape)
        for index in itertools.product(*map(range, wide)):
            alone = layer({k: t[index] for k, t in every.items()}, here[index])
            torch.testing.assert_close(out[index], alone)
        h = layer({k: t[0] for k, t in networks.parameters[networks.architecture.layers.index(layer)].items()}, h)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_vmap_over_networks_and_points_is_the_ensemble(kind):
    networks, X = draw(kind, members=3), points(kind, 4)
    layers = networks.architecture.layers

    def one(parameters, h):
        return run(layers, parameters, h.unsqueeze(0)).squeeze()

    h = networks.architecture.enter(X)
    parameters = tuple(dict(own) for own in networks.parameters)
    mapped = vmap(vmap(one, (None, 0)), (0, None))(parameters, h)
    torch.testing.assert_close(mapped, networks(X).squeeze(-1))
    slopes = vmap(vmap(grad(one), (None, 0)), (0, None))(parameters, h)
    assert all(torch.isfinite(t).all() for own in slopes for t in own.values())


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_points_do_not_see_each_other(kind):
    networks, X = draw(kind), points(kind, 5)
    together = networks(X)
    torch.testing.assert_close(together[:, 2:3], networks(X[2:3]))
    torch.testing.assert_close(networks(X.flip(0)), together.flip(1))


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_single_precision_agrees_and_stays_single(kind):
    networks, X = draw(kind), points(kind, 5)
    single = networks.to(X.float())(X.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), networks(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_layers_have_unique_names_and_drawn_parameters_their_shapes(kind):
    networks = draw(kind)
    names = [layer.name for layer in networks.architecture.layers]
    assert len(set(names)) == len(names)
    assert names[-1] == "output"
    for layer, own in zip(networks.architecture.layers, networks.parameters, strict=True):
        assert {k: tuple(t.shape[1:]) for k, t in own.items()} == dict(layer.shapes)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_description_through_json_makes_the_same(kind):
    made = SMALL[kind]
    spec = json.loads(json.dumps(describe_architecture(made)))
    assert spec["kind"] == kind
    assert make_architecture(spec, made.n_inputs, made.n_outputs) == made


def test_layers_are_chosen_by_index_and_name():
    layers = SMALL["transformer"].layers
    assert chosen_layers("all", layers) == (0, 1, 2, 3)
    assert chosen_layers("first", layers) == (0,)
    assert chosen_layers("last", layers) == (3,)
    assert chosen_layers("block0.attention", layers) == (1,)
    assert chosen_layers([-1, "embedding", 3], layers) == (0, 3)
    assert chosen_layers((2, 1), layers) == (1, 2)


@pytest.mark.parametrize("wrong", ["middle", [4], [-5], [True], [0.0], [], ["dense0", 0]])
def test_layers_that_do_not_exist_are_named(wrong):
    with pytest.raises(SurrogateError, match=r"block0\.attention"):
        chosen_layers(wrong, SMALL["transformer"].layers)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "resnet"}, "convnet"),
        ({"kind": "convnet", "filters": [3]}, "channels"),
        ({"kind": "transformer", "n_inputs": 3}, "no option 'n_inputs'"),
        ({"kind": "mlp", "hidden": 7}, "hidden"),
    ],
)
def test_specifications_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(SurrogateError, match=message):
        make_architecture(spec, 16, 1)
