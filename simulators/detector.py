"""Where a modular photon-counting detector has pixels that count, and at which angle each of them sees the sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PixelGeometry:
    """Per-pixel geometry of a flat detector normal to the beam, each array ``(ny, nx)``."""

    radius_mm: np.ndarray
    """Distance of the pixel's centre from the direct beam in the detector's plane."""
    q: np.ndarray
    """1/Å."""
    solid_angle_sr: np.ndarray
    """Solid angle of the pixel, p²/L² · cos³2θ."""
    polarisation: np.ndarray
    """Thomson factor for the beam's linear polarisation."""


def pixel_geometry(
    shape: tuple[int, int],
    *,
    beam_centre_px: tuple[float, float],
    pixel_mm: float,
    distance_mm: float,
    wavelength_A: float,
    polarisation_factor: float,
) -> PixelGeometry:
    r"""Compute where each pixel lies.

    Parameters
    ----------
    shape
        ``(ny, nx)``.
    beam_centre_px
        ``(row, column)`` of the direct beam; whole numbers are pixel *centres* (pyFAI's PONI is half a pixel more).
    pixel_mm, distance_mm, wavelength_A
        Pixel size (square), sample to detector, wavelength.
    polarisation_factor
        f in :math:`P = \frac12[1+\cos^2 2\theta - f\cos 2\chi\,\sin^2 2\theta]`, χ from the horizontal (columns): 1 for
        horizontal polarisation, 0 for none.
    """
    down = (np.arange(shape[0])[:, None] - beam_centre_px[0]) * pixel_mm
    across = (np.arange(shape[1])[None, :] - beam_centre_px[1]) * pixel_mm
    squared = down**2 + across**2
    radius = np.sqrt(squared)
    cosine = distance_mm / np.sqrt(distance_mm**2 + squared)
    two_theta = np.arctan2(radius, distance_mm)
    cos_2chi = (across**2 - down**2) / np.where(squared > 0, squared, 1.0)
    return PixelGeometry(
        radius_mm=radius,
        q=4 * np.pi / wavelength_A * np.sin(two_theta / 2),
        solid_angle_sr=(pixel_mm / distance_mm) ** 2 * cosine**3,
        polarisation=0.5 * (1 + cosine**2 - polarisation_factor * cos_2chi * (1 - cosine**2)),
    )


def gap_rows(shape: tuple[int, int], module_rows: int, gap: int) -> np.ndarray:
    """Return ``(ny,)`` bool, True in the rows between modules (a Pilatus 300K: 195 rows, then 17 blind ones)."""
    return np.asarray(np.arange(shape[0]) % (module_rows + gap) >= module_rows)


def defect_pixels(
    live: np.ndarray, *, n_hot: int, n_dead: int, seed: int
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Draw distinct hot and dead pixels among the live ones: ``((row, column), ...)`` each, the same for each seed."""
    chosen = np.random.default_rng(np.random.SeedSequence([seed, 0x9E1])).choice(
        np.flatnonzero(live), size=n_hot + n_dead, replace=False
    )
    pairs = tuple((int(index) // live.shape[1], int(index) % live.shape[1]) for index in chosen)
    return pairs[:n_hot], pairs[n_hot:]
