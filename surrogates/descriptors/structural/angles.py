"""Angles between bonds, and the symmetry of the directions of a site's bonds."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

KNOTS = np.array([60, 75, 90, 105, 120, 135, 150, 180], dtype=float)
_ORDERS = (1, 2, 3, 4, 6)
_SPREAD_ORDERS = (4, 6)

_ANGLE = "Angle of two bonds of a site"
_ORDER = "Steinhardt's order parameter q"
COLUMNS = (
    Feature("bond_angle mean", "°", f"{_ANGLE}, mean over pairs of bonds; 0 if no site has two"),
    Feature("bond_angle deviation", "°", f"{_ANGLE}, standard deviation over pairs of bonds"),
    *grouped.bins("bond_angle", KNOTS, "Share of pairs of bonds that are about {} apart", "°"),
    *(
        Feature(f"orientational_order_{k} mean", "1", f"{_ORDER}{k} of a site's bonds, mean over sites")
        for k in _ORDERS
    ),
    *(
        Feature(f"orientational_order_{k} deviation", "1", f"{_ORDER}{k}, standard deviation over sites")
        for k in _SPREAD_ORDERS
    ),
    Feature(
        "orientational_order_1 max", "1", f"Largest {_ORDER}1: 0 amid the neighbours, 1 with all of them on one side"
    ),
)


def _two_bonds(site: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both bonds of each pair of different bonds of a site, once; bonds ascend by site."""
    count = np.bincount(site, minlength=n)
    rank = np.arange(len(site)) - np.repeat(np.cumsum(count) - count, count)
    later = count[site] - 1 - rank
    one = np.repeat(np.arange(len(site)), later)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(later) - later, later)
    return one, other


def _legendre(order: int, x: np.ndarray) -> np.ndarray:
    x2 = x * x
    if order == 1:
        return x
    if order == 2:
        return 1.5 * x2 - 0.5
    if order == 3:
        return (2.5 * x2 - 1.5) * x
    if order == 4:
        return (4.375 * x2 - 3.75) * x2 + 0.375
    return ((14.4375 * x2 - 19.6875) * x2 + 6.5625) * x2 - 0.3125


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    group, occupancy, n = batch.structure, batch.occupancy, batch.n
    bond_site, weight = batch.first[batch.bonds], batch.bond_weight
    one, other = _two_bonds(bond_site, batch.sites)
    site = bond_site[one]
    cosine = np.clip(np.einsum("ij,ij->i", batch.directions[one], batch.directions[other]), -1, 1)
    both = weight[one] * weight[other]
    angle = np.degrees(np.arccos(cosine))
    in_structure = both * occupancy[site]
    columns = [
        grouped.mean(group[site], angle, in_structure, n),
        grouped.deviation(group[site], angle, in_structure, n),
        *grouped.relative(grouped.shares(group[site], angle, in_structure, KNOTS, n)).T,
    ]
    # By the addition theorem, the mean over all pairs of bonds of the Legendre polynomial, each with itself included.
    alone = grouped.total(bond_site, weight**2, batch.sites)
    pairs = batch.coordination**2
    q = {}
    for order in _ORDERS:
        summed = alone + 2 * grouped.total(site, both * _legendre(order, cosine), batch.sites)
        q[order] = np.sqrt(np.maximum(summed / pairs, 0))
        columns.append(grouped.mean(group, q[order], occupancy, n))
    columns += [grouped.deviation(group, q[order], occupancy, n) for order in _SPREAD_ORDERS]
    columns.append(grouped.largest(group, q[1], n))
    return np.stack(columns, axis=1)
