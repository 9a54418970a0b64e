r"""Polydisperse spheres: voids, vacancy clusters, precipitates, particles in solution.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \phi(1-\phi)\,\Delta\rho^2\,\frac{\langle V^2 P(qR)\rangle}{\langle V\rangle},\qquad
    P(x) = \left[\frac{3(\sin x - x\cos x)}{x^3}\right]^2

with averages over the number distribution of radii. The factor :math:`\phi(1-\phi)` makes the invariant
:math:`\int_0^\infty q^2\,d\Sigma/d\Omega\,dq = 2\pi^2\phi(1-\phi)\Delta\rho^2` exact for two phases; sasmodels'
``sphere`` has :math:`\phi` alone, so its ``scale`` is our :math:`\phi(1-\phi)`. No interparticle interference: keep φ
below some 5 %. Parameters, units and ranges: `KERNELS`.

The Schulz average is closed (`simulators.scattering.schulz`). The log-normal one is a trapezoid sum in ln R, fine
enough for the oscillations at the largest qR; for widths of 0.1 to 0.5 it is tabulated, within 1e-4.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from simulators.errors import ParameterError
from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.schulz import layered_square, moment
from simulators.scattering.tables import Axis, ScalingTable

SizeDistribution = Literal["schulz", "lognormal"]

_PARAMETERS = (
    Parameter("radius", "Å", 0.5, 1e5, 50.0, "Schulz: mean of the number distribution; log-normal: its median"),
    Parameter("volume_fraction", "(ratio)", 0.0, 0.5, 0.005, "φ"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 6.7e-5, "SLD difference Δρ (for a void: the matrix's SLD)"),
    Parameter("polydispersity", "(ratio)", 0.0, 0.7, 0.2, "Schulz: sd/mean; log-normal: sd of ln R; 0: one size"),
)
_SERIES_BELOW = 0.3
"""Below this x the closed form loses digits to cancellation and the power series takes over."""
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
    q: Values,
    *,
    radius: Values,
    volume_fraction: Values,
    contrast: Values,
    polydispersity: Values = 0.0,
    distribution: SizeDistribution = "schulz",
) -> Tensor:
    """Scattering of polydisperse spheres; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, volume_fraction, contrast, polydispersity
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"schulz"`` or ``"lognormal"``.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range, or the distribution unknown.
    """
    q = momentum_transfer(q)
    r, phi, drho, p = columns(
        q,
        _PARAMETERS,
        radius=radius,
        volume_fraction=volume_fraction,
        contrast=contrast,
        polydispersity=polydispersity,
    )
    prefactor = phi * (1 - phi) * drho**2 * PER_CM
    if distribution == "schulz":
        averaged = schulz_average(q, r, p)
    elif distribution == "lognormal":
        averaged = lognormal_average(q, r, p)
    else:
        raise ParameterError(f"distribution must be 'schulz' or 'lognormal', got {distribution!r}")
    return prefactor * averaged


def sphere_amplitude_squared(x: Tensor) -> Tensor:
    """Return (sin x - x cos x)², accurate down to x = 0: the sphere's P(x) is 9/x⁶ times this."""
    closed = torch.sin(x).sub_(x * torch.cos(x)).square_()
    small = x < _SERIES_BELOW
    if not bool(small.any()):
        return closed
    square = x[small] ** 2
    series = torch.zeros_like(square)
    for coefficient in reversed(_SERIES):
        series.mul_(square).add_(coefficient)
    closed[small] = series * square**3
    return closed


def _monodisperse(q: Tensor, radius: Tensor) -> Tensor:
    """Return V·P for one radius per row, ``(n, k)`` in Å³."""
    x = q * radius
    return 12 * math.pi * radius**3 * sphere_amplitude_squared(x) / x**6


def schulz_average(q: Tensor, mean: Tensor, p: Tensor) -> Tensor:
    """Return <V²P>/<V>, ``(n, k)`` in Å³, for a Schulz distribution of radii."""
    sharp = p[:, 0] < 1e-3
    if bool(sharp.all()):
        return _monodisperse(q, mean)
    one = torch.ones_like(mean)
    # q³R³ first: q⁶ and R³ apart could leave the range of single precision.
    cube = (q * q * q) * moment(mean, p, 3)
    averaged = 12 * math.pi * layered_square(q, mean, p, [(one, one)]) / (cube * (q * q * q))
    if bool(sharp.any()):
        averaged[sharp] = _monodisperse(q, mean[sharp])
    return averaged


def lognormal_average(q: Tensor, median: Tensor, p: Tensor) -> Tensor:
    """Return <V²P>/<V>, ``(n, k)`` in Å³, for a log-normal distribution of radii."""
    tabulated = (p[:, 0] >= _TABULATED.low) & (p[:, 0] <= _TABULATED.high)
    result = torch.empty((median.shape[0], q.numel()), dtype=q.dtype, device=q.device)
    if bool(tabulated.any()):
        centre, width = median[tabulated], p[tabulated]
        # <R⁶>/<R³> = R³ exp(13.5 sd²).
        forward = 4 / 3 * math.pi * centre**3 * torch.exp(13.5 * width**2)
        # The weight of the sixth power sits at R exp(6 sd²): that size makes one scale of all widths.
        result[tabulated] = forward * _TABLE(q * centre * torch.exp(6 * width**2), width)
    for row in (~tabulated).nonzero()[:, 0].tolist():
        result[row] = _lognormal_sum(q.double(), float(median[row, 0]), float(p[row, 0])).to(q.dtype)
    return result


def _lognormal_sum(q: Tensor, centre: float, width: float) -> Tensor:
    """Return <V²P>/<V>, ``(k,)`` in Å³, for one log-normal distribution, by a sum over radii."""
    if width < 1e-3:
        return _monodisperse(q, torch.tensor([[centre]], dtype=q.dtype, device=q.device))[0]
    mean_cube = centre**3 * math.exp(4.5 * width**2)
    # At high q the radii count as R² f(R), at low q as R⁶ f(R): log-normals again, centred 2 and 6 sd² higher.
    low, high = math.log(centre) + 2 * width**2 - 7 * width, math.log(centre) + 6 * width**2 + 7 * width
    result = torch.empty_like(q)
    # Where 2qR turns by many radians within one sd the fringes are gone: the mean of (S(x))², (1 + x²)/2, is left.
    gone = q * (centre * width) > 6 * math.exp(2 * width**2 + 3 * width)
    result[gone] = 0.5 * (1 + (q[gone] * centre) ** 2 * math.exp(2 * width**2))
    places = (~gone).nonzero()[:, 0]
    # The sum over a Gaussian weight is exact as long as cos 2qR turns by less than π from node to node, where weight
    # and amplitude both matter (radii up to 3 sd above the R² centre).
    largest = (float(q[places].max()) if places.numel() else 0.0) * centre * math.exp(2 * width**2 + 3 * width)
    steps = int(min(max(96, (high - low) * 2 * largest / 2.0), 20_000))
    log_r = torch.linspace(low, high, steps, dtype=q.dtype, device=q.device)
    radii = torch.exp(log_r)
    weight = torch.exp(-0.5 * ((log_r - math.log(centre)) / width) ** 2)
    weight *= (high - low) / (steps - 1) / (width * math.sqrt(2 * math.pi))
    for part in places.split(max(1, _BLOCK // steps)):
        result[part] = sphere_amplitude_squared(q[part, None] * radii) @ weight
    return 12 * math.pi * result / (q**6 * mean_cube)


def _lognormal_shape(x: Tensor, widths: Tensor) -> Tensor:
    """Return <V²P>/<V²>, ``(widths, m)``, at x = q R exp(6 sd²)."""
    rows = []
    for width in widths.tolist():
        median = math.exp(-6 * width**2)
        rows.append(_lognormal_sum(x, median, width) / (4 / 3 * math.pi * median**3 * math.exp(13.5 * width**2)))
    return torch.stack(rows)


_TABULATED = Axis(0.1, 0.5, 24)
_TABLE = ScalingTable((_TABULATED,), _lognormal_shape)


_GOLD = 0.01 * 0.99 * 1e-10 * 4 / 3 * math.pi * 50.0**3 * (3 * (math.sin(4.0) - 4 * math.cos(4.0)) / 64) ** 2 * PER_CM

KERNELS = (
    Kernel(
        name="spheres",
        function=spheres,
        parameters=_PARAMETERS,
        source="doi:10.1063/1.446055",
        valid="volume fraction below some 5 %: no interference between particles",
        options={"distribution": ("schulz", "lognormal")},
        tests=(
            SelfTest(
                {"radius": 50.0, "volume_fraction": 0.01, "contrast": 1e-5},
                (0.08,),
                (_GOLD,),
                "Rayleigh's formula by hand at qR = 4",
            ),
        ),
    ),
)
