"""What holds of every kernel: its self-tests, finite non-negative results of the right shape, single precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.errors import ParameterError
from simulators.scattering import find_kernel, kernels

ALL = sorted(kernels())


@pytest.mark.parametrize("name", ALL)
def test_reproduces_its_numbers_and_says_what_it_is(name):
    kernel = find_kernel(name)
    assert kernel.tests
    assert kernel.source
    assert kernel.valid
    assert max(kernel.deviations()) <= 1.0
    for parameter in kernel.parameters:
        assert parameter.low <= parameter.default <= parameter.high
        assert parameter.description


@st.composite
def drawn(draw, kernel):
    values = {}
    for parameter in kernel.parameters:
        if parameter.name.endswith("_pd"):
            # Sums over sizes and directions of giants take minutes: widths and lengths stay moderate below.
            values[parameter.name] = draw(st.floats(0.0, 0.2))
            continue
        # Scales span decades: drawn by their logarithm where they cannot be zero or negative.
        if parameter.low > 0:
            summed = any(other.name.endswith("_pd") for other in kernel.parameters) and parameter.unit == "Å"
            high = min(parameter.high, 200.0) if summed else parameter.high
            log = draw(st.lists(st.floats(np.log(parameter.low), np.log(high)), min_size=3, max_size=3))
            values[parameter.name] = np.clip(np.exp(log), parameter.low, high)
        else:
            values[parameter.name] = np.array(
                draw(st.lists(st.floats(parameter.low, parameter.high), min_size=3, max_size=3))
            )
    for option, choices in kernel.options.items():
        values[option] = draw(st.sampled_from(choices))
    return values


@pytest.mark.parametrize("name", ALL)
def test_is_finite_not_negative_and_of_the_right_shape(name):
    kernel = find_kernel(name)
    q = np.geomspace(0.003, 0.5, 9)
    summed = any(parameter.name.endswith("_pd") for parameter in kernel.parameters)

    @settings(max_examples=8 if summed else 25, deadline=None, derandomize=True)
    @given(parameters=drawn(kernel))
    def check(parameters):
        result = kernel(q, **parameters)
        assert result.shape == (3, 9)
        assert result.dtype == torch.float64
        assert torch.isfinite(result).all(), parameters
        assert (result >= 0).all(), parameters

    check()


@pytest.mark.parametrize("name", ALL)
def test_single_precision_in_gives_single_precision_out_and_agrees(name):
    kernel = find_kernel(name)
    q = torch.tensor(np.geomspace(0.003, 0.5, 60))
    double, single = kernel(q), kernel(q.float())
    assert single.dtype == torch.float32
    # At the zeros of sharp shapes the neighbouring envelope is the scale.
    envelope = double.max() / (1 + (q / q[0]) ** 4)
    assert ((single - double).abs() / torch.maximum(double, envelope * 1e-2)).max() < 1e-3


def test_a_batch_is_its_rows():
    q = np.geomspace(0.005, 0.4, 30)
    for name in ALL:
        kernel = find_kernel(name)
        first = kernel.parameters[0]
        values = first.default * np.array([0.9, 1.0, 1.1])
        batch = kernel(q, **{first.name: values})
        for row, value in zip(batch, values, strict=True):
            np.testing.assert_allclose(row, kernel(q, **{first.name: value})[0], rtol=1e-9, err_msg=name)


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ParameterError, match="no kernel 'sphere_of_influence'; there are"):
        find_kernel("sphere_of_influence")
    with pytest.raises(ParameterError, match=r"spheres has no parameter \['size'\]; it has \['radius'"):
        find_kernel("spheres")([0.1], size=3.0)
