"""Scattering kernels: parameters in, dΣ/dΩ in 1/cm out, batched over curves and q.

Every kernel takes q ``(k,)`` in 1/Å and parameters that are numbers or arrays ``(n,)``, and returns ``(n, k)`` float64.
Each file states its equation, the units and valid range of its parameters, and its source. Contributions add.
"""

from simulators.scattering.background import flat_background, thermal_diffuse
from simulators.scattering.dislocations import edge_dislocations
from simulators.scattering.point_defects import point_defects
from simulators.scattering.porod import porod_surface
from simulators.scattering.spheres import spheres

__all__ = [
    "edge_dislocations",
    "flat_background",
    "point_defects",
    "porod_surface",
    "spheres",
    "thermal_diffuse",
]
