r"""Layers without order between them, by the name, parameters and conventions of sasmodels: ``lamellar``.

.. math:: \frac{d\Sigma}{d\Omega}(q) = s\,\frac{8\pi\Delta\rho^2}{q^4}\left\langle\frac{\sin^2(qT/2)}{T}\right\rangle

(Nallet, Laversanne & Roux 1993, J. Phys. II France 3, 487), scale s and scattering-length densities as in
`simulators.scattering.forms`. The average is over numbers of layers, each weighted 1/T: with a width the scale is no
longer the volume fraction, as in sasmodels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.averages import DISTRIBUTIONS, Distribution, averaged
from simulators.scattering.forms import SCALE, SLD_SOLVENT, width_of
from simulators.scattering.forms import sld as density
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_LAMELLAR = (
    SCALE,
    density("sld", 1e-6, "of the layer"),
    SLD_SOLVENT,
    Parameter("thickness", "Å", 0.5, 1e4, 50.0, "thickness T"),
    width_of("thickness"),
)


def lamellar(
    q: Values,
    *,
    scale: Values,
    sld: Values,
    sld_solvent: Values,
    thickness: Values,
    thickness_pd: Values = 0.0,
    distribution: Distribution = "gaussian",
) -> Tensor:
    """Scattering of layers without order between them, as sasmodels' ``lamellar``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld, sld_solvent, thickness, thickness_pd
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"gaussian"``, ``"schulz"`` or ``"lognormal"``.

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
    s, rho, solvent, t, p = columns(
        q, _LAMELLAR, scale=scale, sld=sld, sld_solvent=sld_solvent, thickness=thickness, thickness_pd=thickness_pd
    )

    def square(q: Tensor, t: Tensor) -> Tensor:
        return torch.sin(q * (t / 2)) ** 2 / (t * (q * q) ** 2)

    mean = averaged(q, square, torch.ones_like, [(t, p)], distribution)
    return s * (8 * math.pi * (rho - solvent) ** 2 * PER_CM) * mean


KERNELS = (
    Kernel(
        name="lamellar",
        function=lamellar,
        parameters=_LAMELLAR,
        source="Nallet, Laversanne & Roux 1993, J. Phys. II France 3, 487",
        valid="q above the reciprocal of the layers' lateral size",
        options={"distribution": DISTRIBUTIONS},
        tests=(
            SelfTest(
                {"scale": 1.0, "sld": 1e-6, "sld_solvent": 6e-6, "thickness": 50.0},
                (0.01, 0.1),
                (7691.714484729763, 4.500883231274591),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
)
