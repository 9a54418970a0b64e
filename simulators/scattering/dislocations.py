r"""Edge dislocations: small-angle scattering of the density change around straight lines in random directions.

The dilatation of a straight edge dislocation, :math:`\Delta = -\frac{b}{2\pi}\kappa\frac{\sin\theta}{r}` with
:math:`\kappa = \frac{1-2\nu}{1-\nu}`, changes the scattering-length density by :math:`-\rho_0\Delta`. Its
two-dimensional transform squared, averaged over line directions, gives

.. math::
    \frac{d\Sigma}{d\Omega}(q) = \frac{\pi}{2}\,\rho_d\,(\rho_0 b)^2\,\kappa^2\,q^{-3}\;
    \left[1-\frac{1}{\sqrt{1+q^2R_e^2}}\right]^2\;\left[q r_0 K_1(q r_0)\right]^2

The two brackets are the exact transforms of a field screened as :math:`e^{-r/R_e}/r` and of a non-singular core
:math:`r/(r^2+r_0^2)`: both tend to 1 between the cut-offs 1/R_e and 1/r_0, where the q⁻³ law stands; below 1/R_e the
scattering falls as q (screened dipoles are neutral), above 1/r_0 exponentially.

====================  ======  ==============  =====================================================
parameter             unit    valid range     meaning
====================  ======  ==============  =====================================================
density               1/m²    0 .. 1e18       dislocation line length per volume ρ_d
sld                   1/Å²    -1e-3 .. 1e-3   scattering-length density ρ0 of the matrix
burgers               Å       0.5 .. 20       length b of the Burgers vector
poisson_ratio         (1)     -0.9 .. 0.5     ν
outer_cutoff          Å       1 .. 1e9        screening length R_e
core_radius           Å       0 .. 100        r_0; 0 for a singular line
====================  ======  ==============  =====================================================

Edge components only: a screw dislocation has no dilatation. Kinematic.
Sources: Levine & Thomson 1997, doi:10.1107/S0108767397005989 (scattering by dislocations in general); Cai et al. 2006,
doi:10.1016/j.jmps.2005.09.005 (non-singular core).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer

_PER_M2_IN_PER_A2 = 1e-20


def edge_dislocations(
    q: ArrayLike,
    *,
    density: ArrayLike,
    sld: ArrayLike,
    burgers: ArrayLike,
    poisson_ratio: ArrayLike,
    outer_cutoff: ArrayLike,
    core_radius: ArrayLike,
) -> np.ndarray:
    """Scattering of edge dislocations; equation, units and ranges at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    density, sld, burgers, poisson_ratio, outer_cutoff, core_radius
        Numbers or ``(n,)``.

    Returns
    -------
    ndarray
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    # scipy.special takes as long to import as everything else here together.
    from scipy.special import k1

    q = momentum_transfer(q)
    rho_d, rho_0, b, nu, r_e, r_0 = columns(
        density=(density, 0.0, 1e18, "1/m²"),
        sld=(sld, -1e-3, 1e-3, "1/Å²"),
        burgers=(burgers, 0.5, 20.0, "Å"),
        poisson_ratio=(poisson_ratio, -0.9, 0.5, "(1)"),
        outer_cutoff=(outer_cutoff, 1.0, 1e9, "Å"),
        core_radius=(core_radius, 0.0, 100.0, "Å"),
    )
    kappa = (1 - 2 * nu) / (1 - nu)
    law = 0.5 * np.pi * rho_d * _PER_M2_IN_PER_A2 * (rho_0 * b * kappa) ** 2 * q**-3.0
    screening = 1 - 1 / np.sqrt(1 + (q * r_e) ** 2)
    # x K1(x) is 1 at x = 0, where K1 itself diverges.
    x = np.maximum(q * r_0, 1e-12)
    core = x * k1(x)
    return np.asarray(law * screening**2 * core**2 * PER_CM)
