r"""Polydisperse spheres: voids, vacancy clusters, precipitates, particles in solution.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \phi(1-\phi)\,\Delta\rho^2\,\frac{\langle V^2 P(qR)\rangle}{\langle V\rangle},\qquad
    P(x) = \left[\frac{3(\sin x - x\cos x)}{x^3}\right]^2

with averages over the number distribution of radii. The factor :math:`\phi(1-\phi)` makes the invariant
:math:`\int_0^\infty q^2\,d\Sigma/d\Omega\,dq = 2\pi^2\phi(1-\phi)\Delta\rho^2` exact for two phases; sasmodels'
``sphere`` has :math:`\phi` alone, so its ``scale`` is our :math:`\phi(1-\phi)`. No interparticle interference: keep φ
below some 5 %.

================  =========  ================  ==============================================================
parameter         unit       valid range       meaning
================  =========  ================  ==============================================================
radius            Å          0.5 .. 1e5        Schulz: mean of the number distribution; log-normal: its median
polydispersity    (ratio)    0 .. 0.7          Schulz: sd/mean; log-normal: sd of ln R; 0 is monodisperse
volume_fraction   (ratio)    0 .. 0.5          φ
contrast          1/Å²       -1e-3 .. 1e-3     SLD difference Δρ (for a void: the matrix's SLD)
================  =========  ================  ==============================================================

The Schulz average is closed (Kotlarchyk & Chen 1983, doi:10.1063/1.446055, after Aragón & Pecora 1976,
doi:10.1063/1.432528), from ``E[R^m exp(itR)] = θ^m Γ(k+m)/Γ(k) (1 - itθ)^-(k+m)`` with k = 1/p² and θ = R p²; the
log-normal one is a trapezoid sum in ln R, fine enough for the oscillations at the largest qR.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import ParameterError
from simulators.scattering.arguments import PER_CM, columns, momentum_transfer

SizeDistribution = Literal["schulz", "lognormal"]

_SERIES_BELOW = 0.3
"""Below this x the closed forms lose digits to cancellation and the power series takes over."""
_SERIES = tuple(
    # Coefficient of x^(2m) in (sin x - x cos x)² = [1 + x² - (1 - x²) cos 2x - 2x sin 2x] / 2, for m = 3 .. 10.
    0.5
    * (
        -((-1) ** m) * 4**m / math.factorial(2 * m)
        + (-1) ** (m - 1) * 4 ** (m - 1) / math.factorial(2 * m - 2)
        - 2 * (-1) ** (m - 1) * 2 ** (2 * m - 1) / math.factorial(2 * m - 1)
    )
    for m in range(3, 11)
)
_BLOCK = 2_000_000
"""Elements of the largest temporary in the log-normal average, so that memory stays bounded."""


def spheres(
    q: ArrayLike,
    *,
    radius: ArrayLike,
    volume_fraction: ArrayLike,
    contrast: ArrayLike,
    polydispersity: ArrayLike = 0.0,
    distribution: SizeDistribution = "schulz",
) -> np.ndarray:
    """Scattering of polydisperse spheres; equation, units and ranges at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, volume_fraction, contrast, polydispersity
        Numbers or ``(n,)``.
    distribution
        ``"schulz"`` or ``"lognormal"``.

    Returns
    -------
    ndarray
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range, or the distribution unknown.
    """
    q = momentum_transfer(q)
    r, phi, drho, p = columns(
        radius=(radius, 0.5, 1e5, "Å"),
        volume_fraction=(volume_fraction, 0.0, 0.5, "(ratio)"),
        contrast=(contrast, -1e-3, 1e-3, "1/Å²"),
        polydispersity=(polydispersity, 0.0, 0.7, "(ratio)"),
    )
    prefactor = phi * (1 - phi) * drho**2 * PER_CM
    if distribution == "schulz":
        averaged = _schulz(q, r, p)
    elif distribution == "lognormal":
        averaged = _lognormal(q, r, p)
    else:
        raise ParameterError(f"distribution must be 'schulz' or 'lognormal', got {distribution!r}")
    return np.asarray(prefactor * averaged)


def sphere_amplitude_squared(x: np.ndarray) -> np.ndarray:
    """Return (sin x - x cos x)², accurate down to x = 0: the sphere's P(x) is 9/x⁶ times this."""
    small = np.minimum(x, _SERIES_BELOW)
    series = np.polynomial.polynomial.polyval(small**2, _SERIES) * small**6
    return np.where(x < _SERIES_BELOW, series, (np.sin(x) - x * np.cos(x)) ** 2)


def _monodisperse(q: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return V·P for one radius per row, ``(n, k)`` in Å³."""
    return 12 * np.pi * sphere_amplitude_squared(q * radius) / (q**6 * radius**3)


def _schulz(q: np.ndarray, mean: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return <V²P>/<V>, ``(n, k)`` in Å³, for a Schulz distribution of radii."""
    # Below 1e-3 the width changes nothing that double precision could show, and k = 1/p² grows without bound.
    sharp = p[:, 0] < 1e-3
    if sharp.all():
        return _monodisperse(q, mean)
    width = np.where(p < 1e-3, 1e-3, p)
    k, theta = width**-2, mean * width**2
    x = q * theta
    # E[R^m cos 2qR] = θ^m (k)_m (1 + 4x²)^(-(k+m)/2) cos((k+m) atan 2x), and the same with sine;
    # (k)_m = k(k+1)..(k+m-1).
    angle, log_modulus = np.arctan(2 * x), 0.5 * np.log1p(4 * x**2)

    def wave(m: int) -> tuple[np.ndarray, np.ndarray]:
        modulus = np.exp(-(k + m) * log_modulus)
        return modulus * np.cos((k + m) * angle), modulus * np.sin((k + m) * angle)

    cos0, _ = wave(0)
    _, sin1 = wave(1)
    cos2, _ = wave(2)
    second = k * (k + 1) * x**2
    closed = 0.5 * (1 + second - cos0 + second * cos2 - 2 * k * x * sin1)

    # Series in moments for small arguments, judged at the radius that weighs most there (mean of R⁶ f(R)).
    small = np.minimum(x, _SERIES_BELOW / (k + 6))
    rising = np.ones_like(k)
    for j in range(6):
        rising = rising * (k + j)
    series = np.zeros_like(small)
    for order, coefficient in enumerate(_SERIES):
        series += coefficient * rising * small ** (6 + 2 * order)
        rising = rising * (k + 6 + 2 * order) * (k + 7 + 2 * order)
    amplitude = np.where(x * (k + 6) < _SERIES_BELOW, series, closed)

    mean_cube = theta**3 * k * (k + 1) * (k + 2)
    averaged = 12 * np.pi * amplitude / (q**6 * mean_cube)
    if sharp.any():
        averaged[sharp] = _monodisperse(q, mean[sharp])
    return averaged


def _lognormal(q: np.ndarray, median: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return <V²P>/<V>, ``(n, k)`` in Å³, for a log-normal distribution of radii."""
    result = np.empty((median.shape[0], q.size))
    for row, (centre, width) in enumerate(zip(median[:, 0], p[:, 0], strict=True)):
        if width < 1e-3:
            result[row] = _monodisperse(q, np.array([[centre]]))[0]
            continue
        # At high q the radii count as R² f(R), at low q as R⁶ f(R): log-normals again, centred 2 and 6 sd² higher.
        low, high = math.log(centre) + 2 * width**2 - 7 * width, math.log(centre) + 6 * width**2 + 7 * width
        # The sum over a Gaussian weight is exact as long as cos 2qR turns by less than π from node to node, where
        # weight and amplitude both matter (radii up to 3 sd above the R² centre).
        largest = float(q.max()) * centre * math.exp(2 * width**2 + 3 * width)
        steps = int(min(max(96, (high - low) * 2 * largest / 2.0), 20_000))
        log_r = np.linspace(low, high, steps)
        radii = np.exp(log_r)
        weight = np.exp(-0.5 * ((log_r - math.log(centre)) / width) ** 2)
        weight *= (log_r[1] - log_r[0]) / (width * math.sqrt(2 * math.pi))
        mean_cube = centre**3 * math.exp(4.5 * width**2)
        for start in range(0, q.size, max(1, _BLOCK // steps)):
            part = slice(start, start + max(1, _BLOCK // steps))
            amplitude = sphere_amplitude_squared(q[part, None] * radii) @ weight
            result[row, part] = 12 * np.pi * amplitude / (q[part] ** 6 * mean_cube)
    return result
