"""Radial distribution: how many atoms there are at what distance, and whether they are alike."""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch
from surrogates.descriptors.structural.neighbours import RADIUS

STEP = 0.5
KNOTS = np.arange(1.0, 6.01, STEP)
_TEXT = [f"{knot:.1f}" for knot in KNOTS]
_CHARGED = slice(1, 8)
_COULOMB = 14.399645
"""eV Å of two elementary charges."""
DAMPING = 0.2
"""1/Å."""

_WEIGHT = "each pair times both electronegativities less their mean over atoms"
_CHARGES = "point charges, one e per unit of electronegativity below its mean over atoms"
COLUMNS = (
    *(
        Feature(f"radial_density {r} Å", "1/Å³", f"Atoms per volume {r} Å (triangle of ±{STEP} Å) from an atom")
        for r in _TEXT
    ),
    *(Feature(f"radial_charge {r} Å", "Pauling²/Å³", f"As radial_density, {_WEIGHT}") for r in _TEXT[_CHARGED]),
    Feature("electrostatic_energy", "eV/atom", f"Energy of {_CHARGES}"),
    Feature("electrostatic_potential deviation", "V", f"Potential of {_CHARGES}: standard deviation"),
)


def _densities(batch: Batch, pairs: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weights of pairs per volume of the shell about each knot and per atom, ``(n, m)``."""
    knots = np.concatenate([[KNOTS[0] - STEP], KNOTS, [KNOTS[-1] + STEP]])
    group = batch.structure[batch.first[pairs]]
    counts = grouped.shares(group, batch.distance[pairs], weight, knots, batch.n)[:, 1:-1]
    # Volume of a shell that is a triangle of the distance.
    volume = 4 * np.pi * STEP * (KNOTS**2 + STEP**2 / 6)
    return counts / volume / batch.atoms[:, None]


def _potentials(batch: Batch, charge: np.ndarray) -> np.ndarray:
    """Potential at each site, V; charges ``(s,)`` in e add up to nothing.

    Damped and cut off so that the charge within the sphere is nothing: Wolf et al., J. Chem. Phys. 110, 8254 (1999),
    doi:10.1063/1.478738.
    """
    near = np.flatnonzero(batch.distance < RADIUS)
    first, second, distance = batch.first[near], batch.second[near], batch.distance[near]
    edge = erfc(DAMPING * RADIUS) / RADIUS
    others = charge[second] * batch.occupancy[second] * (erfc(DAMPING * distance) / distance - edge)
    own = charge * (edge + 2 * DAMPING / np.sqrt(np.pi))
    return _COULOMB * (grouped.total(first, others, batch.sites) - own)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    negativity = batch.of_sites("electronegativity")
    mean = grouped.mean(batch.structure, negativity, batch.occupancy, batch.n)
    charge = mean[batch.structure] - negativity
    near = np.flatnonzero((batch.distance > KNOTS[0] - STEP) & (batch.distance < KNOTS[-1] + STEP))
    first, second = batch.first[near], batch.second[near]
    present = batch.occupancy[first] * batch.occupancy[second]
    potential = _potentials(batch, charge)
    return np.column_stack(
        [
            _densities(batch, near, present),
            _densities(batch, near, present * charge[first] * charge[second])[:, _CHARGED],
            grouped.mean(batch.structure, potential * charge, batch.occupancy, batch.n) / 2,
            grouped.deviation(batch.structure, potential, batch.occupancy, batch.n),
        ]
    )
