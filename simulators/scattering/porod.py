r"""Porod scattering of smooth surfaces: the matrix's own surface, grain boundaries with a density step, large pores.

.. math:: \frac{d\Sigma}{d\Omega}(q) = 2\pi\,\Delta\rho^2\,\frac{S}{V}\,q^{-4}

Valid where q times the smallest radius of curvature is well above 1. Parameters, units and ranges: `KERNELS`.
Source: Porod 1951, Kolloid-Z. 124, 83.
"""

from __future__ import annotations

import math

from torch import Tensor

from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_PARAMETERS = (
    Parameter("specific_surface", "1/cm", 0.0, 1e8, 10.0, "surface per volume S/V"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 6.7e-5, "SLD step Δρ across the surface"),
)


def porod_surface(q: Values, *, specific_surface: Values, contrast: Values) -> Tensor:
    """Scattering of smooth surfaces; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    specific_surface, contrast
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
    surface, drho = columns(q, _PARAMETERS, specific_surface=specific_surface, contrast=contrast)
    # Δρ² q⁻⁴ has no unit (1/Å⁴ · Å⁴), so S/V keeps its 1/cm.
    return 2 * math.pi * drho**2 * surface * (q * q) ** -2


KERNELS = (
    Kernel(
        name="porod_surface",
        function=porod_surface,
        parameters=_PARAMETERS,
        source="Porod 1951, Kolloid-Z. 124, 83",
        valid="q times the smallest radius of curvature well above 1",
        tests=(
            SelfTest(
                {"specific_surface": 1e4, "contrast": 1e-5},
                (0.01, 0.1),
                (2 * math.pi * 1e4 * 1e-10 * 1e8, 2 * math.pi * 1e4 * 1e-10 * 1e4),
                "the law by hand",
            ),
        ),
    ),
)
