"""Resolution, air and pile-up: against rays drawn one by one, against sums by hand; off unless asked for."""

import numpy as np
import pytest

from simulators.air import air_cross_section
from simulators.errors import InstrumentModelError
from simulators.instrument import InstrumentModel
from simulators.scenarios import SampleProperties

SAMPLE = SampleProperties(thickness_cm=0.1, transmission=0.4)
SLITS = {"source_slit_mm": 0.8, "sample_slit_mm": 0.4, "collimation_mm": 3000.0}


def fringes(q, radius=80.0):
    x = q * radius
    return 100 * (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


def expected(model, curve=None, *, exposure_s=1.0):
    q = model.q_grid(3000)
    return model.expected(q, None if curve is None else curve(q), sample=SAMPLE, exposure_s=exposure_s)


@pytest.fixture(scope="module")
def perfect():
    return InstrumentModel()


@pytest.fixture(scope="module")
def smeared():
    return InstrumentModel(wavelength_spread=0.02, **SLITS)


def disc(rng, n, diameter):
    angle, radius = rng.uniform(0, 2 * np.pi, n), diameter / 2 * np.sqrt(rng.uniform(0, 1, n))
    return radius * np.cos(angle), radius * np.sin(angle)


@pytest.mark.parametrize("millimetres", [8.0, 30.0, 100.0])
def test_width_is_that_of_rays_drawn_one_by_one(smeared, millimetres):
    """Through both slits, scattered in the sample, onto a pixel: which q led there?"""
    rng, n = np.random.default_rng(0), 200_000
    first, second = disc(rng, n, 0.8), disc(rng, n, 0.4)
    wavelength = 1.0 + 0.02 / 2.3548 * rng.standard_normal(n)
    pixel = rng.uniform(-0.086, 0.086, (2, n))
    came = np.stack([(b - a) / 3000 for a, b in zip(first, second, strict=True)] + [np.ones(n)])
    centre = np.array([millimetres, 0.0])[:, None]
    went = np.concatenate([(centre + pixel - np.stack(second)) / 2000, np.ones((1, n))])
    cosine = (came * went).sum(0) / np.linalg.norm(came, axis=0) / np.linalg.norm(went, axis=0)
    q = 4 * np.pi / wavelength * np.sin(np.arccos(cosine) / 2)
    nominal = 4 * np.pi * np.sin(np.arctan(millimetres / 2000) / 2)
    assert smeared.resolution.width([nominal])[0] == pytest.approx(q.std(), rel=0.02)


def test_frame_holds_the_smeared_curve(smeared, perfect):
    """One pixel of each kind by a plain sum over the Gaussian, cut as sasmodels cuts it."""
    sharp, blurred = expected(perfect, fringes), expected(smeared, fringes)
    background = expected(perfect, np.zeros_like)
    row = 97
    for column in (95, 130, 180, 260, 450):
        q = perfect.q_map[row, column]
        width = smeared.resolution.width([q])[0]
        fine = np.linspace(q - 2.5 * width, q + 3 * width, 4001)
        weight = np.exp(-0.5 * ((fine - q) / width) ** 2)
        ratio = (weight @ fringes(fine)) / weight.sum() / fringes(q)
        found = (blurred[row, column] - background[row, column]) / (sharp[row, column] - background[row, column])
        assert found == pytest.approx(ratio, rel=0.01)
    # The first minimum, 4.493/R, fills up.
    at = np.argmin(np.abs(perfect.q_map[row, 100:] - 4.493 / 80)) + 100
    assert blurred[row, at] > 3 * sharp[row, at]


def test_what_is_flat_stays_flat(smeared, perfect):
    np.testing.assert_allclose(expected(smeared, np.ones_like), expected(perfect, np.ones_like), rtol=1e-6)


def test_everything_is_off_by_default(perfect):
    assert perfect.resolution.perfect
    assert np.all(perfect.resolution.width([0.01, 0.1]) == 0)
    assert perfect.air_path_mm == perfect.dead_time_ns == 0
    assert perfect.q_grid()[0] == pytest.approx(perfect.q_map[~(perfect.gap_mask | perfect.beamstop_mask)].min())


def test_a_sharp_line_changes_next_to_nothing(perfect):
    """A silicon monochromator alone: the pixel, then included, hardly smears a smooth curve."""
    silicon = InstrumentModel(wavelength_spread=1.4e-4)

    def smooth(q):
        return 50 / (1 + (q / 0.03) ** 4) + 0.5

    np.testing.assert_allclose(expected(silicon, smooth), expected(perfect, smooth), rtol=5e-3)


def test_smeared_curves_need_a_wider_grid(smeared):
    q = smeared.q_grid()
    low, high = float(smeared.q_map[~smeared.mask].min()), float(smeared.q_map[~smeared.mask].max())
    assert q[0] < low - 2 * smeared.resolution.width([low])[0]
    assert q[-1] > high + 2 * smeared.resolution.width([high])[0]
    inside = np.geomspace(low, high, 300)
    with pytest.raises(InstrumentModelError, match=r"must cover the detector, 0\.00\d+ to 0\.3\d+ 1/Å"):
        smeared.expose(inside, fringes(inside), sample=SAMPLE, exposure_s=1.0, rng=np.random.default_rng(0))


def test_a_beam_wider_than_its_beamstop_is_refused():
    with pytest.raises(InstrumentModelError, match="too wide for its beamstop: Δq = "):
        InstrumentModel(sample_slit_mm=3.0).q_grid()


def test_air_scatters_as_its_molecules_do():
    """N2 of 14 and O2 of 16 electrons, each seen as one at q = 0: counted by hand."""
    number = 101325 / (1.380649e-23 * 293.15) * 1e-6
    forward = number * 2.8179403e-13**2 * (0.7905 * 14**2 + 0.2095 * 16**2)
    assert air_cross_section(np.array([0.0]))[0] == pytest.approx(forward, rel=1e-12)
    # At large q the two atoms of a molecule scatter apart: half as much, times the atoms' own fall.
    beyond = air_cross_section(np.array([0.3, 1.0, 3.0]))
    assert np.all(np.diff(beyond) < 0)
    assert beyond[0] == pytest.approx(forward, rel=0.03)


def test_air_in_the_path_adds_counts_with_and_without_a_sample(perfect):
    air = InstrumentModel(air_path_mm=150.0)
    row, column = 300, 200
    geometry = perfect.geometry
    photons = 1e11 * 15.0 * air_cross_section(geometry.q[row, column]) * geometry.solid_angle_sr[row, column]
    added = photons * geometry.polarisation[row, column]
    empty = expected(air)[row, column] - expected(perfect)[row, column]
    through = expected(air, np.ones_like)[row, column] - expected(perfect, np.ones_like)[row, column]
    assert empty == pytest.approx(added, rel=1e-9)
    assert through == pytest.approx(0.4 * added, rel=1e-9)


def test_pulses_pile_up(perfect):
    """A hundred times the flux: paralysable, n exp(-n τ)."""
    bright = {"flux_ph_s": 1e15, "background_per_px_s": 0.0, "parasitic_per_px_s": 0.0}
    true, piled = expected(InstrumentModel(**bright), np.ones_like), InstrumentModel(**bright, dead_time_ns=120.0)
    for seconds in (1.0, 10.0):
        np.testing.assert_allclose(
            expected(piled, np.ones_like, exposure_s=seconds), seconds * true * np.exp(-true * 120e-9), rtol=1e-9
        )
    assert expected(piled, np.ones_like)[300, 200] < 0.98 * true[300, 200]


@pytest.mark.parametrize(
    "options",
    [
        {"wavelength_spread": 0.3},
        {"wavelength_spread": np.nan},
        {"source_slit_mm": -1.0},
        {"collimation_mm": 0.0},
        {"air_path_mm": -1.0},
        {"dead_time_ns": np.inf},
    ],
)
def test_refuses_an_impossible_instrument(options):
    with pytest.raises(InstrumentModelError, match="must"):
        InstrumentModel(**options)
