r"""Point defects: monotonic Laue scattering of solutes, with the size effect and short-range clustering.

.. math::
    \frac{d\Sigma}{d\Omega}(q) = n\,c(1-c)\,(\Delta b - \bar b\,\delta)^2\left[1 + \frac{s}{1+q^2\xi^2}\right]

The size effect takes account of the matrix that a misfitting atom pushes away: at small angles its amplitude is that
of the mean scattering length in the displaced volume. Clustering adds an Ornstein-Zernike term of correlation length
ξ.

Valid well below the first Bragg peak (q < 0.5 1/Å). Parameters, units and ranges: `KERNELS`. Sources: Krivoglaz 1996,
X-Ray and Neutron Diffraction in Nonideal Crystals (Springer); Ornstein-Zernike form as in sasmodels' ``lorentz``.
"""

from __future__ import annotations

from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_PARAMETERS = (
    Parameter("number_density", "1/Å³", 0.0, 1.0, 0.086, "atoms per volume n"),
    Parameter("concentration", "(ratio)", 0.0, 1.0, 0.1, "atomic fraction c of the solute"),
    Parameter("delta_b", "Å", -1e-2, 1e-2, 2.8e-5, "difference of scattering lengths Δb (X-rays: r_e·ΔZ)"),
    Parameter("mean_b", "Å", -1e-2, 1e-2, 0.0, "mean scattering length of the alloy"),
    Parameter("size_effect", "(ratio)", -1.0, 1.0, 0.0, "relative volume misfit δ of a solute atom"),
    Parameter("cluster_strength", "(ratio)", 0.0, 1e4, 0.0, "s; 0 for a random solution"),
    Parameter("correlation_length", "Å", 0.0, 100.0, 0.0, "ξ, 3 to 10 Å for clusters of a few atoms"),
)


def point_defects(
    q: Values,
    *,
    number_density: Values,
    concentration: Values,
    delta_b: Values,
    mean_b: Values = 0.0,
    size_effect: Values = 0.0,
    cluster_strength: Values = 0.0,
    correlation_length: Values = 0.0,
) -> Tensor:
    """Scattering of point defects; equation at the top of this file.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    number_density, concentration, delta_b, mean_b, size_effect, cluster_strength, correlation_length
        Numbers or ``(n,)``; units and ranges in `KERNELS`.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    q = momentum_transfer(q)
    n, c, db, mean, delta, s, xi = columns(
        q,
        _PARAMETERS,
        number_density=number_density,
        concentration=concentration,
        delta_b=delta_b,
        mean_b=mean_b,
        size_effect=size_effect,
        cluster_strength=cluster_strength,
        correlation_length=correlation_length,
    )
    laue = n * c * (1 - c) * (db - mean * delta) ** 2 * PER_CM
    return laue * (1 + s / (1 + (q * xi) ** 2))


_ATOMS = 4 / 3.61**3
_LAUE = _ATOMS * 0.1 * 0.9 * 2.818e-5**2 * PER_CM

KERNELS = (
    Kernel(
        name="point_defects",
        function=point_defects,
        parameters=_PARAMETERS,
        source="Krivoglaz 1996, X-Ray and Neutron Diffraction in Nonideal Crystals (Springer)",
        valid="well below the first Bragg peak, q < 0.5 1/Å",
        tests=(
            SelfTest(
                {"number_density": _ATOMS, "concentration": 0.1, "delta_b": 2.818e-5},
                (0.01, 0.3),
                (_LAUE, _LAUE),
                "10 % Ni in Cu, one electron apart, counted by hand",
            ),
            SelfTest(
                {
                    "number_density": _ATOMS,
                    "concentration": 0.1,
                    "delta_b": 2.818e-5,
                    "mean_b": 2.818e-4,
                    "size_effect": -0.1,
                    "cluster_strength": 3.0,
                    "correlation_length": 5.0,
                },
                (0.2,),
                (_LAUE * 4 * 2.5,),
                "amplitude doubled by the size effect, 1 + 3/2 at q ξ = 1",
            ),
        ),
    ),
)
