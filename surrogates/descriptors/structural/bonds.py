"""Bonds: pairs of sites with a weight that fades with distance: no cut-off that jumps, no table of radii.

The weight is that of Hoppe's effective coordination number (Z. Kristallogr. 150, 23, 1979,
doi:10.1524/zkri.1979.150.14.23), from distances alone: w = exp(1 - (d/d̄)⁶), where d̄ is the mean distance of the
site's neighbours, weighted with exp(1 - (d/d_min)⁶). Hoppe repeats this until d̄ stays the same; here it is done once:
repeated, d̄ of some sites creeps on to the next shell of neighbours, and tiny shifts of the atoms decide whether it
gets there. In regular surroundings both are the same. A bond as long as d̄ has a weight of 1; none has more than e.

A bond belongs to its first site: seen from its second one it may have another weight, as in a cage about one large
atom, which counts the cage's atoms as its neighbours while they have nearer ones.
"""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.structural import grouped

WEAKEST = 1e-4
"""Bonds of less weight are left out. At d = 1.473 d̄."""


def bond_weights(site: np.ndarray, distance: np.ndarray, occupancy: np.ndarray, n: int) -> np.ndarray:
    """Weight of each pair of sites as a bond of its first one.

    Parameters
    ----------
    site
        ``(k,)`` first site of each pair; each of the `n` has one pair at least.
    distance
        ``(k,)`` Å.
    occupancy
        ``(k,)`` of the second site.
    n
        Number of sites.

    Returns
    -------
    ndarray
        ``(k,)``, without the occupancy; 0 below `WEAKEST`.
    """
    nearest = grouped.smallest(site, distance, n)
    near = np.exp(1 - (distance / nearest[site]) ** 6) * occupancy
    average = grouped.total(site, near * distance, n) / grouped.total(site, near, n)
    weights = np.exp(1 - (distance / average[site]) ** 6)
    weights[weights < WEAKEST] = 0.0
    return weights
