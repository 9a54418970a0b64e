"""Models of sasmodels as kernels: units, limits, their own numbers, errors."""

import shutil

import numpy as np
import pytest
import torch

from simulators.errors import ParameterError
from simulators.scattering import find_kernel
from simulators.scattering.sasmodels_bridge import sasmodels_kernel, sasmodels_names

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang", "tcc"))), reason="sasmodels compiles its kernels"
)
Q = np.geomspace(0.005, 0.3, 20)


def test_lists_the_models():
    names = sasmodels_names()
    assert {"cylinder", "triaxial_ellipsoid", "flexible_cylinder"} <= set(names)


@pytest.mark.parametrize("name", ["ellipsoid", "flexible_cylinder", "teubner_strey", "vesicle", "power_law", "onion"])
def test_reproduces_the_numbers_of_sasmodels(name):
    kernel = sasmodels_kernel(name)
    assert all(deviation <= 1.0 for deviation in kernel.deviations())
    assert "background" not in {parameter.name for parameter in kernel.parameters}


def test_units_and_limits_are_ours():
    table = {parameter.name: parameter for parameter in sasmodels_kernel("sphere").parameters}
    assert table["sld"].unit == "1/Å²"
    assert table["sld"].default == pytest.approx(1e-6)
    assert (table["radius"].unit, table["radius"].low) == ("Å", 0.0)
    assert table["radius_pd"].default == 0.0
    assert "theta" not in {p.name for p in sasmodels_kernel("cylinder").parameters}


def test_is_interchangeable_with_our_own_kernel():
    parameters = {"scale": 0.01, "sld": np.array([1e-6, 2e-6]), "sld_solvent": 9e-6, "radius": 50.0, "radius_pd": 0.1}
    bridged = sasmodels_kernel("sphere")(Q, distribution="schulz", **parameters)
    own = find_kernel("sphere")(Q, distribution="schulz", **parameters)
    assert bridged.shape == (2, 20)
    assert bridged.dtype == torch.float64
    np.testing.assert_allclose(bridged, own, rtol=1e-3)


def test_a_product_with_a_structure_factor_has_its_parameters():
    kernel = sasmodels_kernel("cylinder@hardsphere")
    assert "volfraction" in {parameter.name for parameter in kernel.parameters}
    assert torch.isfinite(kernel(Q)).all()


def test_says_what_is_wrong():
    with pytest.raises(ParameterError, match="cannot load the model 'dodecahedron'"):
        sasmodels_kernel("dodecahedron")
    with pytest.raises(ParameterError, match=r"sphere has no parameter \['colour'\]"):
        sasmodels_kernel("sphere")(Q, colour=3.0)
    with pytest.raises(ParameterError, match="radius must lie in"):
        sasmodels_kernel("sphere")(Q, radius=-3.0)
    with pytest.raises(ParameterError, match="distribution must be one of"):
        sasmodels_kernel("sphere")(Q, distribution="flat")
