r"""Standard form factors with spheres in them, by the names, parameters and conventions of sasmodels.

* ``sphere``: :math:`I = s\,\langle F^2\rangle/\langle V\rangle`, :math:`F = V(\rho-\rho_s)\Phi(qR)`,
  :math:`\Phi(x) = 3(\sin x - x\cos x)/x^3` (Guinier & Fournet 1955).
* ``core_shell_sphere``: :math:`F = V_c(\rho_c-\rho_{sh})\Phi(qR) + V_t(\rho_{sh}-\rho_s)\Phi(q(R+t))`; V is the whole
  particle's.
* ``fractal``: spheres in mass-fractal clusters (Teixeira 1988, doi:10.1107/S0021889888000263),
  I = scale · volfraction · S · V Δρ² Φ².

scale is the volume fraction φ (no factor 1-φ); ``radius_pd`` is the relative width of a distribution of radii, number
weighted, as sasmodels' ``radius_pd`` with its ``radius_pd_type``. No background: add `flat_background`. Densities of
scattering length are in 1/Å², where sasmodels counts in 1e-6/Å².
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import PER_CM, columns, momentum_transfer
from simulators.scattering.averages import DISTRIBUTIONS, Distribution, averaged
from simulators.scattering.fractal_pores import mass_fractal_structure
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values
from simulators.scattering.spheres import lognormal_average, schulz_average, sphere_amplitude_squared

SCALE = Parameter("scale", "(ratio)", 0.0, 1e6, 0.01, "volume fraction, or any factor")
SLD_SOLVENT = Parameter("sld_solvent", "1/Å²", -1e-3, 1e-3, 9.4e-6, "scattering-length density around the particle")


def sld(name: str, default: float, description: str) -> Parameter:
    """Return a parameter for a scattering-length density."""
    return Parameter(name, "1/Å²", -1e-3, 1e-3, default, f"scattering-length density {description}")


def width_of(name: str, most: float = 0.5) -> Parameter:
    """Return the parameter for a relative width."""
    return Parameter(f"{name}_pd", "(ratio)", 0.0, most, 0.0, f"relative width of the distribution of {name}")


_SPHERE = (
    SCALE,
    sld("sld", 1e-6, "of the sphere"),
    SLD_SOLVENT,
    Parameter("radius", "Å", 0.5, 1e4, 50.0, "radius"),
    width_of("radius"),
)
_CORE_SHELL = (
    SCALE,
    sld("sld_core", 1e-6, "of the core"),
    sld("sld_shell", 2e-6, "of the shell"),
    SLD_SOLVENT,
    Parameter("radius", "Å", 0.5, 1e4, 60.0, "radius of the core"),
    Parameter("thickness", "Å", 0.0, 1e4, 10.0, "thickness of the shell"),
    width_of("radius"),
)
_FRACTAL = (
    SCALE,
    Parameter("volfraction", "(ratio)", 0.0, 1.0, 0.05, "volume fraction of the spheres"),
    Parameter("radius", "Å", 0.5, 1e4, 5.0, "radius of the spheres"),
    Parameter("fractal_dim", "(1)", 1.0, 3.0, 2.0, "fractal dimension D"),
    Parameter("cor_length", "Å", 1.0, 1e6, 100.0, "correlation length ξ of the clusters"),
    sld("sld_block", 2e-6, "of the spheres"),
    SLD_SOLVENT,
)


def sphere(
    q: Values,
    *,
    scale: Values,
    sld: Values,
    sld_solvent: Values,
    radius: Values,
    radius_pd: Values = 0.0,
    distribution: Distribution = "gaussian",
) -> Tensor:
    """Scattering of spheres, as sasmodels' ``sphere``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld, sld_solvent, radius, radius_pd
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"gaussian"``, ``"schulz"`` or ``"lognormal"``.

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
    s, rho, solvent, r, p = columns(
        q, _SPHERE, scale=scale, sld=sld, sld_solvent=sld_solvent, radius=radius, radius_pd=radius_pd
    )

    def square(q: Tensor, r: Tensor) -> Tensor:
        return 16 * math.pi**2 * sphere_amplitude_squared(q * r) / q**6

    if distribution == "schulz":
        mean = schulz_average(q, r, p)
    elif distribution == "lognormal":
        mean = lognormal_average(q, r, p)
    else:
        mean = averaged(q, square, lambda r: 4 / 3 * math.pi * r**3, [(r, p)], distribution)
    return s * ((rho - solvent) ** 2 * PER_CM) * mean


def core_shell_sphere(
    q: Values,
    *,
    scale: Values,
    sld_core: Values,
    sld_shell: Values,
    sld_solvent: Values,
    radius: Values,
    thickness: Values,
    radius_pd: Values = 0.0,
    distribution: Distribution = "gaussian",
) -> Tensor:
    """Scattering of spheres in a shell of constant thickness, as sasmodels' ``core_shell_sphere``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, sld_core, sld_shell, sld_solvent, radius, thickness, radius_pd
        Numbers or ``(n,)``; units and ranges in `KERNELS`.
    distribution
        ``"gaussian"``, ``"schulz"`` or ``"lognormal"``.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    given = momentum_transfer(q)
    # Core and shell may cancel: single precision would not see what is left.
    q = given.double()
    s, core, shell, solvent, r, t, p = columns(
        q,
        _CORE_SHELL,
        scale=scale,
        sld_core=sld_core,
        sld_shell=sld_shell,
        sld_solvent=sld_solvent,
        radius=radius,
        thickness=thickness,
        radius_pd=radius_pd,
    )

    def square(q: Tensor, r: Tensor, t: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        return (inner * _amplitude(q, r) + outer * _amplitude(q, r + t)) ** 2

    def volume(r: Tensor, t: Tensor, *_: Tensor) -> Tensor:
        return 4 / 3 * math.pi * (r + t) ** 3

    fixed = (t, core - shell, shell - solvent)
    return (s * PER_CM * averaged(q, square, volume, [(r, p)], distribution, fixed)).to(given.dtype)


def _amplitude(q: Tensor, r: Tensor) -> Tensor:
    """Return VΦ(qr) in Å³."""
    x = q * r
    square = x.clamp_max(0.05) ** 2
    series = 1 - square / 10 * (1 - square / 28)
    return 4 / 3 * math.pi * r**3 * torch.where(x < 0.05, series, 3 * (torch.sin(x) - x * torch.cos(x)) / x**3)


def fractal(
    q: Values,
    *,
    scale: Values,
    volfraction: Values,
    radius: Values,
    fractal_dim: Values,
    cor_length: Values,
    sld_block: Values,
    sld_solvent: Values,
) -> Tensor:
    """Scattering of spheres in mass-fractal clusters, as sasmodels' ``fractal``.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    scale, volfraction, radius, fractal_dim, cor_length, sld_block, sld_solvent
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
    s, phi, r, dimension, xi, block, solvent = columns(
        q,
        _FRACTAL,
        scale=scale,
        volfraction=volfraction,
        radius=radius,
        fractal_dim=fractal_dim,
        cor_length=cor_length,
        sld_block=sld_block,
        sld_solvent=sld_solvent,
    )
    x = q * r
    single = 12 * math.pi * r**3 * sphere_amplitude_squared(x) / x**6
    return s * phi * ((block - solvent) ** 2 * PER_CM) * single * mass_fractal_structure(q, r, dimension, xi)


KERNELS = (
    Kernel(
        name="sphere",
        function=sphere,
        parameters=_SPHERE,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays",
        valid="no interference between particles; q times the sd of the radius below 75",
        options={"distribution": DISTRIBUTIONS},
        tests=(
            SelfTest(
                {"scale": 1.0, "sld": 1e-6, "sld_solvent": 6e-6, "radius": 120.0},
                (0.01, 0.1),
                (13483.626543944309, 6.20114061710223),
                "sasmodels 1.1.0, double precision",
            ),
            SelfTest(
                {"scale": 0.01, "sld": 1e-6, "sld_solvent": 6e-6, "radius": 60.0, "radius_pd": 0.15},
                (0.01, 0.1),
                (26.279289694102246, 0.09431596848076436),
                "sasmodels 1.1.0, a Gaussian of 400 points over 8 sd",
            ),
        ),
    ),
    Kernel(
        name="core_shell_sphere",
        function=core_shell_sphere,
        parameters=_CORE_SHELL,
        source="Guinier & Fournet 1955, Small-Angle Scattering of X-Rays",
        valid="no interference between particles; q times the sd of the radius below 75",
        options={"distribution": DISTRIBUTIONS},
        tests=(
            SelfTest(
                {
                    "scale": 1.0,
                    "sld_core": 1e-6,
                    "sld_shell": 2e-6,
                    "sld_solvent": 3e-6,
                    "radius": 60.0,
                    "thickness": 10.0,
                },
                (0.01, 0.1),
                (349.293034383137, 1.249147873452913),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
    Kernel(
        name="fractal",
        function=fractal,
        parameters=_FRACTAL,
        source="doi:10.1107/S0021889888000263",
        valid="cor_length well above radius",
        tests=(
            SelfTest(
                {
                    "scale": 1.0,
                    "volfraction": 0.05,
                    "radius": 5.0,
                    "fractal_dim": 2.0,
                    "cor_length": 100.0,
                    "sld_block": 2e-6,
                    "sld_solvent": 6.4e-6,
                },
                (0.01, 0.1),
                (20.314268915516287, 0.43001592610501055),
                "sasmodels 1.1.0, double precision",
            ),
        ),
    ),
)
