"""Recorded curves as an experiment, on a small made-up recording."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import event_model
import numpy as np
import pytest
from bluesky.simulators import check_limits, summarize_plan
from ophyd.utils import LimitError

from instruments.curve import Curve
from instruments.devices import Fault, Faults
from instruments.errors import InstrumentError, LimitsError
from instruments.observables import make_observable
from instruments.plans import DeviceError
from instruments.quality import QualityGate
from instruments.replay import ReplayExperiment


@dataclass(frozen=True)
class Recorded:
    name: str
    ids: tuple[str, ...]
    q: tuple[np.ndarray, ...]
    intensity: tuple[np.ndarray, ...]
    sigma: tuple[np.ndarray, ...]
    citation: str = "Somebody et al. 2020"
    licence: str = "CC-BY-4.0"


@pytest.fixture(scope="module")
def recording():
    """Three sound curves of different lengths, one of noise, one without error bars, one with q going back."""
    rng = np.random.default_rng(0)
    q, intensity, sigma = [], [], []
    for row, n in enumerate((120, 150, 90, 120, 120, 120)):
        q.append(np.linspace(0.004, 0.1, n))
        curve = (row + 1) * 10 * np.exp(-((80 * q[-1]) ** 2) / 3) + 0.1
        sigma.append(0.03 * curve)
        intensity.append(rng.normal(curve, sigma[-1]))
    intensity[3] = rng.normal(0.0, 1.0, 120)
    sigma[3] = np.ones(120)
    sigma[4] = np.full(120, np.nan)
    q[5] = q[5][::-1]
    ids = ("a1", "a2", "a3", "noise", "bare", "back")
    return Recorded("made up", ids, tuple(q), tuple(intensity), tuple(sigma))


@pytest.fixture
def make(recording):
    def build(**options):
        return ReplayExperiment(
            recording,
            **{
                "quality": QualityGate(),
                "observables": {"band": make_observable("band", q_min=0.006, q_max=0.03)},
                "time_scale": 0.0,
                **options,
            },
        )

    return build


def take(engine, experiment, point, frame_number=0):
    engine.documents.clear()
    engine(experiment.measure(point, frame_number=frame_number, metadata={"suggestion_id": "s"}))
    return list(engine.documents)


def test_it_satisfies_the_protocols(make):
    protocols = pytest.importorskip("loop.protocols")
    for protocol in (protocols.Experiment, protocols.KnowsTruth, protocols.CanSampleOffline):
        assert isinstance(make(), protocol)


def test_a_point_is_one_valid_run_with_the_curve_in_its_event(engine, make, recording):
    experiment = make()
    for row, name in enumerate(("a1", "a2", "a3", "bare")):
        row = recording.ids.index(name)
        documents = take(engine, experiment, {"sample": name, "feature": 0.3}, row)
        assert [kind for kind, _ in documents] == ["start", "descriptor", "event", "stop"]
        for kind, doc in documents:
            event_model.schema_validators[event_model.DocumentNames[kind]].validate(doc)
        keys, data = documents[1][1]["data_keys"], documents[2][1]["data"]
        for key, expected in zip(
            ("curve_q", "curve_intensity", "curve_sigma"),
            (recording.q[row], recording.intensity[row], recording.sigma[row]),
            strict=True,
        ):
            np.testing.assert_array_equal(data[key], expected)
            assert keys[key]["shape"] == [len(expected)]
            assert (keys[key]["dtype"], keys[key]["dtype_numpy"]) == ("array", "<f8")
        assert data["changer"] == name
        assert data["curve_points"] == len(recording.q[row])
        assert documents[0][1]["point"] == {"sample": name, "feature": 0.3}
        assert not experiment.shutter.is_open


def test_measured_sampled_and_true_values_are_the_same(engine, make, recording):
    experiment = make()
    engine(experiment.prepare())
    experiment.restore([])
    points = [{"sample": name} for name in recording.ids]
    truth = experiment.truth(points)["band"]
    for point, true in zip(points, truth, strict=True):
        measured = experiment.evaluate(take(engine, experiment, point))
        offline = experiment.sample(point, frame_number=17)
        assert measured.accepted == offline.accepted == np.isfinite(true)
        assert measured.reason == offline.reason
        assert measured.values == offline.values
        assert measured.sds == offline.sds
        if measured.accepted:
            assert measured.values["band"] == true
    assert np.isfinite(truth).tolist() == [True, True, True, False, False, False]
    engine(experiment.finish())


@pytest.mark.parametrize(
    ("name", "words"), [("noise", "signal-to-noise"), ("bare", "error bar"), ("back", "increase strictly")]
)
def test_bad_curves_are_a_verdict(engine, make, name, words):
    experiment = make()
    verdict = experiment.evaluate(take(engine, experiment, {"sample": name}))
    assert not verdict.accepted
    assert words in verdict.reason


def test_documents_from_a_journal_read_the_same(engine, make):
    experiment = make()
    documents = take(engine, experiment, {"sample": "a2"})
    plain = json.loads(json.dumps(documents, default=lambda array: array.tolist()))
    assert experiment.evaluate(plain).values == experiment.evaluate(documents).values
    bare = take(engine, experiment, {"sample": "bare"})
    nulls = json.loads(json.dumps(bare, default=lambda a: [None if np.isnan(v) else v for v in a]))
    assert experiment.evaluate(nulls).reason == experiment.evaluate(bare).reason
    for spoilt in ([], documents[:2], [pair for pair in documents if pair[0] != "descriptor"]):
        assert not experiment.evaluate(spoilt).accepted


def test_samples_that_do_not_exist_are_refused(make):
    experiment = make()
    experiment.check([{"sample": "a1", "whatever": 3.0}])
    with pytest.raises(LimitsError, match=r"point 1, parameter sample: changer: 'b7' is not one of its 6 positions"):
        experiment.check([{"sample": "a1"}, {"sample": "b7"}])
    with pytest.raises(LimitsError, match="lacks"):
        experiment.check([{"x": 1.0}])
    with pytest.raises(LimitError):
        check_limits(experiment.measure({"sample": "b7"}, frame_number=0, metadata={}))
    twice = Recorded("twice", ("a", "a"), (), (), ())
    with pytest.raises(InstrumentError, match="positions must be named, each once"):
        ReplayExperiment(twice, quality=QualityGate(), observables={"b": make_observable("band")})
    with pytest.raises(InstrumentError, match="at least 0 s"):
        make(change_s=-1.0)


def test_a_dry_run_shows_what_would_happen(make, capsys):
    summarize_plan(make().measure({"sample": "a2"}, frame_number=0, metadata={}))
    assert "changer -> a2" in capsys.readouterr().out


def test_changes_and_exposures_take_their_time(engine, make):
    experiment = make(change_s=0.3, exposure_s=0.2, time_scale=0.5)
    began = time.monotonic()
    take(engine, experiment, {"sample": "a2"})
    both = time.monotonic() - began
    began = time.monotonic()
    take(engine, experiment, {"sample": "a2"})
    exposure = time.monotonic() - began
    assert both >= 0.25
    assert 0.1 <= exposure < both


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"changer": {1: Fault.STUCK}}, "not arrived within 0.1 s: changer"),
        ({"changer": {1: Fault.REFUSE}}, "changer: the controller refuses"),
        ({"curve": {1: Fault.HANG}}, "curve did not finish within 0.1 s"),
    ],
)
def test_devices_that_fail_close_the_run(engine, make, schedule, words):
    experiment = make(faults=Faults(schedule), move_timeout_s=0.1, detector_timeout_s=0.1)
    with pytest.raises(InstrumentError) as caught:
        take(engine, experiment, {"sample": "a2"})
    assert words in str(caught.value)
    assert isinstance(caught.value, DeviceError) or "refuses" in words
    assert engine.documents[-1][1]["exit_status"] == "fail"
    assert words in engine.documents[-1][1]["reason"]
    assert not experiment.shutter.is_open


@pytest.mark.parametrize("fault", [Fault.NAN_FRAME, Fault.ZERO_FRAME])
def test_spoilt_curves_are_rejected(engine, make, fault):
    experiment = make(faults=Faults({"curve": {1: fault}}))
    assert not experiment.evaluate(take(engine, experiment, {"sample": "a1"})).accepted
    assert experiment.evaluate(take(engine, experiment, {"sample": "a1"})).accepted


def test_it_says_whose_data_it_plays(make):
    told = json.loads(json.dumps(make().describe(), allow_nan=False))
    assert told["citation"] == "Somebody et al. 2020"
    assert told["licence"] == "CC-BY-4.0"
    assert told["curves"] == 6


@pytest.mark.data("saxs_stober_silica")
def test_a_recorded_campaign_plays(engine, data_dir):
    from simulators.recorded import RecordedCurves

    stober = RecordedCurves.from_parquet(data_dir / "saxs_stober_silica", id_column="uuid")
    target = next(row for row in range(len(stober.ids)) if not QualityGate().curve(_curve(stober, row)))
    curve = {"q": stober.q[target].tolist(), "intensity": stober.intensity[target].tolist()}
    experiment = ReplayExperiment(
        stober,
        quality=QualityGate(),
        observables={"distance": make_observable("match", target=curve)},
        time_scale=0.0,
    )
    points = [{"sample": identity} for identity in stober.ids]
    experiment.check(points)
    truth = experiment.truth(points)["distance"]
    assert truth[target] == 0.0
    assert 0.6 < np.isfinite(truth).mean() < 0.95
    assert np.nanmax(truth) > 1.0
    for row in (target, *np.flatnonzero(np.isnan(truth))[:2], *np.flatnonzero(np.isfinite(truth))[:3]):
        verdict = experiment.evaluate(take(engine, experiment, points[row]))
        assert verdict.accepted == np.isfinite(truth[row])
        assert not verdict.accepted or verdict.values["distance"] == truth[row]
    assert "MIT" in experiment.describe()["licence"]


def _curve(recording, row):
    return Curve(*(np.asarray(a[row], float) for a in (recording.q, recording.intensity, recording.sigma)))


def test_what_is_recorded_cannot_be_exposed_longer(engine, make):
    with pytest.raises(InstrumentError, match=r"made up is played back: its curves cannot be exposed for 4 s"):
        engine(make().measure({"sample": "a1"}, frame_number=0, metadata={}, exposure_s=4.0))
    assert engine.documents == []
