r"""Averages over a Schulz (gamma) distribution of sizes that are closed: no sum over sizes, right at any qR.

With k = 1/p² and θ = R p² (mean R, relative width p)

.. math:: E[R^m e^{itR}] = \theta^m \frac{\Gamma(k+m)}{\Gamma(k)} (1-it\theta)^{-(k+m)}

(Kotlarchyk & Chen 1983, doi:10.1063/1.446055, after Aragón & Pecora 1976, J. Chem. Phys. 64, 2395). A sphere's
amplitude is :math:`4\pi S(qR)/q^3` with :math:`S(x) = \sin x - x\cos x`; a product of two is

.. math:: 2 S(A) S(B) = \cos\delta - \cos\sigma - \sigma\sin\sigma + \delta\sin\delta + AB(\cos\delta+\cos\sigma),
          \quad \sigma = A+B,\; \delta = B-A

so that any particle of concentric spheres that all scale with R has a closed average. At small arguments the closed
forms lose their digits to cancellation; there a power series with the moments takes over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SHARPEST = 1e-3
"""Below this relative width the distribution counts as this wide: it then changes no digit that matters, and k = 1/p²
would grow without bound."""
_SERIES_BELOW = 1.5
_TERMS = 16
# S(x) = Σ_j s_j x^(2j+1), j = 1, 2, ...
_S = tuple((-1) ** (j + 1) * 2 * j / math.factorial(2 * j + 1) for j in range(1, _TERMS + 1))

Wave = tuple[Tensor, Tensor]


def waves(y: Tensor, k: Tensor) -> tuple[Wave, Wave, Wave]:
    """Return E[R^m exp(itR)] / (θ^m (k)_m) for m = 0, 1, 2 as pairs (real, imaginary).

    Parameters
    ----------
    y
        ``(n, m)`` tθ.
    k
        ``(n, 1)`` 1/p².

    Returns
    -------
    tuple of pairs of Tensor
        ``(n, m)`` each; (k)_m is k (k+1) .. (k+m-1).
    """
    square = y * y
    modulus = torch.exp(torch.log1p(square).mul_(-0.5 * k))
    phase = torch.atan(y).mul_(k)
    re0, im0 = modulus * torch.cos(phase), modulus * torch.sin(phase)
    # Each further power of R brings the factor 1/(1 - iy) = (1 + iy)/(1 + y²).
    re = 1 / (1 + square)
    im = y * re
    re1, im1 = re0 * re - im0 * im, re0 * im + im0 * re
    return (re0, im0), (re1, im1), (re1 * re - im1 * im, re1 * im + im1 * re)


def layered_square(q: Tensor, mean: Tensor, width: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return E[(Σ_a A_a S(a q R))²] over a Schulz distribution of R.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    mean, width
        ``(n, 1)``: mean R in Å, relative standard deviation.
    layers
        Pairs (A, a): amplitude and radius in units of R, ``(n, 1)`` each. One pair (1, 1) is a plain sphere.

    Returns
    -------
    Tensor
        ``(n, k)``.
    """
    width = width.clamp_min(SHARPEST)
    k, theta = width**-2, mean * width**2
    y = q * theta
    closed = torch.zeros_like(y)
    for index, (big_a, a) in enumerate(layers):
        for big_b, b in layers[index:]:
            weight = big_a * big_b * (1.0 if b is a else 2.0)
            closed += weight * _product(y, k, a, b, same=b is a)
    return _with_series(closed, y, k, layers)


def _product(y: Tensor, k: Tensor, a: Tensor, b: Tensor, *, same: bool) -> Tensor:
    """Return E[S(a q R) S(b q R)] by its closed form."""
    total = a + b
    sum0, sum1, sum2 = waves(y * total, k)
    quadratic = (a * b * k * (k + 1)) * (y * y)
    result = quadratic * sum2[0] - sum0[0] - (total * k) * y * sum1[1]
    if same:
        return 0.5 * (result + 1 + quadratic)
    difference = b - a
    dif0, dif1, dif2 = waves(y * difference, k)
    return 0.5 * (result + dif0[0] + (difference * k) * y * dif1[1] + quadratic * dif2[0])


def _with_series(closed: Tensor, y: Tensor, k: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Replace the closed form by the series in moments at small arguments."""
    largest = torch.stack([a.expand_as(k) for _, a in layers]).amax(0)
    # The argument at the radius that weighs most at low q, the mean of R⁶ f(R), for the largest sphere.
    argument = y * (largest * (k + 6))
    small = argument < _SERIES_BELOW
    if not bool(small.any()):
        return closed
    odd = [s * sum(big_a * (a / largest) ** (2 * j + 3) for big_a, a in layers) for j, s in enumerate(_S)]
    # The moments (k)_(2m) over (k+6)^(2m), m = 3, 4, ..: so that the variable is the argument itself.
    moment = torch.ones_like(k)
    for j in range(6):
        moment = moment * ((k + j) / (k + 6))
    coefficients = []
    for m in range(_TERMS):
        coefficients.append(moment * sum(odd[j] * odd[m - j] for j in range(m + 1)))
        moment = moment * ((k + 6 + 2 * m) / (k + 6)) * ((k + 7 + 2 * m) / (k + 6))
    square = argument.clamp_max(_SERIES_BELOW).square_()
    series = torch.zeros_like(closed)
    for coefficient in reversed(coefficients):
        series.mul_(square).add_(coefficient)
    return torch.where(small, series * (square * square * square), closed)


def mean_sphere(q: Tensor, mean: Tensor, width: Tensor) -> Tensor:
    """Return E[S(qR)], ``(n, k)``, over a Schulz distribution of R; arguments as in `layered_square`."""
    width = width.clamp_min(SHARPEST)
    k, theta = width**-2, mean * width**2
    y = q * theta
    wave0, wave1, _ = waves(y, k)
    closed = wave0[1] - k * y * wave1[0]
    argument = y * (k + 3)
    square = argument.clamp_max(_SERIES_BELOW).square_()
    moment = (k / (k + 3)) * ((k + 1) / (k + 3)) * ((k + 2) / (k + 3))
    coefficients = []
    for j, s in enumerate(_S):
        coefficients.append(s * moment)
        moment = moment * ((k + 3 + 2 * j) / (k + 3)) * ((k + 4 + 2 * j) / (k + 3))
    series = torch.zeros_like(y)
    for coefficient in reversed(coefficients):
        series.mul_(square).add_(coefficient)
    return torch.where(argument < _SERIES_BELOW, series * square * argument, closed)


def slab_square(q: Tensor, mean: Tensor, width: Tensor) -> Tensor:
    """Return E[4 sin²(qT/2)]/q² in Å², ``(n, k)``, over a Schulz distribution of thicknesses T: (T sinc)² averaged."""
    width = width.clamp_min(SHARPEST)
    k, theta = width**-2, mean * width**2
    y = q * theta
    modulus = torch.exp(torch.log1p(y * y).mul_(-0.5 * k))
    closed = 2 * (1 - modulus * torch.cos(torch.atan(y).mul_(k)))
    # 2 (1 - cos x) = Σ_m -2 (-1)^m x^(2m)/(2m)!, with E[x^(2m)] = y^(2m) (k)_(2m).
    argument = y * (k + 2)
    square = argument.clamp_max(_SERIES_BELOW).square_()
    moment = (k / (k + 2)) * ((k + 1) / (k + 2))
    coefficients = []
    for m in range(1, _TERMS + 1):
        coefficients.append(-2 * (-1) ** m / math.factorial(2 * m) * moment)
        moment = moment * ((k + 2 * m) / (k + 2)) * ((k + 2 * m + 1) / (k + 2))
    series = torch.zeros_like(y)
    for coefficient in reversed(coefficients):
        series.mul_(square).add_(coefficient)
    return torch.where(argument < _SERIES_BELOW, series * square, closed) / (q * q)


def moment(mean: Tensor, width: Tensor, power: int) -> Tensor:
    """Return E[R^power], ``(n, 1)``."""
    square = width.clamp_min(SHARPEST) ** 2
    result = torch.ones_like(mean)
    for j in range(power):
        result = result * mean * (1 + j * square)
    return result
