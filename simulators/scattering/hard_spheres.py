r"""Hard spheres: the Percus-Yevick structure factor, and spheres with it; as sasmodels' ``hardsphere``.

.. math:: S(q) = \frac{1}{1+24\phi\,G(x)/x},\quad x = 2qR,\qquad
    G = \alpha\frac{\sin x-x\cos x}{x^2} + \beta\frac{2x\sin x+(2-x^2)\cos x-2}{x^3}
    + \gamma\frac{-x^4\cos x+4[(3x^2-6)\cos x+(x^3-6x)\sin x+6]}{x^5}

.. math:: \alpha = \frac{(1+2\phi)^2}{(1-\phi)^4},\quad \beta = -6\phi\frac{(1+\phi/2)^2}{(1-\phi)^4},\quad
    \gamma = \frac{\phi\alpha}{2}

(Percus & Yevick 1958, doi:10.1103/PhysRev.110.1, solved by Wertheim and Thiele in 1963.) ``sphere_hardsphere`` is
sasmodels' ``sphere@hardsphere`` of one size: φ times the sphere's V Δρ² P times S, with scale beside it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.forms import SCALE, SLD_SOLVENT
from simulators.scattering.forms import sld as density
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.spheres import sphere_amplitude_squared

_STRUCTURE = (
    Parameter("radius_effective", "Å", 0.5, 1e5, 50.0, "radius of the hard sphere R"),
    Parameter("volfraction", "(ratio)", 0.0, 0.6, 0.2, "volume fraction of hard spheres φ"),
)
_SPHERES = (
    SCALE,
    density("sld", 1e-6, "of the sphere"),
    SLD_SOLVENT,
    Parameter("radius", "Å", 0.5, 1e5, 50.0, "radius R, of scattering and of exclusion"),
    Parameter("volfraction", "(ratio)", 0.0, 0.6, 0.2, "volume fraction φ"),
)
_SERIES_BELOW = 0.3


def _structure(q: Tensor, radius: Tensor, phi: Tensor) -> Tensor:
    """Return S(q), ``(n, k)``, computed in double precision."""
    dtype = q.dtype
    phi = phi.double()
    x = 2 * q.double() * radius.double()
    alpha = (1 + 2 * phi) ** 2 / (1 - phi) ** 4
    beta = -6 * phi * (1 + phi / 2) ** 2 / (1 - phi) ** 4
    gamma = phi * alpha / 2
    y = x.clamp_min(_SERIES_BELOW)
    sine, cosine, y2 = torch.sin(y), torch.cos(y), y * y
    first = (sine - y * cosine) / y2
    second = (2 * y * sine + (2 - y2) * cosine - 2) / (y2 * y)
    third = (-y2 * y2 * cosine + 4 * ((3 * y2 - 6) * cosine + (y2 - 6) * y * sine + 6)) / (y2 * y2 * y)
    closed = (alpha * first + beta * second + gamma * third) / y
    # ∫_0^1 (α + β s + γ s³) s² sin(xs)/(xs) ds, term by term in x².
    z2 = x.clamp_max(_SERIES_BELOW) ** 2
    series = torch.zeros_like(x)
    for j in range(6):
        moments = alpha / (2 * j + 3) + beta / (2 * j + 4) + gamma / (2 * j + 6)
        series = series + (-1) ** j / math.factorial(2 * j + 1) * moments * z2**j
    return (1 / (1 + 24 * phi * torch.where(x < _SERIES_BELOW, series, closed))).to(dtype)


def hardsphere(q: Values, *, radius_effective: Values, volfraction: Values) -> Tensor:
    """Structure factor of hard spheres, as sasmodels' ``hardsphere``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius_effective, volfraction
        Numbers or ``(n,)``; units and ranges in `KERNELS`.

    Returns
    -------
    Tensor
        ``(n, k)`` S(q), no unit.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    q = momentum_transfer(q)
    r, phi = columns(q, _STRUCTURE, radius_effective=radius_effective, volfraction=volfraction)
    return _structure(q, r, phi)


def sphere_hardsphere(
    q: Values, *, scale: Values, sld: Values, sld_solvent: Values, radius: Values, volfraction: Values
) -> Tensor:
    """Scattering of equal hard spheres, as sasmodels' ``sphere@hardsphere``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld, sld_solvent, radius, volfraction
        Numbers or ``(n,)``; units and ranges in `KERNELS`.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    q = momentum_transfer(q)
    s, rho, solvent, r, phi = columns(
        q, _SPHERES, scale=scale, sld=sld, sld_solvent=sld_solvent, radius=radius, volfraction=volfraction
    )
    x = q * r
    single = 12 * math.pi * r**3 * sphere_amplitude_squared(x) / x**6
    return s * phi * ((rho - solvent) ** 2 * PER_CM) * single * _structure(q, r, phi)


KERNELS = (
    Kernel(
        name="hardsphere",
        function=hardsphere,
        parameters=_STRUCTURE,
        source="doi:10.1103/PhysRev.110.1",
        valid="volume fractions below the freezing of hard spheres, 0.49",
        unit="(1)",
        tests=(
            SelfTest(
                {"radius_effective": 50.0, "volfraction": 0.2},
                (0.01, 0.1),
                (0.22443340544417528, 0.9305869511161277),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
    Kernel(
        name="sphere_hardsphere",
        function=sphere_hardsphere,
        parameters=_SPHERES,
        source="doi:10.1103/PhysRev.110.1",
        valid="one size; volume fractions below 0.49",
        tests=(
            SelfTest(
                {"scale": 1.0, "sld": 1e-6, "sld_solvent": 6e-6, "radius": 50.0, "volfraction": 0.2},
                (0.01, 0.1),
                (55.88088423210212, 0.7930350343881905),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
)
