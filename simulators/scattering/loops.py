r"""Dislocation loops: prismatic loops of vacancies or interstitials, in random directions, of many sizes.

A circular loop of radius R whose Burgers vector b is normal to its plane is the plastic strain
:math:`\epsilon^*_{zz} = b\,\delta(z)` on a disc. In an isotropic body the elastic dilatation follows at once in Fourier
space (θ between q and the normal, D the disc's transform):

.. math:: \Delta_{el}(q) = b D \left[\frac{\lambda+2\mu\cos^2\theta}{\lambda+2\mu} - 1\right]
          = -\kappa\,b\,\sin^2\theta\; 2\pi R^2\frac{J_1(qR\sin\theta)}{qR\sin\theta},\qquad
          \kappa = \frac{1-2\nu}{1-\nu}

It changes the scattering-length density by -ρ0 Δ_el (the layer of inserted or removed atoms restores the crystal and
has no contrast of its own). The average over directions is, by Sonine's first integral
(Abramowitz & Stegun 1964, eq. 11.4.10) and :math:`J_1^2(z) = \frac2\pi\int_0^{\pi/2} J_2(2z\cos\varphi)\,d\varphi`,

.. math::
          \frac{d\Sigma}{d\Omega}(q) = N\,(2\pi\rho_0\kappa b)^2\,q^{-2}\,\langle R^2 A(qR)\rangle\,
          [q r_0 K_1(q r_0)]^2,\qquad A(x) = \int_0^{\pi/2}\sin^3\theta\,J_1^2(x\sin\theta)\,d\theta
          = \frac2\pi\int_0^{\pi/2} j_2(2x\cos\varphi)\,d\varphi

with j_2 the spherical Bessel function, N loops per volume and the core of `simulators.scattering.dislocations`.
A → 2x²/15 at small x: a plateau :math:`\frac{8\pi^2}{15}N(\rho_0\kappa b)^2\langle R^4\rangle`. A → 1/(4x) at large x:
exactly the q⁻³ law of straight edge dislocations of density :math:`\rho_d = 2\pi N\langle R\rangle`. The Schulz average
over R is closed for j_2; the rest is tabulated over qR and width, within 0.1 %.

Valid for loops far apart (their fields do not overlap), isotropic elasticity, kinematic scattering, q below 2/r_0.
Parameters, units and ranges: `KERNELS`. Derived here; the same field underlies Larson & Schmatz 1974, Phys. Rev. B 10,
2307 (small-angle and diffuse scattering of loops in copper).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.dislocations import core_factor
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.tables import Axis, ScalingTable

_PARAMETERS = (
    Parameter("number_density", "1/m³", 0.0, 1e26, 1e22, "loops per volume N"),
    Parameter("radius", "Å", 2.0, 1e5, 80.0, "mean radius R of the loops"),
    Parameter("polydispersity", "(ratio)", 0.1, 0.6, 0.3, "sd/mean of R, Schulz"),
    Parameter("sld", "1/Å²", -1e-3, 1e-3, 6.5e-5, "scattering-length density ρ0 of the matrix"),
    Parameter("burgers", "Å", 0.5, 20.0, 2.087, "length b of the Burgers vector (a/3<111> for Frank loops in copper)"),
    Parameter("poisson_ratio", "(1)", -0.9, 0.5, 0.343, "ν"),
    Parameter("core_radius", "Å", 0.0, 100.0, 3.0, "r_0; 0 for a singular line"),
)
_PER_M3_IN_PER_A3 = 1e-30
_SERIES_BELOW = 1.0
_TERMS = 12


def dislocation_loops(
    q: Values,
    *,
    number_density: Values,
    radius: Values,
    sld: Values,
    burgers: Values,
    poisson_ratio: Values,
    polydispersity: Values = 0.3,
    core_radius: Values = 0.0,
) -> Tensor:
    """Scattering of prismatic dislocation loops; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    number_density, radius, sld, burgers, poisson_ratio, polydispersity, core_radius
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
    number, r, p, rho_0, b, nu, r_0 = columns(
        q,
        _PARAMETERS,
        number_density=number_density,
        radius=radius,
        polydispersity=polydispersity,
        sld=sld,
        burgers=burgers,
        poisson_ratio=poisson_ratio,
        core_radius=core_radius,
    )
    kappa = (1 - 2 * nu) / (1 - nu)
    fourth = (1 + p**2) * (1 + 2 * p**2) * (1 + 3 * p**2)  # <R⁴>/<R>⁴
    forward = 8 / 15 * math.pi**2 * (number * _PER_M3_IN_PER_A3 * r**4) * fourth * (rho_0 * kappa * b) ** 2 * PER_CM
    return forward * _TABLE(q * r, p) * core_factor(q, r_0) ** 2


def _mean_j2(z: Tensor, k: float) -> Tensor:
    """Return E[r² j_2(z r)] over a Schulz distribution of r with mean 1 and k = 1/p² (> 1)."""
    theta = 1 / k
    y = z * theta
    modulus, angle = 0.5 * torch.log1p(y * y), torch.atan(y)

    def wave(m: int) -> tuple[Tensor, Tensor]:
        size = torch.exp(-(k + m) * modulus)
        return size * torch.cos((k + m) * angle), size * torch.sin((k + m) * angle)

    inverse, first = wave(-1)[1] / (theta * (k - 1)), wave(1)[1]  # E[sin/r], E[r sin]
    closed = 3 * inverse / z**3 - first / z - 3 * wave(0)[0] / z**2
    # j_2(z) = z² Σ_j (-z²/2)^j / (j! (2j+5)!!), with E[r^(2j+4)] = θ^(2j+4) (k)_(2j+4).
    term = torch.ones_like(z) / 15 * z**2
    for j in range(4):
        term = term * theta * (k + j)
    small = y * (k + 4) < _SERIES_BELOW
    y2 = torch.where(small, y, torch.zeros_like(y)) ** 2
    series = torch.zeros_like(z)
    for j in range(_TERMS):
        series = series + term
        term = term * (-y2 / 2) * ((k + 4 + 2 * j) * (k + 5 + 2 * j)) / ((j + 1) * (2 * j + 7))
    return torch.where(small, series, closed)


def _shape(x: Tensor, widths: Tensor) -> Tensor:
    """Return <R² A> over its small-x limit, ``(widths, m)``."""
    result = torch.empty((widths.numel(), x.numel()), dtype=torch.float64)
    for i, p in enumerate(widths.tolist()):
        # cos φ = 1/cosh u; the integrand is even in u and falls as exp(-3u), so that equal steps converge
        # exponentially once they resolve the waves that the size distribution leaves, up to z = 8/p.
        step = min(0.1, 0.4 * p)
        u = torch.arange(0, math.log(4 * float(x.max())) + 8, step, dtype=torch.float64)
        weight = (4 / math.pi) * step / torch.cosh(u) / 2
        weight[0] /= 2
        mean = _mean_j2(2 * x[:, None] / torch.cosh(u), p**-2) @ weight
        fourth = (1 + p**2) * (1 + 2 * p**2) * (1 + 3 * p**2)
        result[i] = mean * 7.5 / (x**2 * fourth)
    return result


_TABLE = ScalingTable((Axis(0.1, 0.6, 20),), _shape)

KERNELS = (
    Kernel(
        name="dislocation_loops",
        function=dislocation_loops,
        parameters=_PARAMETERS,
        source="derived; field as in Larson & Schmatz 1974, Phys. Rev. B 10, 2307",
        valid="loops far apart, isotropic elasticity, kinematic; q below some 2/r_0",
        tests=(
            SelfTest(
                {
                    "number_density": 1e22,
                    "radius": 80.0,
                    "polydispersity": 0.3,
                    "sld": 6.5e-5,
                    "burgers": 2.0,
                    "poisson_ratio": 0.343,
                },
                (0.01, 0.1),
                (1.0412102241618597, 0.00308915192287226),
                "plain quadrature over 8001 radii and 300 directions of the transformed field",
                rtol=1e-3,
            ),
        ),
    ),
)
