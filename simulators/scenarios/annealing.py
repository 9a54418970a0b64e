r"""An irradiated, cold-worked Cu-Ni wafer after isochronal annealing: voids coarsen, then recrystallisation sweeps them away.

A co-sputtered foil has a nickel gradient along x; it was cold-rolled, irradiated (a dense population of vacancy clusters),
and every spot is annealed for one hour at ``anneal_temperature`` before it is measured at room temperature. Each
measurement uses a fresh spot, so the state depends on the two parameters alone, not on the order of measurements.

Composition (atomic fraction of Ni, x in mm): :math:`c(x) = 0.02 + 0.26/(1+e^{-x/9})`, 4.6 % at the copper-rich and 25.4 % at
the nickel-rich end.

Recrystallisation. Solute drag raises the temperature at which half of the matrix recrystallises in an hour, steeply at
first and then saturating: :math:`T_{rx} = 395 + 290\,\frac{c^2}{c^2+0.11^2}` °C, the S-shaped boundary that runs through
the map. Its width in temperature is that of Johnson-Mehl-Avrami kinetics with exponent 3 and 2.2 eV:
:math:`X = 1-\exp[-\ln 2\,(k/k_{1/2})^3]`, about 30 °C from 10 to 90 %.

Voids of the deformed matrix. Emission-limited coarsening at constant volume (after Lifshitz & Slyozov):
:math:`R^3 = R_0^3 + K(c)\,e^{-Q/k_BT}\,t`, R_0 = 13 Å, Q = 1.75 eV, so the number falls as R⁻³; nickel slows it. Void swelling
falls with nickel, φ_0 = 0.4 % (1-2c). Voids of the recrystallised matrix: moving grain boundaries collect most vacancies; what stays is
φ = 2e-5 in voids of 140 Å.

Dislocations: 2e15 1/m² after rolling, recovering with temperature to a tenth; 1e12 1/m² once recrystallised. The screening
length follows as :math:`R_e = 2/\sqrt{\rho_d}` (Wilkens), so it grows as they vanish.

Near the nickel-rich edge and at low temperature Cu-Ni decomposes (miscibility gap below 355 °C): short-range clustering, an
Ornstein-Zernike term on the Laue scattering whose strength grows with c. Surfaces (both faces, grain boundaries) scatter
as Porod; thermal density fluctuations and a flat rest are the background.

================  ======  ============  ==================================================================
parameter         unit    range         meaning
================  ======  ============  ==================================================================
anneal_temp.      °C      300 .. 700    `anneal_temperature`: one hour at this temperature
x                 mm      -20 .. 20     position along the composition gradient
================  ======  ============  ==================================================================
"""
