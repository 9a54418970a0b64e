"""Polydisperse spheres against sasmodels, closed forms and brute-force averages."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from simulators import scattering
from simulators.errors import ParameterError


def spheres(*arguments, **parameters):
    return scattering.spheres(*arguments, **parameters).numpy()


CONTRAST = 6.7e-5


@pytest.fixture(scope="module")
def sasmodels_sphere():
    if not any(map(shutil.which, ("cc", "gcc", "clang", "tcc"))):
        pytest.skip("sasmodels compiles its kernels and there is no C compiler")
    sasmodels_core = pytest.importorskip("sasmodels.core")
    from sasmodels.direct_model import call_kernel

    model = sasmodels_core.load_model("sphere", dtype="double", platform="dll")

    def evaluate(q, *, phi, radius, pd, kind):
        kernel = model.make_kernel([q])
        pars = {
            "scale": phi * (1 - phi),
            "background": 0.0,
            "sld": 0.0,
            "sld_solvent": CONTRAST * 1e6,
            "radius": radius,
            "radius_pd": pd,
            "radius_pd_type": kind,
            "radius_pd_n": 2000 if pd else 0,
            "radius_pd_nsigma": 12.0,
        }
        return np.asarray(call_kernel(kernel, pars))

    return evaluate


@pytest.mark.parametrize("kind", ["schulz", "lognormal"])
@pytest.mark.parametrize(
    ("radius", "pd"), [(13.0, 0.25), (60.0, 0.1), (60.0, 0.05), (140.0, 0.3), (400.0, 0.2), (60.0, 0.0)]
)
def test_agrees_with_sasmodels(sasmodels_sphere, kind, radius, pd):
    q = np.geomspace(1e-3, 0.4, 200)
    ours = spheres(q, radius=radius, polydispersity=pd, volume_fraction=0.004, contrast=CONTRAST, distribution=kind)[0]
    theirs = sasmodels_sphere(q, phi=0.004, radius=radius, pd=pd, kind=kind)
    # At the zeros of a monodisperse sphere a relative error means nothing: there the envelope is the scale.
    envelope = theirs[0] / (1 + (q * radius) ** 4)
    error = np.abs(ours - theirs) / np.maximum(theirs, envelope)
    assert error.max() < 1e-3


@pytest.mark.parametrize("kind", ["schulz", "lognormal"])
def test_agrees_with_an_average_over_quad(kind):
    """The average done by adaptive quadrature over the distribution, one q at a time."""
    radius, pd, phi = 40.0, 0.3, 0.01
    if kind == "schulz":
        k, theta = pd**-2, radius * pd**2

        def density(r):
            return np.exp((k - 1) * np.log(r) - r / theta)

    else:

        def density(r):
            return np.exp(-0.5 * (np.log(r / radius) / pd) ** 2) / r

    volume = quad(lambda r: density(r) * 4 / 3 * np.pi * r**3, 0.5, 600, limit=500)[0]
    q = np.array([0.005, 0.05, 0.1, 0.3])
    for index, value in enumerate(
        spheres(q, radius=radius, polydispersity=pd, volume_fraction=phi, contrast=CONTRAST, distribution=kind)[0]
    ):

        def amplitude(r, qi=q[index]):
            return 4 * np.pi * (np.sin(qi * r) - qi * r * np.cos(qi * r)) / qi**3

        total = quad(lambda r: density(r) * amplitude(r) ** 2, 0.5, 600, limit=1000)[0]
        assert value == pytest.approx(
            phi * (1 - phi) * CONTRAST**2 * total / volume * 1e8, rel=1e-6 if kind == "schulz" else 1e-4
        )


@pytest.mark.parametrize(("kind", "pd"), [("schulz", 0.0), ("schulz", 0.25), ("lognormal", 0.25)])
def test_invariant_is_that_of_two_phases(kind, pd):
    phi, radius = 0.03, 50.0
    q = np.geomspace(1e-4, 4.0, 6000)
    intensity = spheres(q, radius=radius, polydispersity=pd, volume_fraction=phi, contrast=CONTRAST, distribution=kind)[
        0
    ]
    # The Porod tail beyond the last q adds its closed form, the plateau of I q⁴ over that q.
    plateau = np.mean((intensity * q**4)[q > 2.0])
    integral = np.trapezoid(intensity * q**3, np.log(q)) + plateau / q[-1]
    assert integral * 1e-8 == pytest.approx(2 * np.pi**2 * phi * (1 - phi) * CONTRAST**2, rel=2e-3)


def test_guinier_limit_uses_the_high_moments():
    """Rg² = 3/5 <R⁸>/<R⁶>, with the Schulz moments written as products."""
    radius, pd = 40.0, 0.3
    k, theta = pd**-2, radius * pd**2
    ratio = theta**2 * (k + 6) * (k + 7)
    q = np.array([1e-4, 2e-3])
    low, high = spheres(q, radius=radius, polydispersity=pd, volume_fraction=0.01, contrast=CONTRAST)[0]
    slope = np.log(high / low) / (q[1] ** 2 - q[0] ** 2)
    assert slope == pytest.approx(-0.6 * ratio / 3, rel=2e-3)
    volume_moments = theta**3 * (k + 3) * (k + 4) * (k + 5)
    assert low == pytest.approx(0.01 * 0.99 * CONTRAST**2 * 4 / 3 * np.pi * volume_moments * 1e8, rel=1e-4)


def test_porod_limit_gives_the_surface():
    radius, pd, phi = 100.0, 0.25, 0.01
    q = np.linspace(1.0, 1.2, 400)
    intensity = spheres(q, radius=radius, polydispersity=pd, volume_fraction=phi, contrast=CONTRAST)[0]
    k, theta = pd**-2, radius * pd**2
    surface = 3 * phi * (1 - phi) / (theta * (k + 2))  # S/V = 3 φ <R²>/<R³>, with (1 - φ) as in the invariant
    assert np.mean(intensity * q**4) == pytest.approx(2 * np.pi * CONTRAST**2 * surface * 1e8, rel=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    radius=st.floats(1.0, 2000.0),
    pd=st.floats(0.0, 0.5),
    phi=st.floats(1e-6, 0.4),
    log_q=st.lists(st.floats(-4.0, 0.5), min_size=1, max_size=6),
)
def test_is_finite_not_negative_and_bounded_by_its_forward_value(radius, pd, phi, log_q):
    q = 10.0 ** np.array(log_q)
    intensity = spheres(q, radius=radius, polydispersity=pd, volume_fraction=phi, contrast=CONTRAST)
    forward = spheres([1e-4 / radius], radius=radius, polydispersity=pd, volume_fraction=phi, contrast=CONTRAST)
    assert intensity.shape == (1, q.size)
    assert np.all(np.isfinite(intensity))
    assert np.all(intensity >= 0)
    assert np.all(intensity <= forward * (1 + 1e-6))


@pytest.mark.parametrize("kind", ["schulz", "lognormal"])
def test_batch_equals_single_calls(kind):
    q = np.geomspace(1e-3, 0.3, 50)
    radii, widths = np.array([10.0, 80.0, 300.0]), np.array([0.0, 0.1, 0.4])
    batch = spheres(q, radius=radii, polydispersity=widths, volume_fraction=0.01, contrast=CONTRAST, distribution=kind)
    assert batch.shape == (3, 50)
    for row, radius, width in zip(batch, radii, widths, strict=True):
        single = spheres(
            q, radius=radius, polydispersity=width, volume_fraction=0.01, contrast=CONTRAST, distribution=kind
        )
        np.testing.assert_allclose(row, single[0], rtol=1e-12)


def test_series_and_closed_form_meet():
    """Where the small-argument series takes over, both must say the same: no step in log I."""
    q = np.linspace(1e-4, 0.02, 4001)
    intensity = spheres(q, radius=40.0, polydispersity=0.3, volume_fraction=0.01, contrast=CONTRAST)[0]
    curvature = np.abs(np.diff(np.log(intensity), 2))
    assert curvature.max() < 2 * np.median(curvature[curvature > 0]) + 1e-7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": -1.0}, r"radius must lie in \[0.5, 100000\] Å, got -1 at index 0"),
        ({"volume_fraction": [0.1, np.nan]}, "volume_fraction .* got nan at index 1"),
        ({"radius": [10.0, 20.0], "contrast": [1e-5, 1e-5, 1e-5]}, "one length"),
        ({"distribution": "gauss"}, "'schulz' or 'lognormal', got 'gauss'"),
        ({"radius": [[10.0]]}, r"got shape \(1, 1\)"),
    ],
)
def test_refuses_what_is_out_of_range(change, message):
    good = {"radius": 10.0, "volume_fraction": 0.01, "contrast": CONTRAST}
    with pytest.raises(ParameterError, match=message):
        spheres([0.01], **{**good, **change})


@pytest.mark.parametrize("q", [[], [0.0, 0.1], [np.nan], 0.1, [[0.1]]])
def test_refuses_a_bad_q(q):
    with pytest.raises(ParameterError, match="q must be"):
        spheres(q, radius=10.0, volume_fraction=0.01, contrast=CONTRAST)
