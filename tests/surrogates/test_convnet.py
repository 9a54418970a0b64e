"""The convolutional network against torch's own modules."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Categorical
from surrogates.networks import ACTIVATIONS, Conv1d, ConvNet1d, NetworkEnsemble, train_map
from surrogates.priors import WeightPrior


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


@given(
    n=st.integers(1, 4),
    channels_in=st.integers(1, 3),
    channels_out=st.integers(1, 4),
    length=st.integers(4, 23),
    kernel=st.sampled_from([1, 3, 5, 7]),
    pool=st.integers(1, 4),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
@settings(max_examples=60, deadline=None)
def test_a_layer_is_torch_s_convolution_activation_and_pooling(
    n, channels_in, channels_out, length, kernel, pool, activation
):
    layer = Conv1d("conv", channels_in, channels_out, length, kernel, pool, activation)
    weight, bias = normal(channels_out, channels_in, kernel), normal(channels_out, seed=1)
    reference = torch.nn.Conv1d(channels_in, channels_out, kernel, padding="same", dtype=torch.float64)
    reference.weight.data, reference.bias.data = weight / math.sqrt(channels_in * kernel), bias
    h = normal(n, channels_in, length, seed=2)
    expected = torch.nn.MaxPool1d(pool)(ACTIVATIONS[activation][0](reference(h).detach()))
    found = layer({"weight": weight, "bias": bias}, h)
    torch.testing.assert_close(found, expected)
    flat = Conv1d("conv", channels_in, channels_out, length, kernel, pool, activation, flatten=True)
    assert torch.equal(flat({"weight": weight, "bias": bias}, h), found.flatten(1))


def test_a_network_is_torch_s_modules_with_the_same_weights():
    architecture = ConvNet1d(2 * 21, 3, channels_in=2, channels=(4, 5), kernel=3, hidden=(6,))
    networks = NetworkEnsemble.draw(architecture, 1, prior=WeightPrior(), generator=generator(0), dtype=torch.float64)
    modules = [
        torch.nn.Conv1d(2, 4, 3, padding=1),
        torch.nn.MaxPool1d(2),
        torch.nn.ReLU(),
        torch.nn.Conv1d(4, 5, 3, padding=1),
        torch.nn.MaxPool1d(2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(5 * 5, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 3),
    ]
    trained = [m for m in modules if hasattr(m, "weight")]
    for module, own in zip(trained, networks.parameters, strict=True):
        weight = own["weight"][0]
        weight = weight.T if weight.ndim == 2 else weight
        module.weight.data, module.bias.data = weight / math.sqrt(weight[0].numel()), own["bias"][0]
    X = torch.rand(6, 42, generator=generator(1), dtype=torch.float64)
    expected = torch.nn.Sequential(*modules)((2 * X - 1).view(6, 2, 21)).detach()
    torch.testing.assert_close(networks(X)[0], expected)


def test_gradients_are_those_of_torch_s_modules():
    layer = Conv1d("conv", 2, 3, 9, 3, 2, "tanh")
    weight, bias, h = normal(3, 2, 3).requires_grad_(), normal(3, seed=1).requires_grad_(), normal(4, 2, 9, seed=2)
    z = torch.nn.functional.conv1d(h, weight / math.sqrt(6), bias, padding=1)
    expected = torch.autograd.grad(torch.nn.functional.max_pool1d(z.tanh(), 2).square().sum(), (weight, bias))
    found = torch.autograd.grad(layer({"weight": weight, "bias": bias}, h).square().sum(), (weight, bias))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_wide_layers_keep_the_size_of_values():
    """What the scaling by the fan-in is for: one prior width for all widths."""
    X = torch.rand(20, 64, generator=generator(1))
    prior = WeightPrior(weight_sd=math.sqrt(2), bias_sd=0.1)  # keeps the mean square through ReLUs
    sizes = []
    for channels in ((4, 4), (64, 64)):
        architecture = ConvNet1d(64, channels=channels, pool=1, hidden=(channels[0],))
        networks = NetworkEnsemble.draw(architecture, 200, prior=prior, generator=generator(0))
        sizes.append(float(networks(X).square().mean()))
    assert 0.7 < sizes[1] / sizes[0] < 1.4


def test_the_layers_are_named_and_the_dense_ones_may_be_left_out():
    names = [layer.name for layer in ConvNet1d(16, hidden=(8, 4)).layers]
    assert names == ["conv0", "conv1", "conv2", "dense0", "dense1", "output"]
    assert [layer.name for layer in ConvNet1d(16, channels=(3,), hidden=()).layers] == ["conv0", "output"]


def test_a_shift_of_the_curve_shifts_the_features():
    """The one thing that a convolution promises."""
    layer = Conv1d("conv", 1, 4, 40, 5, 2, "relu")
    parameters = {"weight": normal(4, 1, 5), "bias": normal(4, seed=1)}
    curve = torch.zeros(1, 1, 40, dtype=torch.float64)
    curve[..., 15:20] = normal(5, seed=3)
    here, there = layer(parameters, curve), layer(parameters, curve.roll(6, -1))
    torch.testing.assert_close(here.roll(3, -1)[..., 6:15], there[..., 6:15])


def test_kinds_of_curves_are_told_apart():
    """A knee anywhere against a power law, in noise: what position-wise features find hard."""
    n, q = 300, torch.linspace(-2, 0, 32, dtype=torch.float64)
    knee = torch.rand(n, 1, generator=generator(2), dtype=torch.float64) * 1.2 - 1.6
    labels = torch.arange(n) % 2
    smooth = torch.where(labels.bool().unsqueeze(1), -0.5 * (10 ** (q - knee)) ** 2, -1.5 * (q - knee))
    curve = smooth.clamp(-4, 4) + 0.2 * normal(n, 32, seed=3)
    X = ((curve + 5) / 10).clamp(0, 1)
    architecture = ConvNet1d(32, 2, channels=(4, 8), kernel=5, hidden=(8,))
    start = NetworkEnsemble.draw(architecture, 2, prior=WeightPrior(), generator=generator(0))
    trained = train_map(
        start,
        X[:200],
        labels[:200].expand(2, -1),
        likelihood=Categorical(2),
        variances=None,
        noise_sd=1.0,
        prior=WeightPrior(),
        epochs=30,
        lr=0.02,
        batch_size=32,
        generator=generator(4),
    )
    accuracy = (trained(X[200:].float()).argmax(-1) == labels[200:]).double().mean(1)
    assert (accuracy > 0.93).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels_in": 3}, "3 channels"),
        ({"channels": (4,) * 7}, "too short"),
        ({"kernel": 4}, "odd"),
        ({"channels": ()}, "at least 1"),
        ({"hidden": (0,)}, "at least 1"),
        ({"pool": 0}, "pool"),
        ({"activation": "swishy"}, "relu"),
        ({"channels_in": 0}, "at least 1"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SurrogateError, match=message):
        ConvNet1d(64, **options)
