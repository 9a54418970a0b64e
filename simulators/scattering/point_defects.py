r"""Point defects: monotonic Laue scattering of solutes, with the size effect and short-range clustering.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = n\,c(1-c)\,(\Delta b - \bar b\,\delta)^2\left[1 + \frac{s}{1+q^2\xi^2}\right]

The size effect takes account of the matrix that a misfitting atom pushes away: at small angles its amplitude is that
of the mean scattering length in the displaced volume. Clustering adds an Ornstein-Zernike term of correlation length
ξ.

=====================  =======  ===============  ==========================================================
parameter              unit     valid range      meaning
=====================  =======  ===============  ==========================================================
number_density         1/Å³     0 .. 1           atoms per volume n
concentration          (ratio)  0 .. 1           atomic fraction c of the solute
delta_b                Å        -1e-2 .. 1e-2    difference of scattering lengths Δb (X-rays: r_e·ΔZ)
mean_b                 Å        -1e-2 .. 1e-2    mean scattering length of the alloy
size_effect            (ratio)  -1 .. 1          relative volume misfit of a solute atom δ
cluster_strength       (ratio)  0 .. 1e4         s; 0 for a random solution
correlation_length     Å        0 .. 100         ξ, 3 to 10 Å for clusters of a few atoms
=====================  =======  ===============  ==========================================================

Valid well below the first Bragg peak (q < 0.5 1/Å). Sources: Krivoglaz 1996, X-Ray and Neutron Diffraction in Nonideal
Crystals, doi:10.1007/978-3-642-74291-0; Ornstein-Zernike form as in sasmodels' ``lorentz``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer


def point_defects(
    q: ArrayLike,
    *,
    number_density: ArrayLike,
    concentration: ArrayLike,
    delta_b: ArrayLike,
    mean_b: ArrayLike = 0.0,
    size_effect: ArrayLike = 0.0,
    cluster_strength: ArrayLike = 0.0,
    correlation_length: ArrayLike = 0.0,
) -> np.ndarray:
    """Scattering of point defects; equation, units and ranges at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    number_density, concentration, delta_b, mean_b, size_effect, cluster_strength, correlation_length
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
    q = momentum_transfer(q)
    n, c, db, mean, delta, s, xi = columns(
        number_density=(number_density, 0.0, 1.0, "1/Å³"),
        concentration=(concentration, 0.0, 1.0, "(ratio)"),
        delta_b=(delta_b, -1e-2, 1e-2, "Å"),
        mean_b=(mean_b, -1e-2, 1e-2, "Å"),
        size_effect=(size_effect, -1.0, 1.0, "(ratio)"),
        cluster_strength=(cluster_strength, 0.0, 1e4, "(ratio)"),
        correlation_length=(correlation_length, 0.0, 100.0, "Å"),
    )
    laue = n * c * (1 - c) * (db - mean * delta) ** 2
    return np.asarray(laue * (1 + s / (1 + (q * xi) ** 2)) * PER_CM)
