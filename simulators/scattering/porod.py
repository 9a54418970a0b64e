r"""Porod scattering of smooth surfaces: the matrix's own surface, grain boundaries with a density step, large pores.

.. math:: \frac{d\Sigma}{d\Omega}(q) = 2\pi\,\Delta\rho^2\,\frac{S}{V}\,q^{-4}

==================  ======  ==============  ================================
parameter           unit    valid range     meaning
==================  ======  ==============  ================================
specific_surface    1/cm    0 .. 1e8        surface per volume S/V
contrast            1/Å²    -1e-3 .. 1e-3   SLD step Δρ across the surface
==================  ======  ==============  ================================

Valid where q times the smallest radius of curvature is well above 1.
Source: Porod 1951, doi:10.1007/BF01512792.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.scattering.arguments import columns, momentum_transfer


def porod_surface(q: ArrayLike, *, specific_surface: ArrayLike, contrast: ArrayLike) -> np.ndarray:
    """Scattering of smooth surfaces; equation, units and ranges at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    specific_surface, contrast
        Numbers or ``(n,)``.

    Returns
    -------
    ndarray
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    q = momentum_transfer(q)
    surface, drho = columns(
        specific_surface=(specific_surface, 0.0, 1e8, "1/cm"), contrast=(contrast, -1e-3, 1e-3, "1/Å²")
    )
    # Δρ² q⁻⁴ has no unit (1/Å⁴ · Å⁴), so S/V keeps its 1/cm.
    return np.asarray(2 * np.pi * drho**2 * surface * q**-4.0)
