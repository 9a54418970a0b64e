"""How far the network of bonds reaches: molecules, chains, layers or frameworks.

Here two atoms are bonded if they are nearer than 1.2 times the sum of their covalent radii. A network reaches as many
directions as there are independent lattice vectors by which one of its atoms is bonded to its own images (Larsen et
al., Phys. Rev. Materials 3, 034003, 2019, doi:10.1103/PhysRevMaterials.3.034003).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural.batch import Batch

TOLERANCE = 1.2

COLUMNS = (
    Feature("network 0d", "1", "Share of atoms in networks of bonds that end: single atoms and molecules"),
    Feature("network 1d", "1", "Share of atoms in networks of bonds that reach one direction: chains"),
    Feature("network 2d", "1", "Share of atoms in networks of bonds that reach two directions: layers"),
    Feature("network 3d", "1", "Share of atoms in networks of bonds that reach all directions: frameworks"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    radius = batch.of_sites("covalent_radius")
    bonded = batch.distance <= TOLERANCE * (radius[batch.first] + radius[batch.second])
    first, second, image = batch.first[bonded], batch.second[bonded], batch.image[bonded]
    component, cell = _unfold(first, second, image, batch.sites)
    # Bonds close loops; one that ends in another cell than it began in leads to an image.
    loops = cell[first] + image - cell[second]
    loops = np.rint(loops)
    open_loop = np.flatnonzero(loops.any(1))
    size = int(component.max()) + 1
    gram = np.zeros((size, 3, 3))
    # Integers of the span of all loops of a network: its dimension is the rank of their moments.
    flat = component[first[open_loop]]
    unique = np.unique(np.column_stack([flat, loops[open_loop]]).astype(np.int64), axis=0)
    vectors = unique[:, 1:].astype(float)
    np.add.at(gram, unique[:, 0], vectors[:, :, None] * vectors[:, None, :])
    dimension = np.linalg.matrix_rank(gram, tol=1e-6, hermitian=True)
    counts = np.bincount(batch.structure * 4 + dimension[component], batch.occupancy, batch.n * 4).reshape(batch.n, 4)
    return counts / batch.atoms[:, None]


def _unfold(first: np.ndarray, second: np.ndarray, image: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the network ``(n,)`` of each site, and the cell ``(n, 3)`` it is in if one walks there along bonds."""
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n, n)).tocsr()
    count, component = connected_components(graph, directed=False)
    # One more node, joined to one site of each network, makes a single tree of all.
    roots = np.unique(component, return_index=True)[1]
    joined = coo_array(
        (np.ones(len(first) + count), (np.append(first, np.full(count, n)), np.append(second, roots))),
        shape=(n + 1, n + 1),
    ).tocsr()
    order, parent = breadth_first_order(joined, n, directed=True)
    step = np.zeros((n, 3))
    # Any one of the bonds from parent to child will do.
    is_tree = parent[second] == first
    step[second[is_tree]] = image[is_tree]
    cell = np.zeros((n, 3))
    depth = np.zeros(n + 1, dtype=int)
    for node in order[1:]:
        depth[node] = depth[parent[node]] + 1
    for level in range(2, depth.max() + 1):
        nodes = np.flatnonzero(depth[:n] == level)
        cell[nodes] = cell[parent[nodes]] + step[nodes]
    return component, cell
