"""The standard form factors against sasmodels, name by name: 0.1 %, and 1 % of the envelope at the deep minima."""

import shutil

import numpy as np
import pytest

from simulators.scattering import find_kernel

Q = np.geomspace(0.003, 0.5, 150)


@pytest.fixture(scope="module")
def sasmodels_curve():
    if not any(map(shutil.which, ("cc", "gcc", "clang", "tcc"))):
        pytest.skip("sasmodels compiles its kernels and there is no C compiler")
    core = pytest.importorskip("sasmodels.core")
    from sasmodels.direct_model import call_kernel

    def evaluate(name, parameters, distribution=None, q=Q):
        model = core.load_model(name, dtype="double", platform="dll")
        values = {"background": 0.0}
        for key, value in parameters.items():
            values[key] = value * 1e6 if key.startswith("sld") else value
            if key.endswith("_pd") and value:
                # Two widths make a grid: fewer points each.
                both = sum(other.endswith("_pd") for other in parameters) == 2
                values.update(
                    {f"{key}_n": 120 if both else 400, f"{key}_nsigma": 12 if distribution != "gaussian" else 8}
                )
                values[f"{key}_type"] = distribution
        return np.asarray(call_kernel(model.make_kernel([q]), values))

    return evaluate


def agree(ours, theirs):
    error = np.abs(ours - theirs)
    # A deep minimum lies far below the maxima around it: there 1 % of the curve, or 0.1 % of a tenth of its neighbours.
    around = np.array([np.sort(theirs[max(0, i - 6) : i + 7])[-2] for i in range(theirs.size)])
    deep = theirs < 0.1 * around
    assert (error / theirs)[~deep].max() < 1e-3
    assert (error / np.maximum(theirs, 1e-3 * around))[deep].max(initial=0.0) < 1e-2


COMMON = {"scale": 0.02, "sld": 4e-6, "sld_solvent": 1e-6}
CASES = [
    ("sphere", {**COMMON, "radius": 15.0}),
    ("sphere", {**COMMON, "radius": 90.0}),
    (
        "core_shell_sphere",
        {"scale": 0.1, "sld_core": 1e-6, "sld_shell": 3e-6, "sld_solvent": 2e-6, "radius": 50.0, "thickness": 12.0},
    ),
    ("ellipsoid", {**COMMON, "radius_polar": 20.0, "radius_equatorial": 150.0}),
    ("ellipsoid", {**COMMON, "radius_polar": 200.0, "radius_equatorial": 25.0}),
    ("ellipsoid", {**COMMON, "radius_polar": 50.0, "radius_equatorial": 50.0}),
    ("cylinder", {**COMMON, "radius": 20.0, "length": 400.0}),
    ("cylinder", {**COMMON, "radius": 150.0, "length": 30.0}),
    ("lamellar", {**COMMON, "thickness": 45.0}),
    ("hardsphere", {"radius_effective": 40.0, "volfraction": 0.3}),
    ("hardsphere", {"radius_effective": 40.0, "volfraction": 0.01}),
    ("sphere@hardsphere", {**COMMON, "radius": 40.0, "volfraction": 0.25}),
    ("guinier_porod", {"scale": 1.5, "rg": 40.0, "s": 0.0, "porod_exp": 4.0}),
    ("guinier_porod", {"scale": 1.5, "rg": 60.0, "s": 1.3, "porod_exp": 3.3}),
    ("lorentz", {"scale": 3.0, "cor_length": 70.0}),
    ("power_law", {"scale": 1e-4, "power": 3.7}),
    (
        "fractal",
        {
            "scale": 1.0,
            "volfraction": 0.05,
            "radius": 8.0,
            "fractal_dim": 2.3,
            "cor_length": 150.0,
            "sld_block": 2e-6,
            "sld_solvent": 6e-6,
        },
    ),
    (
        "fractal",
        {
            "scale": 1.0,
            "volfraction": 0.05,
            "radius": 8.0,
            "fractal_dim": 1.0,
            "cor_length": 150.0,
            "sld_block": 2e-6,
            "sld_solvent": 6e-6,
        },
    ),
]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_one_size_agrees_with_sasmodels(sasmodels_curve, name, parameters):
    agree(find_kernel(name.replace("@", "_"))(Q, **parameters)[0].numpy(), sasmodels_curve(name, parameters))


WIDE = [
    ("sphere", {**COMMON, "radius": 60.0, "radius_pd": 0.05}),
    ("sphere", {**COMMON, "radius": 60.0, "radius_pd": 0.25}),
    (
        "core_shell_sphere",
        {
            "scale": 0.1,
            "sld_core": 1e-6,
            "sld_shell": 3e-6,
            "sld_solvent": 2e-6,
            "radius": 50.0,
            "thickness": 12.0,
            "radius_pd": 0.15,
        },
    ),
    ("ellipsoid", {**COMMON, "radius_polar": 20.0, "radius_equatorial": 80.0, "radius_equatorial_pd": 0.15}),
    ("ellipsoid", {**COMMON, "radius_polar": 60.0, "radius_equatorial": 25.0, "radius_polar_pd": 0.2}),
    (
        "ellipsoid",
        {
            **COMMON,
            "radius_polar": 40.0,
            "radius_equatorial": 25.0,
            "radius_polar_pd": 0.1,
            "radius_equatorial_pd": 0.15,
        },
    ),
    ("cylinder", {**COMMON, "radius": 20.0, "length": 200.0, "radius_pd": 0.2}),
    ("cylinder", {**COMMON, "radius": 20.0, "length": 80.0, "radius_pd": 0.1, "length_pd": 0.15}),
    ("lamellar", {**COMMON, "thickness": 45.0, "thickness_pd": 0.2}),
]


@pytest.mark.parametrize("distribution", ["gaussian", "schulz", "lognormal"])
@pytest.mark.parametrize(("name", "parameters"), WIDE)
def test_distributions_agree_with_sasmodels(sasmodels_curve, name, parameters, distribution):
    q = Q[::5]
    ours = find_kernel(name)(q, distribution=distribution, **parameters)[0].numpy()
    agree(ours, sasmodels_curve(name, parameters, distribution, q))


def test_an_ellipsoid_with_long_axes_is_integrated_to_the_end():
    """2000 Å by 20 Å at q = 0.5: against the same integral over μ on a brute grid."""
    q = np.array([0.02, 0.5])
    mu = (np.arange(4_000_000) + 0.5) / 4_000_000
    for polar, equatorial in ((2000.0, 20.0), (20.0, 2000.0)):
        radius = equatorial * np.sqrt(1 + mu**2 * ((polar / equatorial) ** 2 - 1))
        volume = 4 / 3 * np.pi * polar * equatorial**2
        found = find_kernel("ellipsoid")(q, **COMMON, radius_polar=polar, radius_equatorial=equatorial)[0].numpy()
        for value, qi in zip(found, q, strict=True):
            x = qi * radius
            shape = np.mean((3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2)
            assert value == pytest.approx(0.02 * 9e-12 * volume * shape * 1e8, rel=1e-4)


def test_a_long_cylinder_is_integrated_to_the_end():
    q = np.array([0.3])
    theta = (np.arange(400_000) + 0.5) / 400_000 * np.pi / 2
    from scipy.special import j1

    x, y = 0.3 * 15.0 * np.sin(theta), 0.3 * 3000.0 / 2 * np.cos(theta)
    shape = np.sum((2 * j1(x) / x * np.sinc(y / np.pi)) ** 2 * np.sin(theta)) * np.pi / 2 / theta.size
    found = find_kernel("cylinder")(q, **COMMON, radius=15.0, length=3000.0)[0, 0]
    assert float(found) == pytest.approx(0.02 * 9e-12 * np.pi * 15.0**2 * 3000.0 * shape * 1e8, rel=1e-4)
