r"""The field outside a circle or ball that holds all defects, as multipoles, and their transforms in closed form.

In an isotropic matrix without forces the dilatation is harmonic, so that outside radius R

.. math::
    \Delta = \sum_m \left(\tfrac{R}{r}\right)^m (a_m\cos m\theta + b_m\sin m\theta),\qquad
    \Delta = \sum_{lm} c_{lm}\left(\tfrac{R}{r}\right)^{l+1} Y_{lm}(\hat r)

in the plane and in space, and the transforms of what lies outside follow from
:math:`\int_R^\infty r^{1-m}J_m(qr)\,dr = R^{1-m}J_{m-1}(qR)/q` and
:math:`\int_R^\infty r^{1-l}j_l(qr)\,dr = R^{1-l}j_{l-1}(qR)/q`. In a cubic matrix the field of a defect with a centre
of symmetry falls off as r⁻³, then r⁻⁵, each with an angular dependence of every even l; there the radial integrals are
done numerically. The coefficients come from
a least-squares fit to the finite elements between R and 2R, which also holds the terms that grow with r: they are the
image field of the mesh's rim, and are taken off inside as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import eval_legendre, jv, sph_harm_y, spherical_jn

from simulators.elasticity.defects import Geometry

_ORDERS = 8
_CUBIC_ORDERS = (2, 4, 6, 8)
_IMAGE_ORDERS = 2


@dataclass(frozen=True)
class FarField:
    """Multipoles of the dilatation outside `radius`.

    Parameters
    ----------
    geometry
        Which functions of the angle.
    radius
        R in Å.
    harmonic
        False for the r⁻³ and r⁻⁵ of a cubic matrix.
    coefficients
        ``(n_terms,)`` of the decaying terms at r = R.
    image
        ``(n_image,)`` of the terms that grow with r.
    residual
        What the fit leaves, relative to the field there (root mean squares).
    """

    geometry: Geometry
    radius: float
    harmonic: bool
    coefficients: np.ndarray
    image: np.ndarray
    residual: float

    def image_at(self, position: np.ndarray) -> np.ndarray:
        """Return the image field at ``(n, dim)``, to be taken off inside R."""
        orders, angular = _angular(self.geometry, position, range(_IMAGE_ORDERS + 1))
        radius = np.linalg.norm(position, axis=1)
        return np.asarray((angular * (radius / self.radius) ** orders[:, None]).T @ self.image)

    def amplitude(self, q: np.ndarray) -> np.ndarray:
        """Return the transform of the dilatation outside R, ``(k,)`` Å³ (plane: Å²), at vectors ``(k, dim)`` 1/Å."""
        orders, angular = _angular(self.geometry, q, self._orders())
        size = np.linalg.norm(q, axis=1)
        total = np.zeros(len(q), dtype=complex)
        for order, power in sorted(set(zip(orders.tolist(), self._powers(orders).tolist(), strict=True))):
            here = (orders == order) & (self._powers(orders) == power)
            radial = self._radial(order, power, size)
            total += 1j**order * radial * (self.coefficients[here] @ angular[here])
        return total

    def _orders(self) -> tuple[int, ...]:
        return tuple(range(1, _ORDERS + 1)) if self.harmonic else 2 * _CUBIC_ORDERS

    def _powers(self, orders: np.ndarray) -> np.ndarray:
        """Return by which power of 1/r each term falls off."""
        if self.harmonic:
            return orders if self.geometry == "plane" else orders + 1
        return np.repeat([3, 5], len(orders) // 2)

    def _radial(self, order: int, power: int, q: np.ndarray) -> np.ndarray:
        x = q * self.radius
        if self.geometry == "plane":
            return np.asarray(2 * np.pi * self.radius * jv(order - 1, x) / q)
        if self.harmonic:
            return np.asarray(4 * np.pi * self.radius**2 * spherical_jn(order - 1, x) / q)
        return 4 * np.pi * self.radius**3 * x ** (power - 3.0) * _outer_integral(order, power, x)


def fit_far_field(
    geometry: Geometry, radius: float, harmonic: bool, position: np.ndarray, volume: np.ndarray, dilatation: np.ndarray
) -> FarField:
    """Return the multipoles that fit the dilatation ``(n,)`` at points ``(n, dim)`` of weights ``(n,)`` outside R."""
    blank = FarField(geometry, radius, harmonic, np.empty(0), np.empty(0), 0.0)
    r = np.linalg.norm(position, axis=1) / radius
    orders, decaying = _angular(geometry, position, blank._orders())
    powers = blank._powers(orders)
    image_orders, growing = _angular(geometry, position, range(_IMAGE_ORDERS + 1))
    basis = np.concatenate([decaying * r ** -powers[:, None].astype(float), growing * r ** image_orders[:, None]]).T
    # Each shell counts alike: weights that follow the volume would listen to the outermost points only.
    weight = np.sqrt(volume / r ** position.shape[1])
    if geometry == "axial":
        weight = np.sqrt(volume / r**3)
    solution = np.linalg.lstsq(basis * weight[:, None], dilatation * weight, rcond=None)[0]
    left = np.sqrt(np.mean((weight * (dilatation - basis @ solution)) ** 2))
    scale = np.sqrt(np.mean((weight * dilatation) ** 2))
    n = len(orders)
    return FarField(geometry, radius, harmonic, solution[:n], solution[n:], float(left / max(scale, 1e-300)))


def _angular(geometry: Geometry, x: np.ndarray, orders: range | tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the order ``(t,)`` and the value ``(t, n)`` of each function of the direction of ``(n, dim)``."""
    found: list[int] = []
    values: list[np.ndarray] = []
    r = np.linalg.norm(x, axis=1)
    if geometry == "plane":
        angle = np.arctan2(x[:, 1], x[:, 0])
        for m in orders:
            found += [m] if m == 0 else [m, m]
            values += [np.ones(len(x))] if m == 0 else [np.cos(m * angle), np.sin(m * angle)]
    elif geometry == "axial":
        for m in orders:
            found.append(m)
            values.append(eval_legendre(m, x[:, 1] / r))
    else:
        polar, azimuth = np.arccos(np.clip(x[:, 2] / r, -1, 1)), np.arctan2(x[:, 1], x[:, 0])
        for m in orders:
            found += [m] * (2 * m + 1)
            for k in range(m + 1):
                value = sph_harm_y(m, k, polar, azimuth)
                values += [value.real] if k == 0 else [value.real, value.imag]
    return np.array(found), np.stack(values)


def _outer_integral(order: int, power: int, x: np.ndarray) -> np.ndarray:
    """Return ∫ t^(2 - power) j_l(t) dt from x to infinity, by Gauss-Legendre panels from far out inwards."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    low, high = float(x.min()), float(x.max())
    start = max(1.0, 1.01 * low)
    edges = np.concatenate([np.geomspace(low, start, 40)[:-1], np.arange(start, high + 1000)])

    def panel(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        half = 0.5 * (end - begin)
        t = begin[:, None] + half[:, None] * (nodes + 1)
        return np.asarray((spherical_jn(order, t) * t ** (2.0 - power) * weights).sum(axis=1) * half)

    beyond = np.concatenate([np.cumsum(panel(edges[:-1], edges[1:])[::-1])[::-1], [0.0]])
    index = np.clip(np.searchsorted(edges, x, side="left"), 1, len(edges) - 1)
    return np.asarray(beyond[index] + panel(x, edges[index]))
