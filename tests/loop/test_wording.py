import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop import wording


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (0.41234, 0.0352, "0.412 ± 0.035"),
        (1234.5, 12.0, "1234 ± 12"),
        (-3.0, 0.25, "−3.00 ± 0.25"),
        (1.2341e-6, 4.2e-8, "(1.234 ± 0.042)×10⁻⁶"),
        (2.5e9, 1e8, "(2.50 ± 0.10)×10⁹"),
        (0.0, 0.0996, "0.00 ± 0.10"),
        (5.0, math.nan, "5"),
        (5.0, 0.0, "5"),
        (math.nan, 1.0, "–"),
        (None, None, "–"),
    ],
)
def test_value_with_error(value, sd, text):
    assert wording.with_error(value, sd) == text


@given(st.floats(min_value=-1e12, max_value=1e12), st.floats(min_value=1e-9, max_value=1e9))
def test_what_is_written_agrees_with_the_value(value, sd):
    text = wording.with_error(value, sd)
    body, _, power = text.partition(")×10")
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    scale = 10.0 ** int(power.translate(digits)) if power else 1.0
    mean, error = (float(part.replace("−", "-")) * scale for part in body.strip("(").split(" ± "))
    assert mean == pytest.approx(value, abs=max(0.051 * sd, 1e-6 * abs(value), 1e-8))
    assert error == pytest.approx(sd, rel=0.051, abs=max(1e-6 * abs(value), 1e-8))


@given(st.floats(min_value=1e-300, max_value=1e300), st.integers(2, 6))
def test_a_number_keeps_its_significant_digits(value, digits):
    text = wording.number(value, digits)
    mantissa, _, power = text.partition("×10")
    scale = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))) if power else 0
    assert float(f"{mantissa}e{scale}") == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


def test_columns_keep_their_zeros():
    assert wording.number(798.0, strip=False) == "798.0"
    assert wording.number(798.0) == "798"
    assert wording.number(30) == "30"
    assert wording.number("sample 3") == "sample 3"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.042, "42 ms"), (0.9, "0.9 s"), (59.97, "1 min 0 s"), (3599.6, "1 h 0 min"), (7384, "2 h 3 min"), (None, "–")],
)
def test_durations(seconds, text):
    assert wording.duration(seconds) == text


def test_percent_symbols_and_labels():
    assert [wording.percent(x) for x in (0.05, 0.0042, 0.0, 0.998, None)] == ["5 %", "0.4 %", "0 %", "100 %", "–"]
    assert wording.label("anneal_temperature", wording.symbol("degC")) == "anneal temperature (°C)"
    assert wording.label("x", wording.symbol("fraction")) == "x"
