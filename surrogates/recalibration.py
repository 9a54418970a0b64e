r"""How a theory is moved: movement, slope and offset are fitted by a few numbers, by Laplace's method.

What is left over is a Gaussian process (after Kennedy & O'Hagan, 2001, doi:10.1111/1467-9868.00294, whose code
parameters the movement of `surrogates.theory_function` stands in for). Degrees of the movement are compared by their
evidence, so that a theory that is in its place stays there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.stationary import Matern
from surrogates.networks import NetworkEnsemble
from surrogates.theory_function import BEYOND, TheoryFunction, exponents, terms

_MOVED_SD = 0.1
"""Prior standard deviation of each coefficient of the movement, in parts of the cube."""
_SLOPE_SD, _OFFSET_SD = 0.5, 5.0
"""Of the slope around 1 and of the offset around 0 (standardised units)."""
_STEPS = 100
_SMALL = -1.5
"""Where the scale of what is left over may begin, in units of its prior: small, it makes the theory move."""
_SAME = 0.5
"""Maxima of one degree whose log evidence differs by less are taken for one."""


def recalibrate(
    networks: NetworkEnsemble,
    X: Tensor,
    targets: Tensor,
    variances: Tensor | None,
    *,
    draws: int,
    generator: torch.Generator,
) -> tuple[TheoryFunction, Tensor]:
    """Draw movement, slope and offset of each output from their posterior.

    The posterior is that of Laplace's method with the Gauss-Newton Hessian, at the maxima found from several starts and
    for several degrees, each with its evidence. The first draw is the best maximum itself.

    Parameters
    ----------
    networks
        ``m * members`` pretrained networks, float64, in standardised units.
    X
        ``(n, d)`` in the unit cube.
    targets, variances
        ``(m, n)`` standardised; measured variances or None.
    draws
        How many, of each output.
    generator
        On the CPU.

    Returns
    -------
    TheoryFunction
    Tensor
        ``(m,)`` what the fitted numbers cost: the log of their prior's density at the best maximum times the volume
        that the posterior leaves; to be added to the log evidence given them. Never positive.

    Raises
    ------
    SurrogateError
        If no fit is finite.
    """
    m = len(targets)
    members = networks.members // m
    found = []
    for i in range(m):
        own = networks.select(slice(i * members, (i + 1) * members))
        fit = _Fit(own, X, targets[i], None if variances is None else variances[i])
        found.append(fit.run(draws, generator))
    coefficients, slope, offset, cost = (torch.stack(t) for t in zip(*found, strict=True))
    return TheoryFunction(networks, coefficients, slope, offset), cost


@dataclass(frozen=True)
class _Maximum:
    evidence: float
    cost: float
    best: Tensor
    free: Tensor
    """Indices of the fitted numbers that are not zero by choice of the degree."""
    root: Tensor
    """Cholesky factor of their posterior precision."""


class _Fit:
    """One output's fit, of a vector in units of the prior.

    It holds offset, slope, movement, then the logarithms of the length scales, of the scale of what is left over and of
    the noise.
    """

    def __init__(self, networks: NetworkEnsemble, X: Tensor, y: Tensor, variances: Tensor | None) -> None:
        self._networks, self._X, self._y, self._variances = networks, X, y, variances
        d = X.shape[-1]
        self._exponents = exponents(d)
        self._terms = terms(X, self._exponents) if self._exponents else X.new_zeros(len(X), 0)
        self._k = len(self._exponents)
        self._few = 2 + self._k * d
        self._widths = X.new_tensor([_MOVED_SD * 0.7 ** max(0, sum(e) - 1) for e in self._exponents]).unsqueeze(-1)
        median = 0.3 * math.sqrt(d)
        self._scales = X.new_tensor(
            [math.log(median)] * d + [math.log(0.7), math.log(0.15 if variances is None else 0.05)]
        )
        self._scale_sds = X.new_tensor([0.75] * d + [1.0, 1.0])

    def mean(self, z: Tensor, terms: Tensor | None = None) -> Tensor:
        """Theory at the points, for offset, slope and movement ``z``."""
        moved = self._X
        if self._k:
            moved = (moved + self._terms @ (self._widths * z[2:].view(self._k, -1))).clamp(-BEYOND, 1 + BEYOND)
        return _OFFSET_SD * z[0] + (1 + _SLOPE_SD * z[1]) * self._networks(moved)[..., 0].mean(0)

    def covariance(self, z: Tensor) -> Tensor:
        """Of what is left over."""
        scales = (self._scales + self._scale_sds * z).exp()
        K = (
            scales[-2].square()
            * Matern(scales[None, :-2]).tangent(self._X).kernel(Matern(scales[None, :-2]).tangent(self._X))[0]
        )
        noise = scales[-1].square().expand(len(K))
        if self._variances is not None:
            noise = noise + self._variances
        return K + torch.diag(noise + 1e-8)

    def _loss(self, z: Tensor) -> Tensor:
        few = self._few
        root, info = torch.linalg.cholesky_ex(self.covariance(z[few:]))
        if int(info):
            return z.new_tensor(math.inf)
        white = torch.linalg.solve_triangular(root, (self._y - self.mean(z[:few])).unsqueeze(-1), upper=False)
        return 0.5 * white.square().sum() + root.diagonal().log().sum() + 0.5 * z.square().sum()

    def run(self, draws: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draws of coefficients, slope and offset, and the cost."""
        maxima = self._maxima()
        top = maxima[0]
        weight = torch.tensor([one.evidence - top.evidence for one in maxima], dtype=torch.float64).softmax(0)
        places = (torch.arange(draws - 1, dtype=torch.float64) + 0.5) / max(draws - 1, 1)
        chosen = torch.searchsorted(weight.cumsum(0), places).clamp_max(len(maxima) - 1).tolist()
        drawn = [top.best]
        for one in (maxima[i] for i in chosen):
            noise = torch.randn(len(one.free), 1, generator=generator, dtype=torch.float64).to(one.root)
            away = torch.linalg.solve_triangular(one.root.mT, noise, upper=True).squeeze(-1)
            drawn.append(one.best.index_add(0, one.free, away))
        own = torch.stack(drawn)[:, : self._few]
        movement = (
            self._widths * own[:, 2:].unflatten(-1, (self._k, -1))
            if self._k
            else own.new_zeros(draws, 0, self._X.shape[-1])
        )
        return movement, 1 + _SLOPE_SD * own[:, 1], _OFFSET_SD * own[:, 0], own.new_tensor(top.cost)

    def _maxima(self) -> list[_Maximum]:
        """Different maxima, the one with the highest evidence first."""
        d, few = self._X.shape[-1], self._few
        degrees = np.array([-1, -1] + [sum(e) for e in self._exponents for _ in range(d)])
        highest = int(degrees.max())
        paths = [((-1, *(g for g in (1, 2) if g < highest), highest), 0.0)]
        if highest >= 0:
            paths += [((highest,), 0.0), ((min(1, highest), highest), _SMALL)]
        found: list[_Maximum] = []
        for path, left in paths:
            z = np.zeros(few + len(self._scales))
            z[-2] = left
            for degree in dict.fromkeys(path):
                free = np.concatenate([degrees <= degree, np.ones(len(self._scales), dtype=bool)])
                with torch.enable_grad():
                    z, loss = self._minimised(z, free)
                with torch.no_grad():
                    own = self._maximum(torch.from_numpy(z).to(self._X), loss, np.flatnonzero(free[:few]))
                known = [one for one in found if len(one.free) == len(own.free)]
                if all(abs(one.evidence - own.evidence) > _SAME for one in known):
                    found.append(own)
        return sorted(found, key=lambda one: -one.evidence)

    def _minimised(self, z: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
        def value(part: np.ndarray) -> tuple[float, np.ndarray]:
            whole = z.copy()
            whole[free] = part
            at = torch.from_numpy(whole).to(self._X).requires_grad_()
            loss = self._loss(at)
            if not bool(torch.isfinite(loss)):
                return 1e10, np.zeros(len(part))
            (slope,) = torch.autograd.grad(loss, at)
            return loss.item(), slope.cpu().numpy()[free]

        found = minimize(value, z[free], jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-6})
        if not np.isfinite(found.fun) or found.fun >= 1e10:
            raise SurrogateError(
                "a pretrained prior could not be fitted: look for values many orders of magnitude apart"
            )
        z = z.copy()
        z[free] = found.x
        return z, float(found.fun)

    def _maximum(self, z: Tensor, loss: float, free: np.ndarray) -> _Maximum:
        few, index = self._few, torch.from_numpy(free).to(z.device)
        columns = torch.func.jacfwd(self.mean)(z[:few])[:, index]
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(self.covariance(z[few:])), columns, upper=False)
        root = torch.linalg.cholesky(torch.eye(len(index)).to(white) + white.mT @ white)
        volume = float(root.diagonal().log().sum())
        cost = -0.5 * float(z[:few].square().sum()) - volume
        return _Maximum(-loss - volume, cost, z, index, root)
