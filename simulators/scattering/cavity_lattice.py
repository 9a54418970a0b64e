r"""Cavities on a lattice: the superlattice of voids or bubbles that irradiation leaves in some metals.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = N\left[\langle F^2\rangle - \langle F\rangle^2\right] + N\langle F\rangle^2
    \left[1 - o + o\,S(q)\right],\qquad S = 1 + e^{-q^2u^2}\,[Z(q) - 1]

.. math::
    Z(q) = 2\pi^2 n\sum_G \frac{m_G}{qG}\,\frac{e^{-(q-G)^2/2w^2}}{\sqrt{2\pi}\,w},\qquad w = \frac{1}{\sqrt2\,L}

F is the amplitude of a sphere (Schulz distribution, independent of place), N = o n the cavities per volume, n the sites
per volume and o the share of them that is occupied at random; u the rms displacement per axis; m_G the multiplicity of
the shell of reciprocal-lattice vectors of length G; L the radius of a domain whose weight falls as exp(-r²/2L²). The
powder average of such a domain's peaks is exact as written; its forward peak (G = 0), scattering of the domain as a
whole, is left out: cavities fill the sample. Lengths d (nearest neighbours) scale the lattice: spacing_ratio = d/2R.

Valid for d well below L. Peaks beyond q d = 45 are left out, where exp(-q²u²) is below 1e-3 for the smallest u allowed.
Z is tabulated over qd and L/d, within 0.1 %; `lattice_sum` is the sum itself. Parameters, units and ranges: `KERNELS`.
Sources: Förster et al. 2005, doi:10.1021/jp0467494 (ordered materials with
decoupled polydispersity and disorder); Evans 1971, Nature 229, 403 (void lattices).
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from simulators.errors import ParameterError
from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.schulz import layered_square, mean_sphere
from simulators.scattering.tables import lagrange

Lattice = Literal["bcc", "fcc", "sc"]

_PARAMETERS = (
    Parameter("radius", "Å", 1.0, 1e4, 20.0, "mean radius R of the cavities"),
    Parameter("polydispersity", "(ratio)", 0.0, 0.6, 0.15, "sd/mean of R, Schulz"),
    Parameter("spacing_ratio", "(ratio)", 1.05, 20.0, 4.0, "distance d of nearest neighbours over the diameter 2R"),
    Parameter("displacement", "(ratio)", 0.06, 0.5, 0.1, "rms displacement per axis u, over d"),
    Parameter("domain_size", "(ratio)", 1.0, 20.0, 4.0, "Gaussian radius L of a domain, over d"),
    Parameter("occupancy", "(ratio)", 0.0, 1.0, 0.9, "share o of the sites that hold a cavity"),
    Parameter("contrast", "1/Å²", -1e-3, 1e-3, 6.7e-5, "the matrix's SLD"),
)
_SITES = {"bcc": 3 * math.sqrt(3) / 4, "fcc": math.sqrt(2), "sc": 1.0}
"""Sites per d³."""
_CELL = {"bcc": 2 / math.sqrt(3), "fcc": math.sqrt(2), "sc": 1.0}
"""Edge of the cubic cell over d."""
_LAST = 48.0
"""Largest G d."""
_GRID_END, _STEP = 45.0, 0.005
_NODES = int(_GRID_END / _STEP) + 1
_SIZES = 48
_SIZE_STEP = math.log(20.0) / (_SIZES - 1)


def cavity_lattice(
    q: Values,
    *,
    radius: Values,
    spacing_ratio: Values,
    displacement: Values,
    domain_size: Values,
    contrast: Values,
    polydispersity: Values = 0.15,
    occupancy: Values = 1.0,
    lattice: Lattice = "bcc",
) -> Tensor:
    """Scattering of cavities on a lattice; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    radius, spacing_ratio, displacement, domain_size, contrast, polydispersity, occupancy
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    lattice
        ``"bcc"``, ``"fcc"`` or ``"sc"``.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range, or the lattice unknown.
    """
    if lattice not in _SITES:
        raise ParameterError(f"lattice must be one of {list(_SITES)}, got {lattice!r}")
    q = momentum_transfer(q)
    r, p, ratio, u, size, occupied, drho = columns(
        q,
        _PARAMETERS,
        radius=radius,
        polydispersity=polydispersity,
        spacing_ratio=spacing_ratio,
        displacement=displacement,
        domain_size=domain_size,
        occupancy=occupancy,
        contrast=contrast,
    )
    d = 2 * r * ratio
    order = lattice_structure(q * d, u, size, lattice)
    one = torch.ones_like(r)
    squared, mean = layered_square(q, r, p, [(one, one)]), mean_sphere(q, r, p) ** 2
    # Rounding may leave the spread of a monodisperse population a little below zero.
    spread = (squared - mean).clamp_min(0.0)
    number = occupied * (_SITES[lattice] / (q * d) ** 3)
    return 16 * math.pi**2 * PER_CM * number * (spread + mean * (1 - occupied + occupied * order)) * drho**2 / q**3


def lattice_structure(x: Tensor, displacement: Tensor, domain_size: Tensor, lattice: Lattice) -> Tensor:
    """Return S(q) of a fully occupied lattice.

    Parameters
    ----------
    x
        ``(n, k)`` q d, d the distance of nearest neighbours.
    displacement, domain_size
        ``(n, 1)`` u/d and L/d.
    lattice
        ``"bcc"``, ``"fcc"`` or ``"sc"``.

    Returns
    -------
    Tensor
        ``(n, k)``, 1 far beyond the peaks.
    """
    table = _table(lattice).to(x)
    # Cubic interpolation over 4 x 4 nodes; below the grid nothing scatters, above it disorder has levelled all peaks.
    position = (x.clamp(0.0, _GRID_END) / _STEP).clamp_max(_NODES - 1.0)
    base = position.floor().clamp_(1, _NODES - 3)
    weights = lagrange(position - base)
    size = (torch.log(domain_size) / _SIZE_STEP).clamp(0.0, _SIZES - 1.0)
    size_base = size.floor().clamp(1, _SIZES - 3)
    start = ((size_base - 1) * _NODES + base - 1).long()
    total = torch.zeros_like(x)
    for row, size_weight in enumerate(lagrange(size - size_base)):
        part = torch.take(table, start + row * _NODES) * weights[0]
        for column in range(1, 4):
            part += torch.take(table, start + (row * _NODES + column)) * weights[column]
        total += part * size_weight
    total = torch.where(x < _GRID_END, total, torch.ones_like(total)).clamp_min(0.0)
    return 1 + torch.exp(-((x * displacement) ** 2)) * (total - 1)


def lattice_sum(x: Tensor, domain_size: Tensor, lattice: Lattice) -> Tensor:
    """Return Z(q) shell by shell; arguments as in `lattice_structure`."""
    total = torch.zeros(torch.broadcast_shapes(x.shape, domain_size.shape), dtype=x.dtype)
    for length, multiplicity in _shells(lattice):
        # exp(-(x-G)²/2w²) with 1/2w² = L².
        total += torch.exp(-(((x - length) * domain_size) ** 2)).mul_(multiplicity / length)
    return total * (2 * math.pi**2 * _SITES[lattice] / math.sqrt(math.pi)) * domain_size / x


@cache
def _table(lattice: Lattice) -> Tensor:
    """Return Z on the grid of (ln L/d, q d)."""
    x = (torch.arange(_NODES, dtype=torch.float64) * _STEP).clamp_min(_STEP)
    sizes = torch.exp(torch.arange(_SIZES, dtype=torch.float64) * _SIZE_STEP)
    return lattice_sum(x[None], sizes[:, None], lattice)


@cache
def _shells(lattice: Lattice) -> tuple[tuple[float, int], ...]:
    """Return (G d, multiplicity) of the shells up to the last."""
    unit = 2 * math.pi / _CELL[lattice]
    reach = int(_LAST / unit)
    counts: dict[int, int] = {}
    for h, k, m in itertools.product(range(-reach, reach + 1), repeat=3):
        square = h * h + k * k + m * m
        allowed = {"bcc": (h + k + m) % 2 == 0, "fcc": len({h % 2, k % 2, m % 2}) == 1, "sc": True}[lattice]
        if allowed and 0 < square <= reach**2:
            counts[square] = counts.get(square, 0) + 1
    return tuple((unit * math.sqrt(square), count) for square, count in sorted(counts.items()))


KERNELS = (
    Kernel(
        name="cavity_lattice",
        function=cavity_lattice,
        parameters=_PARAMETERS,
        source="doi:10.1021/jp0467494",
        valid="domains of several spacings; displacements independent of each other",
        options={"lattice": ("bcc", "fcc", "sc")},
        tests=(
            SelfTest(
                {
                    "radius": 20.0,
                    "polydispersity": 0.15,
                    "spacing_ratio": 4.0,
                    "displacement": 0.1,
                    "domain_size": 3.0,
                    "occupancy": 0.8,
                    "contrast": 6.7e-5,
                },
                (0.05, 0.11),
                (265.4990156227291, 46.13491747868775),
                "bcc vectors G one by one, amplitudes by quadrature over 20,001 radii",
                rtol=1e-4,
            ),
        ),
    ),
)
