r"""Standard form factors that are averaged over directions, by the names, parameters and conventions of sasmodels.

All in random directions, with scale and scattering-length densities as in `simulators.scattering.forms`:

* ``ellipsoid`` of revolution: :math:`\int_0^1 \Phi^2(q r_\mu)\,d\mu`,
  :math:`r_\mu = R_e\sqrt{1+\mu^2(R_p^2/R_e^2-1)}`; with :math:`r_\mu = R_e\cosh t` (prolate) or
  :math:`R_e/\cosh t` (oblate) the integrand is smooth on every scale (Guinier & Fournet 1955).
* ``cylinder``: :math:`\int_0^{\pi/2}\left[\frac{2J_1(qR\sin\theta)}{qR\sin\theta}\,
  \frac{\sin(\frac{qL}2\cos\theta)}{\frac{qL}2\cos\theta}\right]^2\sin\theta\,d\theta` (Guinier & Fournet 1955).
  Radius and length may both have a width: each direction's factors average apart.

Gauss-Legendre nodes over directions grow with q times the largest length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.averages import DISTRIBUTIONS, Distribution, averaged, size_nodes
from simulators.scattering.forms import SCALE, SLD_SOLVENT, width_of
from simulators.scattering.forms import sld as density
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.spheres import sphere_amplitude_squared

_ELLIPSOID = (
    SCALE,
    density("sld", 4e-6, "of the ellipsoid"),
    SLD_SOLVENT,
    Parameter("radius_polar", "Å", 0.5, 5000.0, 20.0, "half axis along the axis of revolution R_p"),
    Parameter("radius_equatorial", "Å", 0.5, 5000.0, 60.0, "half axes across R_e"),
    width_of("radius_polar", 0.3),
    width_of("radius_equatorial", 0.3),
)
_CYLINDER = (
    SCALE,
    density("sld", 4e-6, "of the cylinder"),
    SLD_SOLVENT,
    Parameter("radius", "Å", 0.5, 5000.0, 20.0, "radius R"),
    Parameter("length", "Å", 0.5, 10_000.0, 400.0, "length L"),
    width_of("radius", 0.3),
    width_of("length", 0.3),
)


def _bands(q: Tensor, length: float) -> Iterator[tuple[Tensor, list[float], list[float]]]:
    """Split q into bands that need the same number of directions.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    length
        Å; q times it is the angle in radians by which the integrand turns from end to end.

    Yields
    ------
    index, nodes, weights
        Places in q, and Gauss-Legendre nodes and weights on [0, 1].
    """
    # Panels of 16 nodes: one rule of thousands would take longer to find than to use.
    nodes, weights = np.polynomial.legendre.leggauss(16)
    halvings = torch.ceil(torch.log2((q * (length / 25)).clamp_min(1.0))).long()
    for level in torch.unique(halvings).tolist():
        panels = 2**level
        places = (np.arange(panels)[:, None] + (nodes + 1) / 2) / panels
        index = (halvings == level).nonzero()[:, 0]
        yield index, places.ravel().tolist(), np.tile(weights / 2 / panels, panels).tolist()


def ellipsoid(
    q: Values,
    *,
    scale: Values,
    sld: Values,
    sld_solvent: Values,
    radius_polar: Values,
    radius_equatorial: Values,
    radius_polar_pd: Values = 0.0,
    radius_equatorial_pd: Values = 0.0,
    distribution: Distribution = "gaussian",
) -> Tensor:
    """Scattering of ellipsoids of revolution, as sasmodels' ``ellipsoid``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld, sld_solvent, radius_polar, radius_equatorial, radius_polar_pd, radius_equatorial_pd
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"gaussian"``, ``"schulz"`` or ``"lognormal"``, of both radii.

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
    s, rho, solvent, polar, equatorial, polar_pd, equatorial_pd = columns(
        q,
        _ELLIPSOID,
        scale=scale,
        sld=sld,
        sld_solvent=sld_solvent,
        radius_polar=radius_polar,
        radius_equatorial=radius_equatorial,
        radius_polar_pd=radius_polar_pd,
        radius_equatorial_pd=radius_equatorial_pd,
    )

    def volume(polar: Tensor, equatorial: Tensor) -> Tensor:
        return 4 / 3 * math.pi * polar * equatorial**2

    def square(q: Tensor, polar: Tensor, equatorial: Tensor) -> Tensor:
        ratio = polar.double() / equatorial.double()
        prolate = ratio > 1
        end = torch.acosh(torch.where(prolate, ratio, 1 / ratio))
        # end/focus is 1 for a sphere, but 0/0 as it is written.
        focus = torch.where(end < 1e-6, 1.0, end / (ratio**2 - 1).abs().sqrt().clamp_min(1e-12)).to(q.dtype)
        turning = 2 * float((polar - equatorial).abs().max()) * max(1.0, 0.7 * float(end.max()))
        end = end.to(q.dtype)
        total = torch.zeros((polar.shape[0], q.numel()), dtype=q.dtype, device=q.device)
        for index, nodes, weights in _bands(q, turning):
            part = torch.zeros((polar.shape[0], index.numel()), dtype=q.dtype, device=q.device)
            for node, weight in zip(nodes, weights, strict=True):
                cosh = torch.cosh(end * node)
                x = q[index] * (equatorial * torch.where(prolate, cosh, 1 / cosh))
                share = weight * focus * torch.where(prolate, cosh, cosh**-2)
                part += share * (sphere_amplitude_squared(x) / (x * x) ** 3)
            total[:, index] = part
        return total * (9 * volume(polar, equatorial) ** 2)

    mean = averaged(q, square, volume, [(polar, polar_pd), (equatorial, equatorial_pd)], distribution)
    return s * ((rho - solvent) ** 2 * PER_CM) * mean


def cylinder(
    q: Values,
    *,
    scale: Values,
    sld: Values,
    sld_solvent: Values,
    radius: Values,
    length: Values,
    radius_pd: Values = 0.0,
    length_pd: Values = 0.0,
    distribution: Distribution = "gaussian",
) -> Tensor:
    """Scattering of cylinders, as sasmodels' ``cylinder``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld, sld_solvent, radius, length, radius_pd, length_pd
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"gaussian"``, ``"schulz"`` or ``"lognormal"``, of both lengths.

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
    s, rho, solvent, r, length_, r_pd, length_pd_ = columns(
        q,
        _CYLINDER,
        scale=scale,
        sld=sld,
        sld_solvent=sld_solvent,
        radius=radius,
        length=length,
        radius_pd=radius_pd,
        length_pd=length_pd,
    )
    radii, radius_weights = size_nodes(q, r, r_pd, distribution)
    lengths, length_weights = size_nodes(q, length_, length_pd_, distribution)
    total = torch.zeros((r.shape[0], q.numel()), dtype=q.dtype, device=q.device)
    for index, nodes, weights in _bands(q, max(2 * float(radii.max()), float(lengths.max()))):
        part = torch.zeros((r.shape[0], index.numel()), dtype=q.dtype, device=q.device)
        for node, weight in zip(nodes, weights, strict=True):
            sine, cosine = math.sin(node * math.pi / 2), math.cos(node * math.pi / 2)
            across, along = torch.zeros_like(part), torch.zeros_like(part)
            for column, share in zip(radii.T, radius_weights.T, strict=True):
                # 2 J1(x)/x is 1 at 0.
                x = (q[index] * (column[:, None] * sine)).clamp_min(1e-6)
                across += share[:, None] * (2 * column[:, None] ** 2 * torch.special.bessel_j1(x) / x) ** 2
            for column, share in zip(lengths.T, length_weights.T, strict=True):
                half = column[:, None] * (cosine / 2 / math.pi)
                along += share[:, None] * (column[:, None] * torch.sinc(q[index] * half)) ** 2
            part += (weight * math.pi / 2 * sine) * across * along
        total[:, index] = part
    mean_volume = (radii**2 * radius_weights).sum(1, keepdim=True) * (lengths * length_weights).sum(1, keepdim=True)
    return s * ((rho - solvent) ** 2 * PER_CM * math.pi) * total / mean_volume


def _numbers(parameters: dict[str, float], *expected: float) -> SelfTest:
    return SelfTest({"scale": 1.0, **parameters}, (0.01, 0.1), expected, "sasmodels 1.1.0, double precision", rtol=1e-5)


KERNELS = (
    Kernel(
        name="ellipsoid",
        function=ellipsoid,
        parameters=_ELLIPSOID,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays",
        valid="no interference between particles; q times the sd of a radius below 75",
        options={"distribution": DISTRIBUTIONS},
        tests=(
            _numbers(
                {"sld": 4e-6, "sld_solvent": 1e-6, "radius_polar": 20.0, "radius_equatorial": 400.0},
                1920.9163699243331,
                6.767407975555421,
            ),
            _numbers(
                {"sld": 4e-6, "sld_solvent": 1e-6, "radius_polar": 100.0, "radius_equatorial": 30.0},
                313.8840860532316,
                7.028224543068283,
            ),
        ),
    ),
    Kernel(
        name="cylinder",
        function=cylinder,
        parameters=_CYLINDER,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays",
        valid="no interference between particles; q times the sd of radius or length below 75",
        options={"distribution": DISTRIBUTIONS},
        tests=(
            _numbers(
                {"sld": 4e-6, "sld_solvent": 1e-6, "radius": 20.0, "length": 400.0},
                301.8238865722744,
                11.893537380088702,
            ),
        ),
    ),
)
