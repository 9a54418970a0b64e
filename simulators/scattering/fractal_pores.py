r"""Hierarchical pores: spherical pores gathered in mass-fractal clusters.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \left.\frac{d\Sigma}{d\Omega}\right|_{spheres} S(q),\qquad
    S(q) = 1 + \frac{D\,\Gamma(D-1)}{(qR)^D}\,
    \frac{\sin[(D-1)\arctan(q\xi)]}{[1+1/(q\xi)^2]^{(D-1)/2}}

with fractal dimension D and cluster size ξ, R the mean pore radius (Teixeira 1988, doi:10.1107/S0021889888000263).
Between 1/ξ and 1/R the intensity falls as q^-D. The pores have a Schulz distribution; sizes and places are independent.

Valid for ξ well above R. The cluster's own density must stay that of pores that do not overlap: (ξ/R)^(D-3) bounds φ
inside it. Parameters, units and ranges: `KERNELS`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.spheres import spheres

_PARAMETERS = (
    Parameter("radius", "Å", 0.5, 1e5, 15.0, "mean pore radius R"),
    Parameter("polydispersity", "(ratio)", 0.0, 0.7, 0.2, "sd/mean of R, Schulz"),
    Parameter("fractal_dimension", "(1)", 1.0, 3.0, 2.2, "D; 3 for compact clusters"),
    Parameter("cluster_size", "Å", 1.0, 1e6, 400.0, "ξ"),
    Parameter("volume_fraction", "(ratio)", 0.0, 0.5, 0.01, "φ of the pores"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 2e-5, "SLD of the matrix"),
)


def fractal_pores(
    q: Values,
    *,
    radius: Values,
    fractal_dimension: Values,
    cluster_size: Values,
    volume_fraction: Values,
    contrast: Values,
    polydispersity: Values = 0.2,
) -> Tensor:
    """Scattering of pores in mass-fractal clusters; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, fractal_dimension, cluster_size, volume_fraction, contrast, polydispersity
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
    r, _, dimension, xi, _, _ = columns(
        q,
        _PARAMETERS,
        radius=radius,
        polydispersity=polydispersity,
        fractal_dimension=fractal_dimension,
        cluster_size=cluster_size,
        volume_fraction=volume_fraction,
        contrast=contrast,
    )
    single = spheres(
        q, radius=radius, volume_fraction=volume_fraction, contrast=contrast, polydispersity=polydispersity
    )
    return single * mass_fractal_structure(q, r, dimension, xi)


def mass_fractal_structure(q: Tensor, radius: Tensor, dimension: Tensor, size: Tensor) -> Tensor:
    """Return S(q) of a mass fractal, ``(n, k)``, from columns ``(n, 1)`` (Teixeira 1988)."""
    x = q * size
    angle = torch.atan(x)
    # Γ(D-1) sin[(D-1)a] = Γ(D) a sinc[(D-1)a], finite at D = 1; and x^-D (1 + 1/x²)^-((D-1)/2) = (1 + x²)^-((D-1)/2)/x.
    wave = angle * torch.sinc((dimension - 1) * angle / math.pi)
    decay = torch.exp(torch.log1p(x * x).mul_((1 - dimension) / 2)) / x
    strength = torch.exp(torch.lgamma(dimension + 1) + dimension * torch.log(size / radius))
    return 1 + strength * wave * decay


def _by_hand() -> float:
    """I at q ξ = 1, qR = 0.1, D = 2: S = 1 + 2 Γ(1) sin(π/4) / (0.01 √2) = 101, times the sphere."""
    x = 0.1
    shape = 3 * (math.sin(x) - x * math.cos(x)) / x**3
    return 101 * 0.01 * 0.99 * 1e-10 * 4 / 3 * math.pi * 10.0**3 * shape**2 * 1e8


KERNELS = (
    Kernel(
        name="fractal_pores",
        function=fractal_pores,
        parameters=_PARAMETERS,
        source="doi:10.1107/S0021889888000263",
        valid="cluster_size well above radius; pores inside a cluster do not overlap",
        tests=(
            SelfTest(
                {
                    "radius": 10.0,
                    "polydispersity": 0.0,
                    "fractal_dimension": 2.0,
                    "cluster_size": 100.0,
                    "volume_fraction": 0.01,
                    "contrast": 1e-5,
                },
                (0.01,),
                (_by_hand(),),
                "Teixeira's S(q) by hand at qξ = 1",
            ),
        ),
    ),
)
