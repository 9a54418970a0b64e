"""Scattering from fields, not formulas: defects in an elastic matrix by finite elements.

Defect → eigenstrain → displacement → dilatation → scattering-length density → Fourier transform → average over
directions → dΣ/dΩ. It needs no closed form, serves arbitrary defects, and is the oracle for the closed forms in
`simulators.scattering`.
"""

from simulators.elasticity.defects import EdgeDislocation, Inclusion, PrismaticLoop, void
from simulators.elasticity.field import Field, solve
from simulators.elasticity.materials import Cubic, Isotropic, Matrix
from simulators.elasticity.transform import amplitude, scattering

__all__ = [
    "Cubic",
    "EdgeDislocation",
    "Field",
    "Inclusion",
    "Isotropic",
    "Matrix",
    "PrismaticLoop",
    "amplitude",
    "scattering",
    "solve",
    "void",
]
