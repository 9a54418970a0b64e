"""Scattering kernels: parameters in, dΣ/dΩ in 1/cm out, batched over curves and q.

Every kernel takes q ``(k,)`` in 1/Å and parameters that are numbers or arrays ``(n,)``, and returns a torch tensor
``(n, k)``: float64, or float32 where q is a float32 tensor. Each file states its equation, valid range and source; a
`Kernel` record beside each kernel holds its parameters with units and ranges, and its self-tests. Contributions add.
Standard form factors have sasmodels' names (`find_kernel`); `sasmodels_kernel` reaches every other model of sasmodels.
"""

from simulators.scattering.background import flat_background, thermal_diffuse
from simulators.scattering.cavity_lattice import cavity_lattice
from simulators.scattering.cracks import cracks
from simulators.scattering.dislocations import edge_dislocations
from simulators.scattering.films import grain_boundary_films
from simulators.scattering.fractal_pores import fractal_pores
from simulators.scattering.kernel import Kernel, Parameter, SelfTest
from simulators.scattering.loops import dislocation_loops
from simulators.scattering.point_defects import point_defects
from simulators.scattering.porod import porod_surface
from simulators.scattering.precipitates import precipitates
from simulators.scattering.registry import find_kernel, kernels
from simulators.scattering.sasmodels_bridge import sasmodels_kernel
from simulators.scattering.smearing import Pinhole
from simulators.scattering.spheres import spheres

__all__ = [
    "Kernel",
    "Parameter",
    "Pinhole",
    "SelfTest",
    "cavity_lattice",
    "cracks",
    "dislocation_loops",
    "edge_dislocations",
    "find_kernel",
    "flat_background",
    "fractal_pores",
    "grain_boundary_films",
    "kernels",
    "point_defects",
    "porod_surface",
    "precipitates",
    "sasmodels_kernel",
    "spheres",
    "thermal_diffuse",
]
