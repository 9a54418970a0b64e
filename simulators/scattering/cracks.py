r"""Cracks and platelets: thin oblate spheroids, empty or filled, in random directions, of many sizes.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \phi(1-\phi)\,\Delta\rho^2\,\frac{\langle V^2 P\rangle}{\langle V\rangle},\qquad
    P = \int_0^1 \left[\frac{3 S(q r_\mu)}{(q r_\mu)^3}\right]^2 d\mu,\quad
    r_\mu = R\sqrt{1-\mu^2(1-\epsilon^2)}

with S(x) = sin x - x cos x, R the equatorial radius (Schulz distribution) and ε the ratio of the half thickness to it,
the same for all sizes. Between 1/R and 1/(εR) the intensity falls as q⁻² (a sheet), beyond as q⁻⁴ (its surface).

With :math:`r_\mu = R/\cosh u` the integral becomes smooth on all scales: u from 0 to arcosh(1/ε),
:math:`d\mu = du/(\cosh^2 u\sqrt{1-\epsilon^2})`; the size average of each direction is closed
(`simulators.scattering.schulz`). The result depends on qR, ε and the width alone and is tabulated: within 0.1 % of the
full average. Parameters, units and ranges: `KERNELS`. Source: Guinier & Fournet 1955, Small-Angle Scattering of X-Rays
(the spheroid).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.schulz import layered_square, moment
from simulators.scattering.tables import Axis, ScalingTable

_PARAMETERS = (
    Parameter("radius", "Å", 2.0, 1e5, 300.0, "mean equatorial radius R"),
    Parameter("aspect_ratio", "(ratio)", 0.01, 0.2, 0.05, "half thickness over equatorial radius ε"),
    Parameter("polydispersity", "(ratio)", 0.1, 0.6, 0.3, "sd/mean of R, Schulz"),
    Parameter("volume_fraction", "(ratio)", 0.0, 0.5, 0.001, "φ"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 6.7e-5, "SLD difference Δρ (for a crack: the matrix's SLD)"),
)


def cracks(
    q: Values,
    *,
    radius: Values,
    aspect_ratio: Values,
    volume_fraction: Values,
    contrast: Values,
    polydispersity: Values = 0.3,
) -> Tensor:
    """Scattering of cracks or platelets; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, aspect_ratio, volume_fraction, contrast, polydispersity
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
    r, epsilon, p, phi, drho = columns(
        q,
        _PARAMETERS,
        radius=radius,
        aspect_ratio=aspect_ratio,
        polydispersity=polydispersity,
        volume_fraction=volume_fraction,
        contrast=contrast,
    )
    # <R⁶>/<R³> over R³.
    moments = (1 + 3 * p**2) * (1 + 4 * p**2) * (1 + 5 * p**2)
    forward = phi * (1 - phi) * drho**2 * (4 / 3 * math.pi) * epsilon * r**3 * moments * PER_CM
    return forward * _TABLE(q * r, p, epsilon)


def _shape(x: Tensor, widths: Tensor, aspect_ratios: Tensor) -> Tensor:
    """Return <V²P>/<V²>, ``(widths, aspect ratios, m)``."""
    result = torch.empty((widths.numel(), aspect_ratios.numel(), x.numel()), dtype=torch.float64)
    # A finer table of the sphere's average: every direction of every spheroid looks into it.
    log_z = np.linspace(math.log(float(x.min()) * 1e-2), math.log(float(x.max())), 12_001)
    one = torch.ones((1, 1), dtype=torch.float64)
    z = torch.from_numpy(np.exp(log_z))
    for i, width in enumerate(widths):
        p = width.reshape(1, 1)
        sphere = 9 * layered_square(z, one, p, [(one, one)])[0] / z**6 / moment(one, p, 6)[0]
        log_sphere = torch.log(sphere).numpy()
        nodes, weights = np.polynomial.legendre.leggauss(32 + int(5 / float(width)))
        for j, epsilon in enumerate(aspect_ratios.tolist()):
            end = math.acosh(1 / epsilon)
            u = 0.5 * end * (nodes + 1)
            share = 0.5 * end * weights / (np.cosh(u) ** 2 * math.sqrt(1 - epsilon**2))
            seen = np.exp(np.interp(np.log(x.numpy())[:, None] - np.log(np.cosh(u)), log_z, log_sphere))
            result[i, j] = torch.from_numpy(seen @ share)
    return result


_TABLE = ScalingTable((Axis(0.1, 0.6, 16), Axis(0.01, 0.2, 48)), _shape)

KERNELS = (
    Kernel(
        name="cracks",
        function=cracks,
        parameters=_PARAMETERS,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays",
        valid="random directions, no interference between cracks; above an aspect ratio of 0.2 use `ellipsoid`",
        tests=(
            SelfTest(
                {
                    "radius": 300.0,
                    "aspect_ratio": 0.05,
                    "polydispersity": 0.3,
                    "volume_fraction": 1e-3,
                    "contrast": 1e-5,
                },
                (0.005, 0.1),
                (71.8943265996282, 0.07288837530548388),
                "plain quadrature over 8001 radii and 800 directions",
                rtol=1e-3,
            ),
        ),
    ),
)
