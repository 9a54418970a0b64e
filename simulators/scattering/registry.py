"""From a name to a kernel."""

from __future__ import annotations

import importlib

from simulators.errors import ParameterError
from simulators.scattering.kernel import Kernel

_MODULES = (
    "background",
    "cavity_lattice",
    "cracks",
    "dislocations",
    "empirical",
    "films",
    "forms",
    "fractal_pores",
    "hard_spheres",
    "irregular",
    "lamellae",
    "loops",
    "point_defects",
    "porod",
    "precipitates",
    "spheroids_and_rods",
    "spheres",
)


def kernels() -> dict[str, Kernel]:
    """Return all kernels of our own, by name."""
    found: dict[str, Kernel] = {}
    for name in _MODULES:
        module = importlib.import_module(f"simulators.scattering.{name}")
        found.update({kernel.name: kernel for kernel in module.KERNELS})
    return found


def find_kernel(name: str) -> Kernel:
    """Return the kernel of this name.

    Raises
    ------
    ParameterError
        If there is none; the message lists what there is.
    """
    known = kernels()
    if name not in known:
        raise ParameterError(
            f"there is no kernel {name!r}; there are {sorted(known)}; sasmodels_kernel(name) reaches sasmodels' models"
        )
    return known[name]
