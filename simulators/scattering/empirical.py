r"""Curves without a shape behind them, by the names, parameters and conventions of sasmodels.

* ``guinier_porod`` (Hammouda 2010, doi:10.1107/S0021889810015773): :math:`s\,q^{-s_d} e^{-q^2R_g^2/(3-s_d)}` up to
  :math:`q_1 = \sqrt{(m-s_d)(3-s_d)/2}/R_g`, beyond it :math:`q^{-m}`, joined with equal value and slope.
* ``lorentz``: :math:`s/(1+q^2\xi^2)`, Ornstein & Zernike 1914.
* ``power_law``: :math:`s\,q^{-m}`.

scale is in 1/cm (times Å to minus the exponent for power laws). No background: add `flat_background`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_LEVEL = Parameter("scale", "1/cm", 0.0, 1e12, 1.0, "scale; times Å^-exponent where the law is a power")
_GUINIER = (
    _LEVEL,
    Parameter("rg", "Å", 0.1, 1e6, 60.0, "radius of gyration"),
    Parameter("s", "(1)", 0.0, 2.9, 1.0, "dimension: 0 for globules, 1 for rods, 2 for sheets"),
    Parameter("porod_exp", "(1)", 0.0, 8.0, 3.0, "exponent m beyond the knee, above s"),
)
_LORENTZ = (_LEVEL, Parameter("cor_length", "Å", 0.0, 1e6, 50.0, "correlation length ξ"))
_POWER = (_LEVEL, Parameter("power", "(1)", -2.0, 8.0, 4.0, "exponent m"))


def guinier_porod(q: Values, *, scale: Values, rg: Values, s: Values, porod_exp: Values) -> Tensor:
    """Guinier knee on a power law, as sasmodels' ``guinier_porod``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, rg, s, porod_exp
        Numbers or ``(n,)``; units and ranges in `KERNELS`. With porod_exp ≤ s the curve is scale q^-s.

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
    level, size, dimension, exponent = columns(q, _GUINIER, scale=scale, rg=rg, s=s, porod_exp=porod_exp)
    n, half = 3 - dimension, ((exponent - dimension) / 2).clamp_min(0.0)
    log_q = torch.log(q)
    guinier = -dimension * log_q - (q * size) ** 2 / n
    # half ln half → 0 where the two exponents meet.
    porod = -exponent * log_q - half + half * torch.log((n * half / size**2).clamp_min(1e-30))
    knee = torch.where(q < torch.sqrt(n * half) / size, guinier, porod)
    return level * torch.exp(torch.where(exponent <= dimension, -dimension * log_q, knee))


def lorentz(q: Values, *, scale: Values, cor_length: Values) -> Tensor:
    """Ornstein-Zernike scattering, as sasmodels' ``lorentz``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, cor_length
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
    level, xi = columns(q, _LORENTZ, scale=scale, cor_length=cor_length)
    return level / (1 + (q * xi) ** 2)


def power_law(q: Values, *, scale: Values, power: Values) -> Tensor:
    """Power of q, as sasmodels' ``power_law``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, power
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
    level, exponent = columns(q, _POWER, scale=scale, power=power)
    return level * torch.exp(-exponent * torch.log(q))


KERNELS = (
    Kernel(
        name="guinier_porod",
        function=guinier_porod,
        parameters=_GUINIER,
        source="doi:10.1107/S0021889810015773",
        valid="empirical",
        tests=(
            SelfTest(
                {"scale": 1.5, "rg": 60.0, "s": 1.0, "porod_exp": 3.0},
                (0.01, 0.1),
                (125.29053171169079, 0.30656620097620185),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
    Kernel(
        name="lorentz",
        function=lorentz,
        parameters=_LORENTZ,
        source="Ornstein & Zernike 1914, Proc. Acad. Sci. Amsterdam 17, 793",
        valid="q times the size of a molecule below 1",
        tests=(SelfTest({"scale": 1.0, "cor_length": 50.0}, (0.01, 0.1), (0.8, 1 / 26), "by hand"),),
    ),
    Kernel(
        name="power_law",
        function=power_law,
        parameters=_POWER,
        source="by definition",
        valid="empirical",
        tests=(SelfTest({"scale": 2.0, "power": 3.0}, (0.01, 0.1), (2e6, 2e3), "by hand"),),
    ),
)
