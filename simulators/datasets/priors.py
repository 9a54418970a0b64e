"""Distributions that a recipe may draw numbers from, each by its quantile function: one uniform number, one value."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import ndtr, ndtri

from simulators.datasets.base import Section, refuse

Array = NDArray[np.float64]


class _Bounded(Section):
    low: float
    """Lowest value."""
    high: float
    """Highest value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            refuse("prior", [(("low",), self.low, f"a number less than high ({self.high:g})")])
        return self

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value that can come."""
        return self.low, self.high

    def clipped(self, low: float, high: float) -> Self:
        """Return the same distribution, its bounds brought inside some limits."""
        return self.model_copy(update={"low": max(self.low, low), "high": min(self.high, high)})


class Uniform(_Bounded):
    """Equally likely between two bounds."""

    kind: Literal["uniform"]
    """Equally likely between the bounds."""

    def quantile(self, share: Array) -> Array:
        """Return the values below which these shares lie, ``(n,)``."""
        return self.low + (self.high - self.low) * share

    def widened(self, share: float) -> Self:
        """Return a range that is wider by this share, half of it at each end."""
        more = 0.5 * share * (self.high - self.low)
        return self.model_copy(update={"low": self.low - more, "high": self.high + more})


class LogUniform(_Bounded):
    """Its logarithm equally likely between two bounds above 0."""

    kind: Literal["loguniform"]
    """The logarithm equally likely between the bounds."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.low <= 0:
            refuse("prior", [(("low",), self.low, "a number greater than 0")])
        return self

    def quantile(self, share: Array) -> Array:
        """Return the values below which these shares lie, ``(n,)``."""
        return self.low * np.exp(math.log(self.high / self.low) * share)

    def widened(self, share: float) -> Self:
        """Return a range whose logarithm is wider by this share, half of it at each end."""
        more = math.exp(0.5 * share * math.log(self.high / self.low))
        return self.model_copy(update={"low": self.low / more, "high": self.high * more})


class Normal(_Bounded):
    """Normal, cut at two bounds."""

    kind: Literal["normal"]
    """Normal, cut at the bounds."""
    mean: float
    """Mean before the cut."""
    sd: Annotated[float, Field(gt=0)]
    """Standard deviation before the cut."""

    @model_validator(mode="after")
    def _around(self) -> Self:
        if not self.low < self.mean < self.high:
            refuse("prior", [(("mean",), self.mean, f"a number between low and high ({self.low:g}, {self.high:g})")])
        return self

    def quantile(self, share: Array) -> Array:
        """Return the values below which these shares lie, ``(n,)``."""
        first, last = ndtr((self.low - self.mean) / self.sd), ndtr((self.high - self.mean) / self.sd)
        return np.clip(self.mean + self.sd * ndtri(first + (last - first) * share), self.low, self.high)

    def widened(self, share: float) -> Self:
        """Return a distribution whose spread and range are wider by this share, half of it at each end."""
        more = 0.5 * share * (self.high - self.low)
        update = {"low": self.low - more, "high": self.high + more, "sd": self.sd * (1 + share)}
        return self.model_copy(update=update)


class Fixed(Section):
    """Always the same."""

    kind: Literal["fixed"]
    """Always the same number."""
    value: float
    """The number."""

    @property
    def range(self) -> tuple[float, float]:
        """The number, twice."""
        return self.value, self.value

    def quantile(self, share: Array) -> Array:
        """Return the number, ``(n,)`` times."""
        return np.full(share.shape, self.value)

    def widened(self, share: float) -> Self:
        """Return itself: what is known is known in a test as well."""
        return self

    def clipped(self, low: float, high: float) -> Self:
        """Return itself."""
        return self


Prior = Annotated[Uniform | LogUniform | Normal | Fixed, Field(discriminator="kind")]
"""How one number is drawn."""
