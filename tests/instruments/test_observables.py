"""Observables against known curves, scaling laws, and error bars against repeated noisy measurements."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.observables import OBSERVABLES, Observable, make_observable
from instruments.observables_target import read_curve

Q = np.linspace(0.004, 0.2, 200)


def sphere(radius, *, q=Q, level=100.0, background=0.05):
    """Exact form factor of a sphere."""
    x = q * radius
    return level * (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2 + background


def measured(intensity, sigma, rng):
    return Curve(Q, rng.normal(intensity, sigma), sigma)


def power_law(n, level=1e-4):
    return level * Q**-n


TARGET = {"q": Q, "intensity": sphere(50)}
KINDS = {
    "band": {},
    "invariant": {"log10": True},
    "guinier": {"quantity": "log10_i0"},
    "porod": {},
    "match": {"target": TARGET, "q_min": 0.006, "q_max": 0.06, "shape_only": True},
}


def test_every_built_in_kind_is_an_observable():
    assert set(KINDS) == set(OBSERVABLES)
    for kind, options in KINDS.items():
        observable = make_observable(kind, **options)
        assert isinstance(observable, Observable)
        assert observable.unit
        assert observable.description
        value, sd = observable(Curve(Q, sphere(55), 0.01 * sphere(55)))
        assert isinstance(value, float)
        assert isinstance(sd, float)
        assert sd > 0


@pytest.mark.parametrize(
    ("kind", "options", "intensity"),
    [
        ("band", {}, sphere(50)),
        ("invariant", {}, sphere(50)),
        ("invariant", {"log10": True}, sphere(50)),
        ("guinier", {}, 80 * np.exp(-((40 * Q) ** 2) / 3)),
        ("guinier", {"quantity": "i0"}, 80 * np.exp(-((40 * Q) ** 2) / 3)),
        ("guinier", {"quantity": "log10_i0"}, 80 * np.exp(-((40 * Q) ** 2) / 3)),
        ("porod", {}, power_law(4)),
        ("match", {"target": TARGET, "q_min": 0.006, "q_max": 0.06}, sphere(55)),
        ("match", {"target": TARGET, "q_min": 0.006, "q_max": 0.06, "shape_only": True}, 3 * sphere(55)),
    ],
)
@pytest.mark.parametrize("counting", [1e-4, 1e-2])
def test_sd_is_the_scatter_of_repeated_measurements(kind, options, intensity, counting):
    rng = np.random.default_rng(11)
    observable = make_observable(kind, **options)
    sigma = np.sqrt(counting * intensity)
    values, sds = np.array([observable(measured(intensity, sigma, rng)) for _ in range(400)]).T
    exact, _ = observable(Curve(Q, intensity, sigma))
    # 400 repeats know their scatter to 3.5 %; chi² widens a fit's error bar by a few per cent more.
    assert np.std(values) == pytest.approx(np.mean(sds), rel=0.18)
    assert abs(np.mean(values) - exact) < 0.3 * np.std(values)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("band", {}),
        ("invariant", {}),
        ("invariant", {"log10": True}),
        ("guinier", {"quantity": "i0"}),
        ("guinier", {"quantity": "log10_i0"}),
        ("guinier", {"quantity": "rg"}),
        ("match", {"target": {"q": Q, "i": 50 * np.exp(-((40 * Q) ** 2) / 3)}, "q_max": 0.06}),
        ("match", {"target": TARGET, "q_max": 0.06, "shape_only": True}),
    ],
)
def test_sd_knows_of_an_uncertain_scale(kind, options):
    rng = np.random.default_rng(16)
    observable = make_observable(kind, scale_sd=0.02, **options)
    intensity = 80 * np.exp(-((40 * Q) ** 2) / 3)
    sigma = np.sqrt(1e-4 * intensity)
    curves = [Curve(Q, rng.normal(1, 0.02) * rng.normal(intensity, sigma), sigma) for _ in range(400)]
    values, sds = np.array([observable(curve) for curve in curves]).T
    assert np.std(values) == pytest.approx(np.mean(sds), rel=0.18)


def test_match_at_the_target_is_zero_within_its_error_bar():
    rng = np.random.default_rng(12)
    for options, intensity in (({}, sphere(50)), ({"shape_only": True}, 5 * sphere(50))):
        observable = make_observable("match", target=TARGET, q_min=0.006, q_max=0.06, **options)
        sigma = np.sqrt(1e-2 * intensity)
        assert observable(Curve(Q, intensity, sigma))[0] == pytest.approx(0, abs=1e-9)
        values, sds = np.array([observable(measured(intensity, sigma, rng)) for _ in range(400)]).T
        assert np.mean(values < 3 * sds) > 0.9
        assert np.mean(values) < np.mean(sds)
        assert np.mean(sds) < 3 * np.std(values)


@pytest.mark.parametrize("counting", [1e-4, 1e-2, 1e-1])
def test_noise_does_not_make_a_curve_look_further_away(counting):
    rng = np.random.default_rng(13)
    observable = make_observable("match", target=TARGET, q_min=0.006, q_max=0.05)
    truth = sphere(55)
    exact, _ = observable(Curve(Q, truth, 1e-6 * truth))
    sigma = np.sqrt(counting * truth)
    values = [observable(measured(truth, sigma, rng))[0] for _ in range(200)]
    assert np.mean(values) == pytest.approx(exact, rel=0.03)


def test_match_is_the_rms_of_the_difference_of_logarithms():
    for factor in (0.5, 3.0):
        curve = Curve(Q, factor * sphere(50), 1e-6 * sphere(50))
        options = {"target": TARGET, "q_min": 0.006, "q_max": 0.06}
        assert make_observable("match", **options)(curve)[0] == pytest.approx(abs(np.log(factor)), rel=1e-6)
        assert make_observable("match", **options, shape_only=True)(curve)[0] == pytest.approx(0, abs=1e-6)
    # A power law against a constant: RMS of n ln q about its mean, in closed form for bins even in ln q.
    steep = Curve(Q, power_law(2), 1e-6 * power_law(2))
    flat = {"q": Q, "intensity": np.ones_like(Q)}
    found = make_observable("match", target=flat, q_min=0.01, q_max=0.1, n_bins=20, shape_only=True)(steep)[0]
    assert found == pytest.approx(2 * np.log(10) / np.sqrt(12), rel=0.02)


def test_match_does_not_depend_on_how_the_target_is_sampled():
    curve = Curve(Q, sphere(55), 1e-3 * sphere(55))
    distances = [
        make_observable("match", target={"q": q, "i": sphere(50, q=q)}, q_min=0.006, q_max=0.06)(curve)[0]
        for q in (Q, np.geomspace(0.004, 0.1, 400), np.linspace(0.005, 0.07, 1000))
    ]
    np.testing.assert_allclose(distances, distances[0], rtol=0.01)


def test_match_hears_what_is_hidden_in_noise_only_as_far_as_it_goes():
    """Bins below their noise agree with a target that is below it too, and contradict one that is above."""
    truth = np.where(Q < 0.025, 10.0, 0.0)
    rng = np.random.default_rng(14)
    sigma = np.full_like(Q, 0.1)
    options = {"q_min": 0.006, "q_max": 0.06, "n_bins": 20}
    low = {"q": Q, "i": np.where(Q < 0.025, 10.0, 1e-4)}
    high = {"q": Q, "i": np.where(Q < 0.025, 10.0, 3.0)}
    for _ in range(20):
        curve = measured(truth, sigma, rng)
        assert np.any(curve.intensity < 0)
        assert make_observable("match", target=low, **options)(curve)[0] < 0.3
        assert make_observable("match", target=high, **options)(curve)[0] > 1.0
    with pytest.raises(InstrumentError, match="expose longer"):
        make_observable("match", target=low, **options)(Curve(Q, truth * 0, sigma))


def test_negative_points_weigh_in():
    """Dropping them would lift the mean of a noisy tail; averaged in, they do not."""
    rng = np.random.default_rng(15)
    truth = np.full_like(Q, 0.2)
    target = {"q": Q, "i": truth}
    band = make_observable("band", q_min=0.05, q_max=0.15)
    match = make_observable("match", target=target, q_min=0.05, q_max=0.15, n_bins=5)
    values, distances = [], []
    for _ in range(200):
        curve = measured(truth, np.full_like(Q, 0.2), rng)
        assert np.any(curve.intensity < 0)
        values.append(10 ** band(curve)[0])
        distances.append(match(curve)[0])
    assert np.mean(values) == pytest.approx(0.2, rel=0.02)
    assert np.median(distances) < 0.12


@pytest.mark.parametrize("radius", [20.0, 50.0, 150.0])
def test_guinier_finds_the_radius_of_a_sphere(radius):
    q = np.linspace(0.05 / radius, 20 / radius, 400)
    intensity = sphere(radius, q=q, background=0.0)
    curve = Curve(q, intensity, 0.01 * intensity + 1e-4)
    expected = radius * np.sqrt(3 / 5)
    # The law is the leading term: at q Rg < 1.3 a sphere comes out 2 % too large, at q Rg < 0.7 less than 1 %.
    for limit, tolerance in ((1.3, 0.03), (0.7, 0.01)):
        rg, sd = make_observable("guinier", q_max=1.0, limit=limit)(curve)
        assert rg == pytest.approx(expected, rel=tolerance)
        assert 0 < sd < 0.03 * rg
    i0, _ = make_observable("guinier", q_max=1.0, quantity="i0")(curve)
    assert i0 == pytest.approx(100, rel=0.01)


def test_guinier_is_not_caught_by_a_strong_flat_background():
    curve = Curve(Q, sphere(80, background=3.0), 0.002 * sphere(80, background=3.0))
    assert make_observable("guinier", q_max=0.2)(curve)[0] == pytest.approx(80 * np.sqrt(3 / 5), rel=0.08)


def test_guinier_says_when_there_is_nothing_to_fit():
    guinier = make_observable("guinier")
    with pytest.raises(InstrumentError, match="too large"):
        guinier(Curve(Q, power_law(4), 0.01 * power_law(4)))
    with pytest.raises(InstrumentError, match="does not fall"):
        guinier(Curve(Q, 1 + 10 * Q, np.full_like(Q, 0.01)))
    with pytest.raises(InstrumentError, match="exceed their error bar"):
        guinier(Curve(Q, -sphere(50), sphere(50)))


@given(n=st.floats(1, 5), level=st.floats(1e-8, 1e3))
@settings(max_examples=30, deadline=None)
def test_porod_gives_the_exponent(n, level):
    intensity = power_law(n, level)
    assert make_observable("porod")(Curve(Q, intensity, 0.02 * intensity))[0] == pytest.approx(n, abs=1e-6)
    lifted = Curve(Q, intensity + level, 0.02 * intensity)
    assert make_observable("porod", flat_background=level)(lifted)[0] == pytest.approx(n, abs=1e-6)


def test_band_and_invariant_in_closed_form():
    curve = Curve(Q, 7 * np.ones_like(Q), np.full_like(Q, 0.1))
    assert make_observable("band")(curve)[0] == pytest.approx(np.log10(7))
    value, _ = make_observable("invariant", q_min=float(Q[0]), q_max=float(Q[-1]))(curve)
    assert value == pytest.approx(7 * (Q[-1] ** 3 - Q[0] ** 3) / 3, rel=1e-3)
    # A dilute sphere: the integral over all q is I0 π 3 / (4 R³) (with the volume 4πR³/3: 2π² I0 / V).
    q = np.linspace(1e-5, 3.0, 200_000)
    intensity = sphere(50, q=q, background=0.0)
    everything = make_observable("invariant", q_min=2e-5, q_max=2.99)(Curve(q, intensity, 0.01 * intensity + 1e-12))
    assert everything[0] == pytest.approx(2 * np.pi**2 * 100 / (4 / 3 * np.pi * 50**3), rel=1e-2)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-4, 1e4), seed=st.integers(0, 1000))
def test_scaling_laws(scale, seed):
    """I -> a I moves logarithms by log10 a, leaves shapes alone, and relative error bars as they are."""
    rng = np.random.default_rng(seed)
    sigma = 0.02 * sphere(50)
    curve = measured(sphere(50), sigma, rng)
    scaled = Curve(Q, scale * curve.intensity, scale * sigma)
    shift = {"band": np.log10(scale), "invariant": np.log10(scale), "guinier": np.log10(scale), "porod": 0, "match": 0}
    for kind, options in KINDS.items():
        observable = make_observable(kind, **options)
        (value, sd), (scaled_value, scaled_sd) = observable(curve), observable(scaled)
        assert scaled_value - value == pytest.approx(shift[kind], abs=1e-5)
        assert scaled_sd == pytest.approx(sd, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.1, 10))
def test_sd_follows_sigma(factor):
    curve = Curve(Q, sphere(55), 1e-3 * sphere(55))
    wider = Curve(Q, sphere(55), factor * 1e-3 * sphere(55))
    for kind in ("band", "invariant"):
        observable = make_observable(kind)
        assert observable(wider)[1] == pytest.approx(factor * observable(curve)[1])
    match = make_observable("match", target=TARGET, q_min=0.006, q_max=0.06)
    assert match(wider)[1] == pytest.approx(factor * match(curve)[1], rel=0.02)


def test_band_refuses_what_is_not_above_zero():
    noise = Curve(Q, np.where(np.arange(200) % 2, 1.0, -1.0), np.ones_like(Q))
    with pytest.raises(InstrumentError, match="not above zero"):
        make_observable("band")(noise)
    with pytest.raises(InstrumentError, match="not above zero"):
        make_observable("invariant", log10=True)(Curve(Q, -np.ones_like(Q), np.ones_like(Q)))
    assert make_observable("invariant")(Curve(Q, -np.ones_like(Q), np.ones_like(Q)))[0] < 0


def test_ranges_that_the_curve_does_not_cover_are_refused():
    curve = Curve(Q, sphere(50), 0.01 * sphere(50))
    for kind, options in (
        ("band", {"q_min": 0.1, "q_max": 0.4}),
        ("band", {"q_min": 0.3, "q_max": 0.4}),
        ("invariant", {"q_min": 0.0001, "q_max": 0.01}),
        ("porod", {"q_min": 0.3, "q_max": 0.4}),
        ("match", {"target": {"q": Q * 3, "i": sphere(50)}, "q_min": 0.1, "q_max": 0.5}),
    ):
        with pytest.raises(InstrumentError, match="point"):
            make_observable(kind, **options)(curve)
    # Two ends of a range with a hole between them.
    holed = Curve(*(a[(Q < 0.03) | (Q > 0.15)] for a in (curve.q, curve.intensity, curve.sigma)))
    with pytest.raises(InstrumentError, match="gap"):
        make_observable("band", q_min=0.01, q_max=0.18)(holed)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_points_without_error_bar_are_left_out(bad):
    sigma = 0.01 * sphere(50)
    plain = Curve(Q, sphere(50), sigma)
    patchy = Curve(Q, np.where(np.arange(200) == 40, 1e9, sphere(50)), np.where(np.arange(200) == 40, bad, sigma))
    for kind, options in KINDS.items():
        observable = make_observable(kind, **options)
        assert observable(patchy)[0] == pytest.approx(observable(plain)[0], abs=0.01)
    for kind, options in KINDS.items():
        with pytest.raises(InstrumentError):
            make_observable(kind, **options)(Curve(Q, sphere(50), np.full_like(Q, bad)))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("bandd", {}, "unknown observable 'bandd'; known are band, .*guinier, invariant, match"),
        ("band", {"qmin": 0.1}, "no option 'qmin'; it has q_min"),
        ("band", {"q_min": 0.2, "q_max": 0.1}, "q_min < q_max"),
        ("band", {"scale_sd": 5}, "scale_sd must be a fraction"),
        ("invariant", {"q_min": -0.2}, "q_min"),
        ("guinier", {"quantity": "radius"}, "rg, i0, log10_i0"),
        ("guinier", {"limit": 30}, "limit"),
        ("guinier", {"min_points": 1}, "min_points"),
        ("porod", {"q_min": 0.0}, "q_min"),
        ("porod", {"flat_background": float("nan")}, "flat_background"),
        ("match", {}, "target"),
        ("match", {"target": 3}, "got int"),
        ("match", {"target": {"q": [1, 2]}}, "no column intensity or i"),
        ("match", {"target": {"q": ["a"], "i": [1]}}, "numbers"),
        ("match", {"target": {"q": [2, 1], "i": [1, 1]}}, "increase strictly"),
        ("match", {"target": {"q": Q, "i": -sphere(50)}}, "zero or negative"),
        ("match", {"target": TARGET, "n_bins": 2}, "n_bins"),
        ("match", {"target": TARGET, "significance": 0}, "significance"),
        ("match", {"target": "nowhere.csv"}, "does not exist"),
        ("match", {"target": "nowhere.txt"}, r"\.csv or \.parquet"),
        ("no.such.module:Name", {}, "cannot be imported"),
        ("instruments.curve:NoSuchThing", {}, "cannot be imported"),
        ("math:sqrt", {}, "cannot be built"),
        ("builtins:dict", {}, "no text unit and description"),
    ],
)
def test_mistakes_are_explained(kind, options, message):
    with pytest.raises(InstrumentError, match=message):
        make_observable(kind, **options)


@dataclass(frozen=True)
class Highest:
    """What a user may write."""

    factor: float = 1.0
    unit: str = "1/cm"
    description: str = "highest intensity"

    def __call__(self, curve):
        best = int(np.argmax(curve.intensity))
        return self.factor * float(curve.intensity[best]), self.factor * float(curve.sigma[best])


def test_plug_ins_by_import_path_and_entry_point(monkeypatch, tmp_path):
    (tmp_path / "my_observables.py").write_text(
        "class Lowest:\n    unit = '1/cm'\n    description = 'lowest'\n"
        "    def __init__(self, factor=1.0):\n        self.factor = factor\n"
        "    def __call__(self, curve):\n        return self.factor * float(curve.intensity.min()), 1.0\n"
    )
    info = tmp_path / "my_observables-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-observables\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[beamloop.reduction]\nlowest = my_observables:Lowest\nbroken = my_observables:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    curve = Curve(Q, sphere(50), 0.01 * sphere(50))
    for kind in ("my_observables:Lowest", "lowest"):
        assert make_observable(kind, factor=2.0)(curve)[0] == pytest.approx(2 * sphere(50).min())
    with pytest.raises(InstrumentError, match="entry point"):
        make_observable("broken")
    with pytest.raises(InstrumentError, match="cannot be built"):
        make_observable("lowest", wrong=1)
    monkeypatch.setitem(OBSERVABLES, "highest", Highest)
    with pytest.raises(InstrumentError, match="no option 'wrong'; it has factor"):
        make_observable("highest", wrong=1)


def test_targets_from_files(tmp_path):
    table = pd.DataFrame({"q": Q, "intensity": sphere(50), "sigma": 0.01 * sphere(50)})
    csv, points, rows = tmp_path / "t.csv", tmp_path / "points.parquet", tmp_path / "rows.parquet"
    csv.write_text("# a model\n" + table.to_csv(index=False))
    table.to_parquet(points)
    pd.DataFrame(
        {"uuid": ["a", "b"], "q": [Q, Q], "i": [sphere(40), sphere(50)], "sigma": [sphere(40), 0.01 * sphere(50)]}
    ).to_parquet(rows)
    curve = Curve(Q, sphere(55), 0.01 * sphere(55))
    options = {"q_min": 0.006, "q_max": 0.06}
    expected = make_observable("match", target=TARGET, **options)(curve)
    for target, where in ((csv, None), (str(points), None), (rows, {"uuid": "b"}), (Curve(*table.to_numpy().T), None)):
        assert make_observable("match", target=target, where=where, **options)(curve) == pytest.approx(expected)
    np.testing.assert_allclose(read_curve(csv).sigma, 0.01 * sphere(50))
    assert np.isnan(read_curve(TARGET).sigma).all()
    with pytest.raises(InstrumentError, match="holds 2 curves"):
        read_curve(rows)
    with pytest.raises(InstrumentError, match="0 rows have"):
        read_curve(rows, where={"uuid": "c"})
    with pytest.raises(InstrumentError, match="no column 'id'; it has uuid, q"):
        read_curve(rows, where={"id": "a"})
    csv.write_text("q;i\n1;2\n")
    with pytest.raises(InstrumentError, match=r"t\.csv has no column q"):
        read_curve(csv)
    points.write_bytes(b"nothing")
    with pytest.raises(InstrumentError, match="cannot be read"):
        read_curve(points)
