"""The transformer over elements: attention against torch's own, and the symmetries that a composition has."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Element

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Gaussian
from surrogates.networks import ElementTransformer, NetworkEnsemble, train_map
from surrogates.networks.elements import property_table
from surrogates.networks.transformer import Attention, FeedForward, encode_fraction
from surrogates.priors import WeightPrior

SYMBOLS = ("H", "Li", "O", "Ti", "Fe", "Co", "Ba", "Bi")


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def build(elements=SYMBOLS, extra=1, members=2, **options):
    architecture = ElementTransformer(
        len(elements) + extra, elements=elements, extra=extra, width=8, heads=2, **options
    )
    return NetworkEnsemble.draw(architecture, members, prior=WeightPrior(), generator=generator(0), dtype=torch.float64)


def compositions(n=6, present=3, seed=1, elements=SYMBOLS):
    """``(n, elements + 1)``, `present` elements each."""
    g = generator(seed)
    X = torch.zeros(n, len(elements) + 1, dtype=torch.float64)
    for row in X:
        row[torch.randperm(len(elements), generator=g)[:present]] = torch.rand(present, generator=g).double() + 0.05
    X[:, :-1] /= X[:, :-1].sum(1, keepdim=True)
    X[:, -1] = torch.rand(n, generator=g)
    return X


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_torch_s_with_the_same_weights(heads):
    """Equal fractions leave nothing but the attention of Vaswani et al.; an absent token is a masked key."""
    width, tokens, n = 8, 5, 3
    layer = Attention("attention", width, heads)
    own = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(layer.shapes.items())}
    reference = torch.nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)
    parts = ("query", "key", "value")
    sharpness = {"query": math.sqrt(heads / width), "key": 1.0, "value": 1.0}  # torch divides by the root alone
    weights = [sharpness[p] * own[f"weight_{p}"].T for p in parts]
    reference.in_proj_weight.data = torch.cat(weights) / math.sqrt(width)
    zero = torch.zeros(width, dtype=torch.float64)
    reference.in_proj_bias.data = torch.cat([sharpness[p] * own.get(f"bias_{p}", zero) for p in parts])
    reference.out_proj.weight.data = own["weight_out"].T / math.sqrt(width)
    reference.out_proj.bias.data = own["bias_out"]
    h = normal(n, tokens, width, seed=20)
    absent = torch.tensor([[0, 0, 0, 0, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 1]], dtype=torch.bool)
    fraction = (~absent).double() / (~absent).sum(1, keepdim=True)
    inner = torch.nn.LayerNorm(width, elementwise_affine=False, dtype=torch.float64)(h)
    expected = h + reference(inner, inner, inner, key_padding_mask=absent)[0].detach()
    found = layer(own, torch.cat([h, fraction.unsqueeze(-1)], -1))
    torch.testing.assert_close(found[..., :-1], expected)
    assert torch.equal(found[..., -1], fraction)


def test_attention_counts_atoms():
    """A fraction is a bias of log(fraction) on the scores: torch's own function takes it as a mask."""
    layer = Attention("attention", 4, 1)
    own = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(layer.shapes.items())}
    h, fraction = normal(2, 3, 4, seed=9), torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.0, 0.9]], dtype=torch.float64)
    inner = torch.nn.functional.layer_norm(h, (4,))
    query, value = (inner @ own[f"weight_{p}"] / 2 + own[f"bias_{p}"] for p in ("query", "value"))
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query,
        inner @ own["weight_key"] / 2,
        value,
        attn_mask=fraction.log().unsqueeze(1).expand(2, 3, 3),
        scale=1 / 4,
    )
    expected = h + mixed @ own["weight_out"] / 2 + own["bias_out"]
    torch.testing.assert_close(layer(own, torch.cat([h, fraction.unsqueeze(-1)], -1))[..., :-1], expected)


def test_feedforward_is_torch_s_modules_with_the_same_weights():
    layer = FeedForward("feedforward", 4, 6, "gelu", pool=True)
    own = {name: normal(*shape, seed=i) for i, (name, shape) in enumerate(layer.shapes.items())}
    norm = torch.nn.LayerNorm(4, elementwise_affine=False, dtype=torch.float64)
    first, second = torch.nn.Linear(4, 6, dtype=torch.float64), torch.nn.Linear(6, 4, dtype=torch.float64)
    first.weight.data, first.bias.data = own["weight_in"].T / 2, own["bias_in"]
    second.weight.data, second.bias.data = own["weight_out"].T / math.sqrt(6), own["bias_out"]
    h, fraction = normal(3, 5, 4, seed=8), torch.rand(3, 5, 1, generator=generator(1), dtype=torch.float64)
    tokens = norm(h + second(torch.nn.GELU()(first(norm(h)))))
    torch.testing.assert_close(layer(own, torch.cat([h, fraction], -1)), (fraction * tokens).sum(1).detach())


@given(permutation=st.permutations(range(len(SYMBOLS))))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_elements_does_not_matter(permutation):
    networks, X = build(), compositions()
    permuted = build(tuple(SYMBOLS[i] for i in permutation))
    parameters = [dict(own) for own in networks.parameters]
    parameters[0]["weight_element"] = parameters[0]["weight_element"][:, list(permutation)]
    permuted = NetworkEnsemble(permuted.architecture, tuple(parameters))
    torch.testing.assert_close(permuted(X[:, [*permutation, len(SYMBOLS)]]), networks(X))


@pytest.mark.parametrize("present", [1, 2, 3])
def test_values_do_not_depend_on_max_tokens(present):
    X = compositions(present=present)
    expected = build(max_tokens=8)(X)
    for max_tokens in range(present, 8):
        torch.testing.assert_close(build(max_tokens=max_tokens)(X), expected)


def test_only_proportions_matter():
    networks, X = build(), compositions()
    scaled = X.clone()
    scaled[:, :-1] *= 0.3
    torch.testing.assert_close(networks(scaled), networks(X))


def test_what_is_absent_has_no_influence_on_values_or_on_gradients_by_parameters():
    networks, X = build(), compositions()
    X[:, 6] = 0.0  # no barium anywhere
    parameters = [dict(own) for own in networks.parameters]
    own = parameters[0]["weight_element"].clone()
    own[:, 6] = 1e6
    parameters[0]["weight_element"] = own.requires_grad_()
    changed = NetworkEnsemble(networks.architecture, tuple(parameters))(X)
    torch.testing.assert_close(changed, networks(X))
    assert (torch.autograd.grad(changed.sum(), own)[0][:, 6] == 0).all()


def test_values_are_continuous_where_an_element_vanishes():
    networks, X = build(), compositions()
    X[:, 4] = 0.0
    trace = X.clone()
    trace[:, 4] = 1e-9
    torch.testing.assert_close(networks(trace), networks(X), atol=1e-5, rtol=0)


def test_gradients_by_amounts_are_the_numeric_ones():
    networks, X = build(max_tokens=4), compositions(present=4)
    moved = X.clone().requires_grad_()
    gradient = torch.autograd.grad(networks(moved).sum(), moved)[0]
    direction = torch.where(X > 0, normal(*X.shape, seed=3), 0.0)
    numeric = (networks(X + 1e-6 * direction) - networks(X - 1e-6 * direction)).sum() / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-6, atol=1e-6)
    assert (gradient[:, :-1][X[:, :-1] == 0] == 0).all()


def test_with_a_token_for_every_element_the_gradient_tells_what_adding_one_does():
    """An optimiser on the edge of the simplex must be able to leave it."""
    networks, X = build(max_tokens=8), compositions(n=1, present=2)
    moved = X.clone().requires_grad_()
    gradient = torch.autograd.grad(networks(moved).sum(), moved)[0]
    for absent in torch.nonzero(X[0, :-1] == 0).flatten().tolist():
        added = X.clone()
        added[0, absent] = 1e-8
        numeric = (networks(added) - networks(X)).sum() / 1e-8
        torch.testing.assert_close(gradient[0, absent], numeric, rtol=1e-3, atol=1e-3)
        assert abs(numeric) > 1e-3


def test_further_inputs_act_on_each_element_in_its_own_way():
    """A temperature may raise the value of one composition and lower that of another."""
    networks, X = build(members=8), compositions(n=2, present=1)
    cold, hot = X.clone(), X.clone()
    cold[:, -1], hot[:, -1] = 0.0, 1.0
    rise = (networks(hot) - networks(cold)).squeeze(-1)
    assert ((rise[:, 0] - rise[:, 1]).abs() > 0.05).all()


def test_elements_alike_begin_alike():
    """Cobalt is closer to iron than oxygen is, before anything was learned."""
    networks = build(members=200)
    pure = torch.zeros(3, len(SYMBOLS) + 1, dtype=torch.float64)
    for row, symbol in enumerate(("Fe", "Co", "O")):
        pure[row, SYMBOLS.index(symbol)] = 1.0
    iron, cobalt, oxygen = networks(pure).squeeze(-1).T
    assert 2 * (iron - cobalt).square().mean() < (iron - oxygen).square().mean()


def test_properties_are_pymatgen_s_in_standard_deviations():
    table = property_table(("O", "Fe", "Ti"))
    electronegativity = table[:, 4]
    truth = np.array([Element(s).X for s in ("O", "Fe", "Ti")])
    scale = (electronegativity[0] - electronegativity[1]) / (truth[0] - truth[1])
    np.testing.assert_allclose(electronegativity - electronegativity[0], scale * (truth - truth[0]))
    assert np.isfinite(property_table(("At", "Og"))).all()
    np.testing.assert_array_equal(property_table(("Fe",)), table[1:2])


def test_encoded_fractions_tell_dopants_apart_and_have_finite_slopes():
    x = torch.tensor([0.0, 0.001, 0.01, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    code = encode_fraction(x)
    assert (torch.pdist(code.detach()) > 0.15).all()
    assert torch.isfinite(torch.autograd.grad(code.sum(), x)[0]).all()


def test_default_elements_are_the_first_of_the_periodic_table():
    architecture = ElementTransformer(12, extra=2)
    assert architecture.symbols == ("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne")


def test_training_learns_how_elements_interact():
    """Values that no sum over the elements gives: with the product of two fractions."""
    elements = SYMBOLS[2:6]
    X = compositions(n=120, present=3, elements=elements)
    y = 5 * X[:, 0] * X[:, 1] + X[:, 2] * X[:, 4]  # the last is not an element
    y = (y - y.mean()) / y.std()
    trained = train_map(
        build(elements, max_tokens=3).to(X.float()),
        X[:100],
        y[:100].expand(2, -1),
        likelihood=Gaussian(),
        variances=None,
        noise_sd=0.1,
        prior=WeightPrior(weight_sd=1.0),
        epochs=120,
        lr=0.03,
    )
    error = (trained(X[100:].float()).squeeze(-1) - y[100:]).square().mean(1)
    sums = torch.cat([X[:, :4], X[:, :4] * X[:, 4:]], 1)
    best_sum = sums @ torch.linalg.lstsq(sums[:100], y[:100]).solution
    assert (error < 0.5 * (best_sum - y)[100:].square().mean()).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(1, 0): 0.1, (1, 1): 0.1, (1, 2): 0.1, (1, 3): 0.1}, "1 of 4 .*max_tokens = 3.*point 1 with amounts H 0.1"),
        ({(2, 4): -0.1, (3, 4): -0.1}, "2 of 4 .*below zero.*point 2"),
        ({(0, i): 0.0 for i in range(8)}, "no element.*point 0 with amounts all zero"),
    ],
)
def test_points_that_are_no_compositions_are_named(change, message):
    X = torch.full((4, 9), 0.0, dtype=torch.float64)
    X[:, 5] = 1.0
    for (row, column), value in change.items():
        X[row, column] = value
    X[0, 5] = 0.0 if "no element" in message else 1.0
    with pytest.raises(SurrogateError, match=message):
        build(max_tokens=3)(X)


def test_an_optimiser_s_rounding_below_zero_is_forgiven():
    networks, X = build(), compositions()
    below = torch.where(X == 0, torch.full_like(X, -1e-9), X)
    torch.testing.assert_close(networks(below), networks(X))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_inputs": 3, "elements": ("Fe", "O")}, "2 elements and 0 further inputs do not make the 3 inputs"),
        ({"n_inputs": 2, "elements": ("Fe", "Xx")}, "Xx"),
        ({"n_inputs": 2, "elements": ("Fe", "Fe")}, "repeated"),
        ({"n_inputs": 130}, "118"),
        ({"n_inputs": 2, "extra": 2}, "118"),
        ({"n_inputs": 4, "width": 9, "heads": 2}, "multiple of heads"),
        ({"n_inputs": 4, "blocks": 0}, "at least 1"),
        ({"n_inputs": 4, "activation": "swishy"}, "gelu"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SurrogateError, match=message):
        ElementTransformer(**options)
