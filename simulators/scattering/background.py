r"""Scattering that does not depend on q at small angles: thermal density fluctuations, and any flat rest.

.. math:: \frac{d\Sigma}{d\Omega} = \rho_0^2\,k_B T\,\kappa_T

is the compressibility limit of thermal diffuse scattering (0.016 1/cm for water at 20 °C and X-rays, the usual absolute
standard: Orthaber et al. 2000, doi:10.1107/S0021889899015216). The flat rest stands for Compton scattering and
fluorescence that is counted. Parameters, units and ranges: `KERNELS`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_BOLTZMANN_J_K = 1.380649e-23
_M3_IN_A3 = 1e30

_THERMAL = (
    Parameter("sld", "1/Å²", -1e-3, 1e-3, 9.4e-6, "scattering-length density ρ0"),
    Parameter("temperature", "°C", -273.15, 3000.0, 20.0, "temperature during the measurement"),
    Parameter("compressibility", "1/Pa", 0.0, 1e-8, 4.59e-10, "isothermal compressibility κ_T"),
)
_FLAT = (Parameter("level", "1/cm", 0.0, 1e6, 0.03, "the level"),)


def thermal_diffuse(q: Values, *, sld: Values, temperature: Values, compressibility: Values) -> Tensor:
    """Scattering of thermal density fluctuations; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    sld, temperature, compressibility
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
    rho, celsius, kappa = columns(q, _THERMAL, sld=sld, temperature=temperature, compressibility=compressibility)
    # Ordered so that no factor leaves the range of single precision.
    level = (rho * 1e6) ** 2 * (celsius + 273.15) * (kappa * 1e9) * (_BOLTZMANN_J_K * _M3_IN_A3 * PER_CM * 1e-21)
    return level * torch.ones_like(q)


def flat_background(q: Values, *, level: Values) -> Tensor:
    """Return a constant level.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    level
        1/cm, number or ``(n,)``; range in `KERNELS`.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If the level is out of its range.
    """
    q = momentum_transfer(q)
    (value,) = columns(q, _FLAT, level=level)
    return value * torch.ones_like(q)


KERNELS = (
    Kernel(
        name="thermal_diffuse",
        function=thermal_diffuse,
        parameters=_THERMAL,
        source="doi:10.1107/S0021889899015216",
        valid="q far below the first maximum of the liquid's or glass's structure factor",
        tests=(
            SelfTest(
                {"sld": 9.40e-6, "temperature": 20.0, "compressibility": 4.59e-10},
                (0.01, 0.3),
                (0.0163, 0.0163),
                "water at 20 °C, Orthaber et al. 2000: 0.01632 1/cm",
                rtol=0.02,
            ),
        ),
    ),
    Kernel(
        name="flat_background",
        function=flat_background,
        parameters=_FLAT,
        source="by definition",
        valid="anywhere",
        tests=(SelfTest({"level": 0.7}, (0.01, 0.3), (0.7, 0.7), "by definition"),),
    ),
)
