r"""Precipitates with a depletion zone: a sphere rich in solute inside a shell that has given it up.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \phi\,\frac{\langle F^2\rangle}{\langle V\rangle},\qquad
    F = V\,\Delta\rho\left[\Phi(qR) - d\,\frac{s^3\Phi(qsR) - \Phi(qR)}{s^3-1}\right],\quad
    \Phi(x) = 3\frac{\sin x - x\cos x}{x^3}

The zone reaches to s·R and holds the share d of the core's excess, spread evenly, with the opposite sign: at d = 1 the
solute of the precipitate comes from its zone alone, the forward scattering vanishes and a peak appears near q = 2/(sR).
All particles are alike but for their size, R from a Schulz distribution; the average is closed
(`simulators.scattering.schulz`). φ is the volume fraction of the cores.

Valid while zones do not overlap, φ s³ ≪ 1. Parameters, units and ranges: `KERNELS`. Core and shell: Guinier & Fournet
1955, Small-Angle Scattering of X-Rays; depleted zones around Guinier-Preston zones: Guinier 1939, Ann. Phys. 12, 161.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.schulz import layered_square, moment

_PARAMETERS = (
    Parameter("radius", "Å", 1.0, 1e5, 30.0, "mean radius R of the core"),
    Parameter("polydispersity", "(ratio)", 0.0, 0.6, 0.2, "sd/mean of R, Schulz"),
    Parameter("zone_ratio", "(ratio)", 1.05, 10.0, 2.0, "outer radius of the zone over R, s"),
    Parameter("depletion", "(ratio)", 0.0, 1.0, 0.8, "share d of the core's excess that its zone lacks"),
    Parameter("volume_fraction", "(ratio)", 0.0, 0.2, 0.005, "φ of the cores"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 2e-5, "SLD of the core minus the matrix's, Δρ"),
)


def precipitates(
    q: Values,
    *,
    radius: Values,
    zone_ratio: Values,
    depletion: Values,
    volume_fraction: Values,
    contrast: Values,
    polydispersity: Values = 0.2,
) -> Tensor:
    """Scattering of precipitates with a depletion zone; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, zone_ratio, depletion, volume_fraction, contrast, polydispersity
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
    given = momentum_transfer(q)
    # Core and zone cancel at low q: single precision would not see what is left.
    q = given.double()
    r, p, s, d, phi, drho = columns(
        q,
        _PARAMETERS,
        radius=radius,
        polydispersity=polydispersity,
        zone_ratio=zone_ratio,
        depletion=depletion,
        volume_fraction=volume_fraction,
        contrast=contrast,
    )
    shell = d / (s**3 - 1)
    # x³ Φ(x)/3 is S(x): the factor s³ of the zone's volume goes into its argument.
    averaged = layered_square(q, r, p, [(1 + shell, torch.ones_like(s)), (-shell, s)])
    prefactor = 12 * math.pi * phi * drho**2 / moment(r, p, 3) * PER_CM
    return (prefactor * averaged / q**6).clamp_min(0.0).to(given.dtype)


def _by_hand() -> float:
    """I at q = 0.08 1/Å of R = 50 Å, s = 2, d = 0.5, φ = 0.01, Δρ = 1e-5 1/Å²."""

    def phi(x: float) -> float:
        return 3 * (math.sin(x) - x * math.cos(x)) / x**3

    amplitude = phi(4.0) - 0.5 * (8 * phi(8.0) - phi(4.0)) / 7
    return 0.01 * 1e-10 * 4 / 3 * math.pi * 50.0**3 * amplitude**2 * PER_CM


KERNELS = (
    Kernel(
        name="precipitates",
        function=precipitates,
        parameters=_PARAMETERS,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays; Guinier 1939, Ann. Phys. 12, 161",
        valid="zones do not overlap: volume fraction times zone_ratio³ well below 1",
        tests=(
            SelfTest(
                {
                    "radius": 50.0,
                    "polydispersity": 0.0,
                    "zone_ratio": 2.0,
                    "depletion": 0.5,
                    "volume_fraction": 0.01,
                    "contrast": 1e-5,
                },
                (0.08,),
                (_by_hand(),),
                "two concentric spheres by hand at qR = 4",
                rtol=3e-4,
            ),
        ),
    ),
)
