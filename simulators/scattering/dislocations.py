r"""Edge dislocations: small-angle scattering of the density change around straight lines in random directions.

The dilatation of a straight edge dislocation, :math:`\Delta = -\frac{b}{2\pi}\kappa\frac{\sin\theta}{r}` with
:math:`\kappa = \frac{1-2\nu}{1-\nu}`, changes the scattering-length density by :math:`-\rho_0\Delta`. Its
two-dimensional transform squared, averaged over line directions, gives

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \frac{\pi}{2}\,\rho_d\,(\rho_0 b)^2\,\kappa^2\,q^{-3}\;
    \left[1-\frac{1}{\sqrt{1+q^2R_e^2}}\right]^2\;\left[q r_0 K_1(q r_0)\right]^2

The two brackets are the exact transforms of a field screened as :math:`e^{-r/R_e}/r` and of a non-singular core
:math:`r/(r^2+r_0^2)`: both tend to 1 between the cut-offs 1/R_e and 1/r_0, where the q⁻³ law stands; below 1/R_e the
scattering falls as q (screened dipoles are neutral), above 1/r_0 exponentially.

Edge components only: a screw dislocation has no dilatation. Kinematic. Parameters, units and ranges: `KERNELS`.
Sources: Levine & Thomson 1997, Acta Cryst. A 53, 590 (scattering by dislocations in general); Cai et al. 2006,
doi:10.1016/j.jmps.2005.09.005 (non-singular core).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_PER_M2_IN_PER_A2 = 1e-20

_PARAMETERS = (
    Parameter("density", "1/m²", 0.0, 1e18, 1e15, "dislocation line length per volume ρ_d"),
    Parameter("sld", "1/Å²", -1e-3, 1e-3, 6.5e-5, "scattering-length density ρ0 of the matrix"),
    Parameter("burgers", "Å", 0.5, 20.0, 2.556, "length b of the Burgers vector"),
    Parameter("poisson_ratio", "(1)", -0.9, 0.5, 0.343, "ν"),
    Parameter("outer_cutoff", "Å", 1.0, 1e9, 600.0, "screening length R_e"),
    Parameter("core_radius", "Å", 0.0, 100.0, 3.0, "r_0; 0 for a singular line"),
)


def edge_dislocations(
    q: Values,
    *,
    density: Values,
    sld: Values,
    burgers: Values,
    poisson_ratio: Values,
    outer_cutoff: Values,
    core_radius: Values,
) -> Tensor:
    """Scattering of edge dislocations; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    density, sld, burgers, poisson_ratio, outer_cutoff, core_radius
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
    rho_d, rho_0, b, nu, r_e, r_0 = columns(
        q,
        _PARAMETERS,
        density=density,
        sld=sld,
        burgers=burgers,
        poisson_ratio=poisson_ratio,
        outer_cutoff=outer_cutoff,
        core_radius=core_radius,
    )
    kappa = (1 - 2 * nu) / (1 - nu)
    law = 0.5 * math.pi * (rho_d * _PER_M2_IN_PER_A2) * (rho_0 * b * kappa) ** 2 * PER_CM
    screening = 1 - torch.rsqrt(1 + (q * r_e) ** 2)
    return law * (screening * core_factor(q, r_0)) ** 2 / (q * q * q)


def core_factor(q: Tensor, core_radius: Tensor) -> Tensor:
    """Return q r0 K1(q r0): the amplitude that a non-singular core of this radius leaves.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    core_radius
        ``(n, 1)`` Å; 0 for a singular line.

    Returns
    -------
    Tensor
        ``(n, k)``, 1 at q = 0.
    """
    # x K1(x) is 1 at x = 0, where K1 itself diverges.
    x = (q * core_radius).clamp_min(1e-12)
    return x * torch.special.modified_bessel_k1(x)


_KAPPA = (1 - 2 * 0.343) / (1 - 0.343)
_PREFACTOR = 0.5 * math.pi * 1e-5 * (6.5e-5 * 2.556 * _KAPPA) ** 2 * PER_CM

KERNELS = (
    Kernel(
        name="edge_dislocations",
        function=edge_dislocations,
        parameters=_PARAMETERS,
        source="Levine & Thomson 1997, Acta Cryst. A 53, 590",
        valid="kinematic; edge components of straight lines in random directions; q below some 2/r_0",
        tests=(
            SelfTest(
                {
                    "density": 1e15,
                    "sld": 6.5e-5,
                    "burgers": 2.556,
                    "poisson_ratio": 0.343,
                    "outer_cutoff": 1e9,
                    "core_radius": 0.0,
                },
                (0.01, 0.1),
                (_PREFACTOR * 1e6, _PREFACTOR * 1e3),
                "the law between the cut-offs by hand: about 10 and 0.01 1/cm for copper",
            ),
            SelfTest(
                {
                    "density": 1e15,
                    "sld": 6.5e-5,
                    "burgers": 2.556,
                    "poisson_ratio": 0.343,
                    "outer_cutoff": 100.0,
                    "core_radius": 5.0,
                },
                (0.2,),
                (_PREFACTOR / 0.008 * (1 - 1 / math.sqrt(401)) ** 2 * 0.6019072301972346**2,),
                "K1(1) from tables, Abramowitz & Stegun 9.8",
            ),
        ),
    ),
)
