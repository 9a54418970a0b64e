"""Numbers as people write them: in the progress display and in the report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loop.records import Alert

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | int | str | None, digits: int = 4, *, strip: bool = True) -> str:
    """Write one value with `digits` significant digits; strings pass through, what is unknown becomes a dash.

    Trailing zeros go, unless a column of numbers is to line up (`strip` false).

    >>> number(512.34567), number(0.000123456), number(None), number(0.0)
    ('512.3', '1.235×10⁻⁴', '–', '0')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if -4 < exponent < 6:
        text = f"{value:.{max(digits - 1 - exponent, 0)}f}"
        return (text.rstrip("0").rstrip(".") if strip and "." in text else text).replace("-", "−")
    mantissa = f"{value / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".").replace("-", "−")
    return f"{mantissa}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def with_error(value: float | None, sd: float | None) -> str:
    """Write a value and its standard deviation, the latter with two significant digits.

    >>> with_error(0.41234, 0.0352), with_error(1.2341e-6, 4.2e-8), with_error(1.5, None), with_error(None, None)
    ('0.412 ± 0.035', '(1.234 ± 0.042)×10⁻⁶', '1.5', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if sd is None or not math.isfinite(sd) or sd <= 0:
        return number(value)
    top = _exponent(max(abs(value), sd), 2)
    shift = 0 if -4 < top < 6 else top
    scaled, scaled_sd = value / 10.0**shift, sd / 10.0**shift
    decimals = min(max(1 - _exponent(scaled_sd, 2), 0), 8)
    text = f"{scaled:.{decimals}f} ± {scaled_sd:.{decimals}f}".replace("-", "−")
    return f"({text})×10{str(shift).translate(_SUPERSCRIPTS)}" if shift else text


def duration(seconds: float | None) -> str:
    """Write a time span.

    >>> duration(0.0421), duration(8.25), duration(95), duration(7384), duration(None)
    ('42 ms', '8.2 s', '1 min 35 s', '2 h 3 min', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def percent(fraction: float | None) -> str:
    """Write a fraction in per cent.

    >>> percent(0.9333), percent(0.0042), percent(None)
    ('93 %', '0.4 %', '–')
    """
    if fraction is None or not math.isfinite(fraction):
        return "–"
    value = 100 * fraction
    return f"{value:.1f}".removesuffix(".0") + " %" if abs(value) < 9.95 else f"{value:.0f} %"


def quantity(value: str, unit: str) -> str:
    """Put a unit behind an already written value, where there is one."""
    return f"{value} {unit}" if unit and value != "–" else value


_SYMBOLS = {
    "1": "",
    "fraction": "",
    "percent": "%",
    "degC": "°C",
    "angstrom": "Å",
    "1/angstrom": "1/Å",
    "um": "µm",
    "uL": "µL",
    "uL/min": "µL/min",
    "umol/L": "µmol/L",
    "deg": "°",
}


def symbol(unit: str) -> str:
    """Translate a campaign file's spelling of a unit into the usual symbol.

    >>> symbol("degC"), symbol("fraction"), symbol("1/cm")
    ('°C', '', '1/cm')
    """
    return _SYMBOLS.get(unit, unit)


def label(name: str, unit: str = "") -> str:
    """Name an axis or a column: ``temperature (°C)``.

    >>> label("anneal_temperature", "°C"), label("x")
    ('anneal temperature (°C)', 'x')
    """
    text = name.replace("_", " ")
    return f"{text} ({unit})" if unit else text


def alerted(alert: Alert, iteration: int) -> str:
    """Say what a reaction has noticed.

    >>> from loop.records import Alert
    >>> alerted(Alert("0007-ab", "look_closer", "novelty", 14.21, 1.13, "above", 12.0, 4), 7)
    'point 7: novelty 14.2 ± 1.1 is above 12 (look_closer, 4 follow-ups)'
    """
    many = "1 follow-up" if alert.follow_ups == 1 else f"{alert.follow_ups or 'no'} follow-ups"
    return (
        f"point {iteration}: {label(alert.observable)} {with_error(alert.value, alert.sd)} is {alert.side} "
        f"{number(alert.threshold)} ({alert.reaction}, {many})"
    )


def _exponent(value: float, digits: int) -> int:
    """Return the decimal exponent after rounding to `digits` significant digits (0.0999 counts as 0.1)."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])
