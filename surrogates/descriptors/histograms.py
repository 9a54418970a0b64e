"""Histograms of element properties over the atoms of a composition: linear in the atomic fractions.

Each element is spread over the bins near its value by a triangle, so that elements that are alike look alike, whatever
bin they fall into. The mean is not changed by that: bin centres times histogram is the mean of the property.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.elements import element_table
from surrogates.descriptors.formulas import SYMBOLS


@dataclass(frozen=True)
class Histogram:
    """Bins of a property, equally far apart."""

    quantity: str
    """As in `element_table`."""
    unit: str
    first: float
    """Centre of the first bin."""
    step: float
    bins: int
    half_width: int = 1
    """Of the triangle, in bins. 1 with whole numbers: one bin for each. Less near the ends, to keep the mean."""

    @property
    def centres(self) -> np.ndarray:
        """``(bins,)`` in the property's unit."""
        return np.round(self.first + self.step * np.arange(self.bins), 6)

    @property
    def last(self) -> float:
        """Centre of the last bin."""
        return float(self.centres[-1])

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return how values ``(n,)`` are shared among the bins, ``(n, bins)``; what is beyond the ends counts there."""
        place = np.clip((values - self.first) / self.step, 0, self.bins - 1)
        to_end = np.ceil(np.minimum(place, self.bins - 1 - place))
        width = np.clip(to_end, 1, self.half_width)[:, None]
        share = np.maximum(1 - np.abs(place[:, None] - np.arange(self.bins)) / width, 0) / width
        return np.asarray(share / share.sum(1, keepdims=True))

    def features(self) -> list[Feature]:
        """Return the columns."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return [
            Feature(f"{self.quantity} {centre:g}{unit}", "1", self._meaning(centre)) for centre in self.centres.tolist()
        ]

    def _meaning(self, centre: float) -> str:
        if self.quantity == "atomic_number":
            return f"Share of the atoms that are {SYMBOLS[round(centre)]}"
        name = self.quantity.replace("_", " ").replace("mendeleev", "Mendeleev")
        if self.quantity.startswith("valence_"):
            return f"Share of the atoms that have {centre:g} {self.quantity[-1]} electrons beyond the noble gas core"
        if self.half_width == 1:
            return f"Share of the atoms with {name} {centre:g}"
        width = f"{self.half_width * self.step:g} {self.unit}"
        return f"Share of the atoms with {name} {centre:g} {self.unit}, over a triangle of ±{width}"


_SMOOTH = {"bins": 80, "half_width": 4}
HISTOGRAMS = (
    Histogram("atomic_number", "1", 1, 1, 118),
    Histogram("group", "1", 1, 1, 18),
    Histogram("period", "1", 1, 1, 7),
    Histogram("mendeleev_number", "1", 1, 1, 103),
    Histogram("atomic_mass", "u", 0, 4, **_SMOOTH),
    Histogram("melting_point", "K", 0, 50, **_SMOOTH),
    Histogram("electronegativity", "Pauling", 0.06, 0.06, **_SMOOTH),
    Histogram("atomic_radius", "Å", 0.24, 0.03, **_SMOOTH),
    Histogram("ionic_radius", "Å", -0.3, 0.03, **_SMOOTH),
    Histogram("crystal_radius", "Å", -0.3, 0.03, **_SMOOTH),
    Histogram("covalent_radius", "Å", 0.24, 0.03, **_SMOOTH),
    Histogram("valence_s", "1", 0, 1, 3),
    Histogram("valence_p", "1", 0, 1, 7),
    Histogram("valence_d", "1", 0, 1, 11),
    Histogram("valence_f", "1", 0, 1, 15),
)
"""842 bins. What the properties are stands in `surrogates.descriptors.elements`."""


def histogram_table() -> np.ndarray:
    """Return how each element is shared among the bins of all histograms, ``(118, 842)``; row 0 is hydrogen."""
    table = element_table()
    return np.hstack([histogram.spread(table[histogram.quantity][1:]) for histogram in HISTOGRAMS])


def histogram_features() -> list[Feature]:
    """Return the columns of `histogram_table`."""
    return [feature for histogram in HISTOGRAMS for feature in histogram.features()]
