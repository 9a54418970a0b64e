r"""Scattering of the air in the beam's path, on the absolute scale of the sample's own.

The molecules of a gas scatter independently of each other:

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \frac{p}{k_B T}\,r_e^2\,\sum_i x_i\,2 f_i^2(q)\left[1+\frac{\sin q d_i}{q d_i}\right]

for the diatomic molecules of air, N2 and O2, with bond d_i and atomic form factor
:math:`f_i = Z_i\,e^{-q^2R_i^2/6}` (R_i: radius of gyration of the electrons around a nucleus, about 0.7 Å). 4.1e-4 1/cm
at q = 0, 20 °C and 1013 hPa: 4 cm of air scatter as much as 1 mm of water. Debye 1915, Ann. Phys. 351, 809; Guinier &
Fournet 1955, Small-Angle Scattering of X-Rays. Compton scattering, below 2 % of it for q < 0.5 1/Å, is left out.
"""

from __future__ import annotations

import math

import numpy as np

_ELECTRON_RADIUS_CM = 2.8179403e-13
_MOLECULES_PER_CM3 = 101325.0 / (1.380649e-23 * 293.15) * 1e-6
_GASES = (
    # Share (argon and what is rarer counted as nitrogen), Z, bond in Å, radius of gyration of the electrons in Å.
    (0.7905, 7, 1.098, 0.70),
    (0.2095, 8, 1.208, 0.63),
)


def air_cross_section(q: np.ndarray) -> np.ndarray:
    """Scattering of air at 20 °C and 1013 hPa; equation at the top of this file.

    Parameters
    ----------
    q
        Any shape, 1/Å.

    Returns
    -------
    ndarray
        Like q, dΣ/dΩ in 1/cm.
    """
    total = np.zeros_like(q, dtype=np.float64)
    for share, electrons, bond, radius in _GASES:
        atom = electrons**2 * np.exp(-((q * radius) ** 2) / 3)
        total += share * 2 * atom * (1 + np.sinc(q * bond / math.pi))
    return _MOLECULES_PER_CM3 * _ELECTRON_RADIUS_CM**2 * total
