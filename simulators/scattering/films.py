r"""Grain-boundary films: large thin sheets of other density, in random directions.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = 2\pi\,\frac{S}{V}\,\Delta\rho^2\,q^{-2}\,
    \left\langle T^2\,\frac{\sin^2(qT/2)}{(qT/2)^2}\right\rangle\,\left[1-\frac{J_1(2qL)}{qL}\right]

S/V is the area of film per volume, T its thickness (Schulz distribution, closed average), and L the radius of a flat
facet: below 1/L the q⁻² law of a sheet turns into a plateau (discs; Kratky & Porod 1949,
doi:10.1016/0095-8522(49)90032-X). At q ≫ 1/T the two faces scatter as Porod surfaces.

Valid for T ≪ L: the rim is neglected, an error of the order T/L at q above 1/T. Parameters, units and ranges:
`KERNELS`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.schulz import slab_square

_PARAMETERS = (
    Parameter("specific_area", "1/cm", 0.0, 1e7, 1e4, "area of film per volume S/V"),
    Parameter("thickness", "Å", 1.0, 1e4, 15.0, "mean thickness T"),
    Parameter("polydispersity", "(ratio)", 0.0, 0.7, 0.3, "sd/mean of T, Schulz"),
    Parameter("facet_radius", "Å", 10.0, 1e6, 2000.0, "radius L of a flat facet"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 3e-5, "SLD of the film minus the grains', Δρ"),
)


def grain_boundary_films(
    q: Values,
    *,
    specific_area: Values,
    thickness: Values,
    facet_radius: Values,
    contrast: Values,
    polydispersity: Values = 0.3,
) -> Tensor:
    """Scattering of thin films on grain boundaries; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    specific_area, thickness, facet_radius, contrast, polydispersity
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
    area, t, p, lateral, drho = columns(
        q,
        _PARAMETERS,
        specific_area=specific_area,
        thickness=thickness,
        polydispersity=polydispersity,
        facet_radius=facet_radius,
        contrast=contrast,
    )
    x = q * lateral
    # 1 - J1(2x)/x = x²/2 - x⁴/12 + ... loses its digits below.
    small = x.clamp_max(0.1) ** 2
    plateau = torch.where(
        x < 0.1, small / 2 * (1 - small / 6 * (1 - small / 12)), 1 - torch.special.bessel_j1(2 * x) / x
    )
    # S/V in 1/cm, the rest without unit: Δρ² T² q⁻² is 1/Å⁴ · Å² · Å².
    return 2 * math.pi * area * (drho * drho) * slab_square(q, t, p) * plateau / (q * q)


_SHEET = 2 * math.pi * 1e4 * 9e-10 * 400 * (math.sin(1.0) / 1.0) ** 2 / 0.01

KERNELS = (
    Kernel(
        name="grain_boundary_films",
        function=grain_boundary_films,
        parameters=_PARAMETERS,
        source="doi:10.1016/0095-8522(49)90032-X",
        valid="thickness far below the facet radius",
        tests=(
            SelfTest(
                {
                    "specific_area": 1e4,
                    "thickness": 20.0,
                    "polydispersity": 0.0,
                    "facet_radius": 1e6,
                    "contrast": 3e-5,
                },
                (0.1,),
                (_SHEET,),
                "an infinite sheet by hand at qT = 2",
                rtol=1e-5,
            ),
        ),
    ),
)
