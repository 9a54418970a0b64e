r"""A theory brought to the data: pretrained networks at moved points, times a slope, plus an offset.

A theory is often right in kind and wrong in place: a transition at other temperatures, a reaction that is faster, a gap
that is always too small. Its function `f` is therefore taken as

.. math:: m(x) = a + b\,f(x + \delta(x)),\qquad \delta(x) = \sum_k c_k P_k(x),

with products `P` of Legendre polynomials of low total degree. What is fitted, and how, is in
`surrogates.recalibration`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.networks import NetworkEnsemble

_MOST = 45
"""Numbers that move a theory at most; with more inputs the degree is lower, or nothing is moved."""
_HIGHEST = 4
BEYOND = 0.1
"""How far outside the cube a theory is still asked."""


def exponents(d: int) -> list[tuple[int, ...]]:
    """Of the movement's terms in `d` inputs, by rising degree; empty with too many inputs."""
    found: list[tuple[int, ...]] = []
    for degree in range(_HIGHEST + 1):
        if d * math.comb(d + degree, degree) > _MOST:
            return [] if degree <= 1 else found
        found += [e for e in itertools.product(range(degree + 1), repeat=d) if sum(e) == degree]
    return found


def terms(X: Tensor, powers: Sequence[tuple[int, ...]]) -> Tensor:
    """``(*batch, q, k)`` products of Legendre polynomials at ``X (*batch, q, d)``."""
    u = 2 * X - 1
    legendre = [torch.ones_like(u), u]
    for n in range(1, _HIGHEST):
        legendre.append(((2 * n + 1) * u * legendre[n] - n * legendre[n - 1]) / (n + 1))
    columns = []
    for exponent in powers:
        column = torch.ones_like(u[..., 0])
        for axis, power in enumerate(exponent):
            if power:
                column = column * legendre[power][..., axis]
        columns.append(column)
    return torch.stack(columns, -1)


@dataclass(frozen=True, eq=False)
class TheoryFunction:
    """`D` versions of a theory for each of `m` outputs, in standardised units."""

    networks: NetworkEnsemble
    """``m * members`` pretrained networks, output-major; a theory's function is their average."""
    coefficients: Tensor
    """``(m, D, k, d)`` of the movement, in units of the cube; ``k = 0`` moves nothing."""
    slope: Tensor
    """``(m, D)``."""
    offset: Tensor
    """``(m, D)``."""

    @classmethod
    def plain(cls, networks: NetworkEnsemble, outputs: int, like: Tensor) -> TheoryFunction:
        """Return the theory as it is."""
        one = like.new_ones(outputs, 1, dtype=torch.float64)
        d = networks.architecture.n_inputs
        return cls(networks, one.new_zeros(outputs, 1, 0, d), one, torch.zeros_like(one))

    @property
    def members(self) -> int:
        """Functions of all outputs, ``m D``, output-major."""
        return self.slope.numel()

    def of(self, output: int) -> NetworkEnsemble:
        """Return the networks of one output."""
        own = self.networks.members // len(self.slope)
        return self.networks.select(slice(output * own, (output + 1) * own))

    def moved(self, X: Tensor) -> Tensor:
        """Return the points ``(m D, *batch, q, d)`` at which the theory is taken."""
        k = self.coefficients.shape[-2]
        if k == 0:
            return X.expand(self.members, *X.shape)
        flat = X.reshape(-1, X.shape[-1])
        points = flat + terms(flat, exponents(X.shape[-1])[:k]) @ self.coefficients.flatten(0, 1)
        return points.clamp(-BEYOND, 1 + BEYOND).reshape(self.members, *X.shape)

    def __call__(self, X: Tensor) -> Tensor:
        """Compute ``(m D, *batch, q)`` at ``X (*batch, q, d)``, differentiable in X."""
        points = self.moved(X).unflatten(0, tuple(self.slope.shape))
        # An output's networks at all versions' points in one product.
        values = [self.of(i)(own.reshape(-1, X.shape[-1]))[..., 0].mean(0) for i, own in enumerate(points)]
        functions = torch.stack(values).reshape(self.members, -1)
        scaled = self.offset.reshape(-1, 1) + self.slope.reshape(-1, 1) * functions
        return scaled.reshape(self.members, *X.shape[:-1])
