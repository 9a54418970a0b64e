"""Describe structures by 136 numbers each; those that cannot be described say why."""

from pymatgen.core import Lattice, Structure

from surrogates.descriptors.structure import StructureDescriptor

salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
alloy = Structure(Lattice.cubic(2.9), [{"Fe": 0.5, "Co": 0.5}], [[0, 0, 0]])
broken = Structure(Lattice.cubic(4), ["Si", "O"], [[0, 0, 0], [0, 0, 0.02]])

# From files: Structure.from_file("POSCAR"), Structure.from_file("NaCl.cif")
descriptor = StructureDescriptor(on_error="nan")
numbers = descriptor.transform([salt, alloy, broken])

print(numbers.shape)
for feature, number in zip(descriptor.feature_table()[18:20], numbers[0, 18:20], strict=True):
    print(f"{feature.name}: {number:.3f} {feature.unit}")
print(descriptor.errors_)
