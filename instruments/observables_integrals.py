"""Observables that are weighted sums of intensities: exact error propagation, no bias from noise or negative values.

The weights are those of the trapezoidal rule, thus fixed by q alone. Inverse-variance weights would be biased: sigma
of a counted intensity grows with the very fluctuation of that intensity, so low outcomes would weigh more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError

_EDGE = 0.2
"""The first point, the last point and any two neighbours may lie this fraction of the range apart."""


def check_range(kind: str, q_min: float, q_max: float, *, at_least: float = 0.0) -> None:
    """Raise `InstrumentError` unless ``at_least <= q_min < q_max < inf``."""
    if not at_least <= q_min < q_max < np.inf:
        raise InstrumentError(
            f"observable {kind!r}: need {at_least:g} <= q_min < q_max in 1/Å, got q_min {q_min!r} and q_max {q_max!r}"
        )


def check_scale(kind: str, scale_sd: float) -> None:
    """Raise `InstrumentError` unless a relative error of the scale is a fraction."""
    if not 0 <= scale_sd < 1:
        raise InstrumentError(
            f"observable {kind!r}: scale_sd must be a fraction from 0 to below 1 (0.001 is 0.1 %), got {scale_sd!r}"
        )


def points_in(kind: str, curve: Curve, q_min: float, q_max: float, *, at_least: int) -> Curve:
    """Return the points of a range that have an intensity and an error bar.

    Raises
    ------
    InstrumentError
        If they are fewer than `at_least`.
    """
    part = curve.between(q_min, q_max)
    good = np.isfinite(part.intensity) & np.isfinite(part.sigma) & (part.sigma > 0)
    if good.sum() < at_least:
        extent = f"{curve.q[0]:.4g} to {curve.q[-1]:.4g}" if len(curve.q) else "nothing"
        raise InstrumentError(
            f"{kind}: {int(good.sum())} points with intensity and error bar from q = {q_min:.4g} to {q_max:.4g} 1/Å "
            f"({len(part.q)} without regard to these), at least {at_least} are needed; the curve covers {extent}"
        )
    return Curve(part.q[good], part.intensity[good], part.sigma[good])


def trapezoid(kind: str, curve: Curve, q_min: float, q_max: float) -> tuple[Curve, np.ndarray]:
    """Return the points of a range and their trapezoidal weights ``(k,)``, 1/Å.

    Raises
    ------
    InstrumentError
        If points do not cover the range.
    """
    part = points_in(kind, curve, q_min, q_max, at_least=2)
    steps = np.diff(part.q)
    widest = max(part.q[0] - q_min, q_max - part.q[-1], float(steps.max()))
    if widest > _EDGE * (q_max - q_min):
        raise InstrumentError(
            f"{kind}: points from q = {part.q[0]:.4g} to {part.q[-1]:.4g}, at most {steps.max():.3g} 1/Å apart, do not "
            f"cover {q_min:.4g} to {q_max:.4g} 1/Å without a gap of more than {_EDGE:.0%}"
        )
    weights = np.zeros_like(part.q)
    weights[:-1] += steps / 2
    weights[1:] += steps / 2
    return part, weights


def _log10(kind: str, value: float, sd: float, limit: float) -> tuple[float, float]:
    """log10 by the delta method; refused where it would not hold."""
    if value <= limit * sd:
        raise InstrumentError(
            f"{kind}: {value:.3g} ± {sd:.2g} is not above zero by {limit:g} standard deviations, so there is no "
            "logarithm worth the name; expose longer, widen the q-range or check the background"
        )
    return float(np.log10(value)), float(sd / value / np.log(10))


@dataclass(frozen=True)
class Band:
    """log10 of the mean intensity in a q-band.

    The mean is the trapezoidal integral over the band divided by its width, so the band's points need not be evenly
    spaced, and negative points count as what they are.
    """

    q_min: float = 0.01
    """1/Å."""
    q_max: float = 0.02
    """1/Å."""
    min_signal_to_noise: float = 1.0
    """The mean must exceed this many of its standard deviations; below about 3 the logarithm's error bar is rough."""
    scale_sd: float = 0.0
    """Relative standard deviation of the curve's absolute scale (monitor, transmission): it moves all points together
    and is not in their sigma."""

    def __post_init__(self) -> None:
        """Check options."""
        check_range("band", self.q_min, self.q_max)
        check_scale("band", self.scale_sd)
        if not self.min_signal_to_noise >= 0:
            raise InstrumentError(
                f"observable 'band': min_signal_to_noise must be at least 0, got {self.min_signal_to_noise!r}"
            )

    @property
    def unit(self) -> str:
        """log10 of 1/cm."""
        return "log10(1/cm)"

    @property
    def description(self) -> str:
        """What it is."""
        return f"log10 of the mean intensity from {self.q_min:g} to {self.q_max:g} 1/Å"

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return log10 of the mean and its standard deviation."""
        part, weights = trapezoid("band", curve, self.q_min, self.q_max)
        weights = weights / weights.sum()
        value = float(weights @ part.intensity)
        sd = float(np.sqrt(np.sum((weights * part.sigma) ** 2) + (self.scale_sd * value) ** 2))
        return _log10("band", value, sd, self.min_signal_to_noise)


@dataclass(frozen=True)
class Invariant:
    """Scattering invariant ∫ q² I dq over a range; nothing is extrapolated beyond it (Porod, 1951)."""

    q_min: float = 0.005
    """1/Å."""
    q_max: float = 0.2
    """1/Å; subtract the flat background first, it grows with q³ here."""
    log10: bool = False
    """Whether to give log10 of it."""
    scale_sd: float = 0.0
    """Relative standard deviation of the curve's absolute scale (monitor, transmission): it moves all points together
    and is not in their sigma."""

    def __post_init__(self) -> None:
        """Check options."""
        check_range("invariant", self.q_min, self.q_max)
        check_scale("invariant", self.scale_sd)

    @property
    def unit(self) -> str:
        """1/cm times 1/Å³."""
        return "log10(1/(cm Å³))" if self.log10 else "1/(cm Å³)"

    @property
    def description(self) -> str:
        """What it is."""
        return f"{'log10 of the ' if self.log10 else ''}invariant ∫q²I dq from {self.q_min:g} to {self.q_max:g} 1/Å"

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return the invariant and its standard deviation."""
        part, weights = trapezoid("invariant", curve, self.q_min, self.q_max)
        weights = weights * part.q**2
        value = float(weights @ part.intensity)
        sd = float(np.sqrt(np.sum((weights * part.sigma) ** 2) + (self.scale_sd * value) ** 2))
        return _log10("invariant", value, sd, 1.0) if self.log10 else (value, sd)
