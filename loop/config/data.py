"""What becomes of a frame: reduction to a curve, and the gate that keeps bad data from the model.

The keys are those of the classes they configure (a test holds them together); what is left out keeps its default there.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loop.config.base import NotNegative, Positive, Section, refuse

Share = Annotated[float, Field(ge=0, le=1)]


class Reduction(Section):
    """From the 2-D frame to I(q); what is left out keeps the default of `instruments.reduction.Reducer`."""

    n_bins: Annotated[int, Field(ge=2)] | None = None
    """Number of q bins."""
    q_range: Annotated[tuple[NotNegative, Positive], Field(strict=False)] | None = None
    """Lower and upper edge of the bins, 1/Å; null: all that the detector sees."""
    split: Literal["no", "bbox"] | None = None
    """Whether a pixel's counts go into one bin (`no`: bins are independent) or are shared between bins (`bbox`)."""
    correct_solid_angle: bool | None = None
    """Whether to correct for the fall-off of a pixel's solid angle with the scattering angle."""
    polarization_factor: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Polarisation of the beam: 1 horizontal, -1 vertical, 0 unpolarised; null: the instrument's."""
    monitor_efficiency: Positive | None = None
    """Monitor counts per incident photon; null: the instrument's."""
    calibration: Positive | None = None
    """Dimensionless factor on the result, from a standard such as glassy carbon."""
    dark_rate: NotNegative | None = None
    """Counts per pixel and second without beam; null: the instrument's."""
    hot_pixel_probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Leave out pixels whose count is less likely than this; null: keep all."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.q_range is not None and not self.q_range[0] < self.q_range[1]:
            refuse("reduction", [(("q_range",), list(self.q_range), "the lower edge first")])
        return self


class Quality(Section):
    """When a measurement is refused; what is left out keeps the default of `instruments.quality.QualityGate`."""

    q_low: Positive | None = None
    """Usable points must begin at or below it, 1/Å."""
    q_high: Positive | None = None
    """Usable points must reach to or beyond it, 1/Å."""
    min_points: Annotated[int, Field(ge=0)] | None = None
    """Usable points needed between `q_low` and `q_high`."""
    max_gap: Share | None = None
    """Widest gap between usable points, as a fraction of ln(q_high / q_low)."""
    max_bad_sigma: Share | None = None
    """Fraction of points in the needed range that may have no usable sigma."""
    max_nonfinite: Share | None = None
    """Fraction of points that may have NaN or infinite intensity."""
    max_nonpositive: Share | None = None
    """Fraction of points in the needed range that may have intensity <= 0."""
    min_signal_to_noise: NotNegative | None = None
    """I / sigma needed (median over sections of the needed range)."""
    max_outliers: Share | None = None
    """Fraction of points in the needed range that may stand out from both neighbours."""
    saturation_counts: NotNegative | None = None
    """Counts at which a pixel is saturated."""
    max_saturated: Share | None = None
    """Fraction of unmasked pixels that may be saturated."""
    max_unusable: Share | None = None
    """Fraction of unmasked pixels that may be without a count."""
    max_dead_area: Share | None = None
    """Fraction of unmasked area that may count nothing while the rest counts."""
    min_total_counts: NotNegative | None = None
    """Counts needed in all unmasked pixels together."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.q_low is not None and self.q_high is not None and not self.q_low < self.q_high:
            refuse("quality", [(("q_low",), self.q_low, f"a number less than q_high ({self.q_high:g})")])
        return self
