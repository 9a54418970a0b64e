r"""Scattering that does not depend on q at small angles: thermal density fluctuations, and any flat rest.

.. math:: \frac{d\Sigma}{d\Omega} = \rho_0^2\,k_B T\,\kappa_T

is the compressibility limit of thermal diffuse scattering (0.016 1/cm for water at 20 °C and X-rays, the usual absolute
standard: Orthaber et al. 2000, doi:10.1107/S0021889899015216).

==================  ======  ===============  ==========================================
parameter           unit    valid range      meaning
==================  ======  ===============  ==========================================
sld                 1/Å²    -1e-3 .. 1e-3    scattering-length density ρ0
temperature         °C      -273.15 .. 3000  temperature during the measurement
compressibility     1/Pa    0 .. 1e-8        isothermal compressibility κ_T
level               1/cm    0 .. 1e6         flat rest (Compton, fluorescence that is counted)
==================  ======  ===============  ==========================================
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer

_BOLTZMANN_J_K = 1.380649e-23
_M3_IN_A3 = 1e30


def thermal_diffuse(q: ArrayLike, *, sld: ArrayLike, temperature: ArrayLike, compressibility: ArrayLike) -> np.ndarray:
    """Scattering of thermal density fluctuations; equation, units and ranges at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    sld, temperature, compressibility
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
    rho, celsius, kappa = columns(
        sld=(sld, -1e-3, 1e-3, "1/Å²"),
        temperature=(temperature, -273.15, 3000.0, "°C"),
        compressibility=(compressibility, 0.0, 1e-8, "1/Pa"),
    )
    level = rho**2 * _BOLTZMANN_J_K * (celsius + 273.15) * kappa * _M3_IN_A3 * PER_CM
    return np.asarray(level * np.ones_like(q))


def flat_background(q: ArrayLike, *, level: ArrayLike) -> np.ndarray:
    """Return a constant level; units and range at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    level
        1/cm, number or ``(n,)``.

    Returns
    -------
    ndarray
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If the level is out of its range.
    """
    q = momentum_transfer(q)
    (value,) = columns(level=(level, 0.0, 1e6, "1/cm"))
    return np.asarray(value * np.ones_like(q))
