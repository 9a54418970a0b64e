"""From one curve dΣ/dΩ(q) to the expected counts of every pixel, fast enough to be done for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import InstrumentModelError

_NODES = 8192
"""Nodes of the log-q table between curve and pixels: linear interpolation in it errs by less than 1e-5 of dΣ/dΩ."""
_MOST_PHOTONS = 1e18
"""Per steradian: a counter is saturated long before, and Poisson numbers above 2⁶³ cannot be drawn."""


@dataclass(frozen=True, eq=False)
class Illumination:
    """The pixels that photons reach, each array ``(p,)``."""

    q: np.ndarray
    """1/Å."""
    weight_sr: np.ndarray
    """Solid angle times polarisation."""
    background_per_s: np.ndarray
    """Counts per second of air, window and slit scattering, without a sample."""

    @cached_property
    def q_range(self) -> tuple[float, float]:
        """Smallest and largest q, 1/Å, widened by a rounding error."""
        return float(self.q.min()) * (1 - 1e-9), float(self.q.max()) * (1 + 1e-9)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log q of the nodes; for each pixel its node, and the weight of the next one."""
        low, high = np.log(self.q_range)
        nodes = np.linspace(low, high, _NODES)
        position = (np.log(self.q) - low) / (nodes[1] - nodes[0])
        index = np.clip(position.astype(np.int32), 0, _NODES - 2)
        return nodes, index, position - index

    def scattered(self, q: np.ndarray, intensity: np.ndarray, photons_cm: float) -> np.ndarray:
        """Return the expected counts of the sample's scattering, interpolated in log-log.

        Parameters
        ----------
        q, intensity
            ``(k,)`` 1/Å and dΣ/dΩ in 1/cm, from `checked_curve`.
        photons_cm
            Incident photons times transmission times thickness in cm.

        Returns
        -------
        ndarray
            ``(p,)``.
        """
        nodes, index, weight = self._table
        floor = np.finfo(np.float64).tiny
        table = np.exp(np.interp(nodes, np.log(q), np.log(np.maximum(intensity, floor))))
        table = np.minimum(table * photons_cm, _MOST_PHOTONS)
        counts = weight * np.diff(table)[index]
        counts += table[index]
        counts *= self.weight_sr
        return counts


def checked_curve(q: ArrayLike, cross_section: ArrayLike, needed: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve as arrays.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    cross_section
        ``(k,)`` dΣ/dΩ in 1/cm.
    needed
        Smallest and largest q that it must cover, 1/Å.

    Raises
    ------
    InstrumentModelError
        If q does not increase or does not cover what is needed, or dΣ/dΩ is negative or not finite.
    """
    q = np.asarray(q, dtype=np.float64)
    intensity = np.asarray(cross_section, dtype=np.float64)
    if q.ndim != 1 or q.shape != intensity.shape or q.size < 2:
        raise InstrumentModelError(f"q and cross_section must both be (k,), k > 1, got {q.shape}, {intensity.shape}")
    if not (np.all(np.isfinite(q)) and q[0] > 0 and np.all(np.diff(q) > 0)):
        raise InstrumentModelError("q must be finite, positive and strictly increasing")
    bad = ~(np.isfinite(intensity) & (intensity >= 0))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise InstrumentModelError(f"dΣ/dΩ must be finite and not negative, got {intensity[at]} at q = {q[at]:g} 1/Å")
    low, high = needed
    if q[0] > low * (1 + 1e-6) or q[-1] < high * (1 - 1e-6):
        raise InstrumentModelError(
            f"q must cover the detector, {low:.6g} to {high:.6g} 1/Å, got {q[0]:.6g} to {q[-1]:.6g}; use q_grid()"
        )
    return q, intensity
