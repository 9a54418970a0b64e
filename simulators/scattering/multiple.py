r"""Multiple scattering in thick samples: what a curve looks like when photons scatter more than once.

Events in a sample of thickness t follow each other without memory, so their number is Poisson with the mean (the
scattering power) τ, and n of them spread the beam as the n-fold convolution of one. A Hankel transform turns
convolutions into products and the Poisson sum into an exponential (Schelten & Schmatz 1980, J. Appl. Cryst. 13, 385;
reviewed by Jensen & Barker 2018, doi:10.1107/S1600576718010816):

.. math::
    \hat\tau(r) = \frac{t\lambda^2}{2\pi}\int_0^\infty \frac{d\Sigma}{d\Omega}(q)\,J_0(qr)\,q\,dq,\qquad
    \tau = \hat\tau(0),\qquad
    \left(\frac{d\Sigma}{d\Omega}\right)_m(q) = \frac{2\pi}{t\lambda^2}\,N\int_0^\infty
    \left[e^{\hat\tau(r)}-1\right]J_0(qr)\,r\,dr

N = 1 normalises to the transmitted beam, which has lost exp(-τ) to scattering as well, N = exp(-τ) to the beam that
absorption alone weakens. The first term of the exponential's series is the curve itself and is not transformed: a thin
sample comes out exactly, and the tail keeps its digits. Transforms are fast Hankel ones on a logarithmic grid (Hamilton
2000, doi:10.1046/j.1365-8711.2000.03071.x).

Valid for small angles (q far below 2π/λ), and for scattering that falls off faster than q⁻²: a flat background, which
has no scattering power of its own in this sense, is to be added afterwards. No account of coherence between events
(thickness far above the structure's size) or of absorption along slanted paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import ParameterError
from simulators.scattering.arguments import momentum_transfer

Curve = Callable[[np.ndarray], ArrayLike]
"""dΣ/dΩ in 1/cm, ``(n, k)`` or ``(k,)``, as a function of q ``(k,)`` in 1/Å."""

_POINTS = 8192
_BELOW, _ABOVE = 1e5, 1e4
"""How far the transform's grid goes beyond the q asked for: it is periodic in log q, so both ends must be next to 0."""
_STRONGEST = 30.0


def multiple_scattering(
    curve: Curve, q: ArrayLike, *, thickness_cm: float, wavelength_A: float, transmitted: bool = True
) -> np.ndarray:
    """Return dΣ/dΩ as a thick sample shows it.

    Parameters
    ----------
    curve
        dΣ/dΩ of single scattering in 1/cm as a function of q ``(k,)`` in 1/Å; called with q from 1e5 times below the
        lowest to 1e4 times above the highest q asked for. `tabulated` makes one from points.
    q
        ``(k,)`` 1/Å.
    thickness_cm, wavelength_A
        Above 0.
    transmitted
        True to normalise to the transmitted beam, False to the beam without loss by scattering.

    Returns
    -------
    ndarray
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If thickness or wavelength is not above 0, the curve is no curve or falls off too slowly, or the scattering
        power exceeds 30 (nothing of the single scattering is left).
    """
    from scipy.fft import fht, fhtoffset
    from scipy.interpolate import CubicSpline

    q = _momentum_transfer(q)
    per_event, grid, single = _sampled(curve, q, thickness_cm, wavelength_A)
    step = math.log(grid[1] / grid[0])
    offset = fhtoffset(step, mu=0.0)
    # Conjugate points come in the order of r = exp(offset) / q, turned over.
    r = math.exp(offset) / grid[::-1]
    power = per_event * fht(single * grid, step, mu=0.0, offset=offset) / r
    total = _power(per_event, grid, single)
    if total.max() > _STRONGEST:
        raise ParameterError(
            f"the scattering power is {total.max():.3g} events per photon, at most {_STRONGEST:g} can be treated: "
            f"give a thinner sample than {thickness_cm:g} cm or a shorter wavelength than {wavelength_A:g} Å"
        )
    higher = np.expm1(power) - power
    added = fht(higher * r, step, mu=0.0, offset=offset) / (per_event * grid)
    # Single scattering is known exactly at the q asked for, which lie between points of the grid.
    result = _called(curve, q) + CubicSpline(np.log(grid), added, axis=1)(np.log(q))
    return result if transmitted else result * np.exp(-total)[:, None]


def scattering_power(curve: Curve, q: ArrayLike, *, thickness_cm: float, wavelength_A: float) -> np.ndarray:
    """Return the mean number τ of scattering events per photon, ``(n,)``; arguments and errors as above."""
    return _power(*_sampled(curve, _momentum_transfer(q), thickness_cm, wavelength_A))


def tabulated(q: ArrayLike, intensity: ArrayLike) -> Curve:
    """Return a curve through points: level below the first, and beyond the last falling as the last points do.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å, rising.
    intensity
        ``(k,)`` or ``(n, k)`` 1/cm, above 0.

    Raises
    ------
    ParameterError
        If q does not rise, an intensity is not above 0, or the shapes differ.
    """
    x = _momentum_transfer(q)
    y = np.atleast_2d(np.asarray(intensity, dtype=np.float64))
    if x.size < 2 or np.any(np.diff(x) <= 0):
        raise ParameterError("q must hold two points or more and rise from each to the next")
    if y.shape[1:] != x.shape:
        raise ParameterError(f"intensity must be (k,) or (n, k) with k = {x.size}, got {y.shape}")
    if not np.all((y > 0) & np.isfinite(y)):
        raise ParameterError("intensity must be finite and above 0 1/cm at every q")
    log_q, log_i = np.log(x), np.log(y)
    # A tenth of the points, for one alone is noise; and no tail that would hold endless power.
    tail = max(2, x.size // 10)
    slope = np.minimum(np.polyfit(log_q[-tail:], log_i[:, -tail:].T, 1)[0], -2.5)

    def curve(at: np.ndarray) -> np.ndarray:
        log_at = np.log(at)
        inner = np.stack([np.interp(log_at, log_q, row) for row in log_i])
        return np.asarray(np.exp(inner + slope[:, None] * np.maximum(log_at - log_q[-1], 0)))

    return curve


def _momentum_transfer(q: ArrayLike) -> np.ndarray:
    return momentum_transfer(np.asarray(q, dtype=np.float64)).numpy()


def _sampled(
    curve: Curve, q: np.ndarray, thickness_cm: float, wavelength_A: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return tλ²/2π in Å²·cm, the grid ``(m,)`` and the curve on it ``(n, m)``."""
    for name, value, unit in (("thickness_cm", thickness_cm, "cm"), ("wavelength_A", wavelength_A, "Å")):
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(f"{name} must be finite and above 0 {unit}, got {value!r}")
    grid = np.geomspace(q.min() / _BELOW, q.max() * _ABOVE, _POINTS)
    single = _called(curve, grid)
    if np.any((single * grid**2)[:, -1] > 1e-3 * (single * grid**2).max(axis=1)):
        raise ParameterError(
            "the curve must fall off faster than q⁻² at large q; leave flat backgrounds out and add them afterwards"
        )
    if np.any((single * grid**2)[:, 0] > 1e-3 * (single * grid**2).max(axis=1)):
        raise ParameterError("the curve must rise more slowly than q⁻² towards q = 0: give it an outer cut-off")
    return thickness_cm * wavelength_A**2 / (2 * math.pi), grid, single


def _called(curve: Curve, q: np.ndarray) -> np.ndarray:
    values = np.atleast_2d(np.asarray(curve(q), dtype=np.float64))
    if values.shape[1:] != q.shape or not np.all(np.isfinite(values) & (values >= 0)):
        raise ParameterError(
            f"the curve must return finite dΣ/dΩ of 0 or more, (k,) or (n, k) with k = {q.size}, got {values.shape}"
        )
    return values


def _power(per_event: float, grid: np.ndarray, single: np.ndarray) -> np.ndarray:
    # Below the grid the curve is level.
    inner = np.trapezoid(single * grid**2, np.log(grid), axis=1)
    return np.asarray(per_event * (inner + 0.5 * single[:, 0] * grid[0] ** 2))
