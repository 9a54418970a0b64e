"""A misfitting platelet: its strain field beside its own contrast, from defect to dΣ/dΩ."""

import numpy as np

from simulators.elasticity import Inclusion, Isotropic, Matrix, scattering, solve

aluminium = Matrix(Isotropic(young=70.0, poisson_ratio=0.345), sld=2.23e-5)  # GPa; 1/Å²
q = np.geomspace(0.005, 0.15, 5)
for name, misfit in (("no misfit", 0.0), ("misfit -4 % across", (0.0, 0.0, -0.04))):
    platelet = Inclusion(
        semi_axes=(60.0, 60.0, 12.0), sld=2.6e-5, eigenstrain=misfit, moduli=Isotropic(young=110.0, poisson_ratio=0.33)
    )
    field = solve(aluminium, [platelet])
    curve = scattering(field, q, density=1e22)
    strain = 100 * field.mean_strain(0)[[0, 2]]
    print(f"{name}: strained by {strain[0]:.2f} % along, {strain[1]:.2f} % across; 1/cm:", *(f"{i:.3g}" for i in curve))
