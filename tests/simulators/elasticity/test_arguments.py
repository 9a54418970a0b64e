"""What cannot be computed is refused with a sentence that says why."""

import math

import numpy as np
import pytest

from simulators.elasticity import (
    Cubic,
    EdgeDislocation,
    Inclusion,
    Isotropic,
    Matrix,
    PrismaticLoop,
    amplitude,
    scattering,
    solve,
    void,
)
from simulators.errors import ParameterError

MATRIX = Matrix(Isotropic(120.0, 0.3), 6.5e-5)
SPHERE = Inclusion((30.0, 30.0, 30.0))
CYLINDER = Inclusion((30.0, 30.0, math.inf))


@pytest.fixture(scope="module")
def field():
    return solve(MATRIX, [SPHERE], resolution=6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Isotropic(-1.0, 0.3), "young must be finite and above 0 GPa, got -1.0"),
        (lambda: Isotropic(100.0, 0.5), "poisson_ratio must lie between -1 and 0.5"),
        (lambda: Cubic(100.0, 120.0, 50.0), "c11 > c12"),
        (lambda: Matrix(Isotropic(100.0, 0.3), 6.5), r"sld must lie in .* got 6.5"),
        (lambda: Inclusion((30.0, math.inf, 30.0)), "semi_axes must be above 0"),
        (lambda: Inclusion((30.0, 30.0, 30.0), sld=1.0), "sld must lie in"),
        (lambda: Inclusion((30.0, 30.0, 30.0), eigenstrain=1.0), r"eigenstrain must lie in \[-0.2, 0.2\]"),
        (lambda: Inclusion((30.0, 30.0, 30.0), eigenstrain=(0.1, 0.1)), "1, 3 or 6 components, got 2"),
        (lambda: Inclusion((30.0, 30.0, 30.0), exponent=1.0), r"exponent must lie in \[2, 8\]"),
        (lambda: Inclusion((30.0, 30.0, 30.0), sld=1e-5, empty=True), "a hole has neither"),
        (lambda: Inclusion((30.0, 30.0, 30.0), centre=(0.0, 0.0, math.nan)), "centre must be finite"),
        (lambda: EdgeDislocation(0.0), "burgers must be finite and not 0"),
        (lambda: PrismaticLoop(-3.0, 2.5), "radius must be above 0 Å, got -3.0"),
        (lambda: PrismaticLoop(30.0, 2.5, core=0.0), "core must be finite and above 0"),
        (lambda: solve(MATRIX, []), "at least one defect"),
        (lambda: solve(MATRIX, [SPHERE, CYLINDER]), "lines along z go with lines only"),
        (lambda: solve(MATRIX, [SPHERE], geometry="plane"), "third semi-axis as math.inf"),
        (lambda: solve(MATRIX, [SPHERE], geometry="round"), "got 'round'"),
        (lambda: solve(MATRIX, [SPHERE], resolution=1), r"resolution must lie in \[4, 40\]"),
        (lambda: solve(MATRIX, [Inclusion((3.0, 4.0, 5.0))], geometry="axial"), "bodies of revolution"),
        (lambda: solve(MATRIX, [Inclusion((3.0, 4.0, 5.0)), SPHERE]), "takes one inclusion"),
        (lambda: solve(Matrix(Cubic(168.0, 121.0, 75.0), 6e-5), [CYLINDER]), 'cubic moduli need geometry="solid"'),
        (lambda: solve(MATRIX, [SPHERE, void((5.0,) * 3, (0.0, 0.0, 32.0))]), "touches another"),
        (lambda: solve(MATRIX, [CYLINDER, EdgeDislocation(2.5, centre=(50.0, 0.0))]), "slip plane"),
        (lambda: solve(MATRIX, [SPHERE, PrismaticLoop(60.0, 2.5, height=10.0)]), "touches another"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_refuses_what_the_mesh_does_not_resolve(field):
    with pytest.raises(ParameterError, match="which this mesh resolves, got 5; a finer `resolution`"):
        scattering(field, [5.0], density=1e20)
    with pytest.raises(ParameterError, match=r"above 0 and up to .*, got 0"):
        amplitude(field, [[0.0, 0.0]])
    with pytest.raises(ParameterError, match=r"vectors \(k, 2\)"):
        amplitude(field, [0.1])
    with pytest.raises(ParameterError, match="non-empty array"):
        scattering(field, 0.1, density=1e20)
    with pytest.raises(ParameterError, match="density must lie in"):
        scattering(field, [0.01], density=-1.0)
    with pytest.raises(ParameterError, match="directions must be at least 2"):
        scattering(field, [0.01], density=1.0, directions=1)
    with pytest.raises(ParameterError, match="inclusion must be 0 to 0, got 3"):
        field.mean_strain(3)


def test_the_geometry_follows_from_the_defects():
    assert SPHERE.geometry == "axial"
    assert CYLINDER.geometry == EdgeDislocation(2.5).geometry == "plane"
    assert Inclusion((30.0, 30.0, 30.0), eigenstrain=(0.01, 0.0, 0.0)).geometry == "solid"
    assert Inclusion((30.0, 30.0, 30.0), eigenstrain=(0.01, 0.01, 0.0, 0.0, 0.01, 0.0)).geometry == "solid"
    np.testing.assert_allclose(
        Inclusion((30.0,) * 3, eigenstrain=(0.0, 0.0, 0.0, 0.01, 0.0, 0.0)).strain(), [0, 0, 0, 0.02, 0, 0]
    )
