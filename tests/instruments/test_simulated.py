"""The simulated beamline as an experiment: what is measured agrees with the truth, and bad data never raise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from instruments.axes import default_axis
from instruments.devices import Fault, Faults, SimulatedMotor, TemperatureStage
from instruments.errors import InstrumentError, LimitsError
from instruments.frames import read_frame
from instruments.rundata import RunDataError
from instruments.simulated import SimulatedExperiment
from simulators.instrument import InstrumentModel
from simulators.scenarios import make_scenario

POINTS = [{"anneal_temperature": t, "x": x} for t in (320.0, 480.0, 560.0, 650.0) for x in (-15.0, 12.0)]


def take(engine, experiment, point, frame_number=0):
    engine.documents.clear()
    engine(experiment.measure(point, frame_number=frame_number, metadata={}))
    return list(engine.documents)


@pytest.fixture
def prepared(engine, experiment):
    engine(experiment.prepare())
    return experiment


def same(a, b):
    return (
        a.accepted == b.accepted
        and a.reason == b.reason
        and a.values == b.values
        and a.sds == b.sds
        and all(np.array_equal(getattr(a.curve, part), getattr(b.curve, part)) for part in ("q", "intensity", "sigma"))
    )


def test_it_satisfies_the_protocols(experiment):
    protocols = pytest.importorskip("loop.protocols")
    for protocol in (protocols.Experiment, protocols.KnowsTruth, protocols.CanSampleOffline):
        assert isinstance(experiment, protocol)
    assert experiment.observables == ("invariant", "low_q")


def test_measured_values_agree_with_the_truth_within_their_error_bars(experiment):
    evaluations = [experiment.sample(point, frame_number=k) for k, point in enumerate(POINTS * 6)]
    assert all(evaluation.accepted for evaluation in evaluations)
    truth = experiment.truth(POINTS * 6)
    for name in experiment.observables:
        pulls = (np.array([e.values[name] for e in evaluations]) - truth[name]) / np.array(
            [e.sds[name] for e in evaluations]
        )
        # Background noise is shared and monitors are not in the error bars: near 1, not exactly.
        assert abs(np.mean(pulls)) < 1.0
        assert 0.5 < np.std(pulls) < 2.0
        assert np.ptp(truth[name]) > 20 * np.median([e.sds[name] for e in evaluations])


def test_offline_sampling_is_the_measurement_bit_by_bit(engine, prepared, make_experiment):
    offline = make_experiment()
    for number, point in enumerate(POINTS):
        measured = prepared.evaluate(take(engine, prepared, point, number))
        assert measured.accepted
        assert same(measured, offline.sample(point, frame_number=number))


def test_a_frame_depends_on_seed_and_number_alone(engine, prepared, make_experiment, point):
    first = prepared.evaluate(take(engine, prepared, point, 3))
    take(engine, prepared, POINTS[0], 4)
    assert same(prepared.evaluate(take(engine, prepared, point, 3)), first)
    assert prepared.evaluate(take(engine, prepared, point, 4)).values != first.values
    assert make_experiment(seed=8).sample(point, frame_number=3).values != first.values


def test_the_noise_of_background_and_campaign_is_not_the_same(experiment):
    state = {"exposure_s": 1.0, "shutter_open": True, "number": 0}
    frames = [experiment.physics.expose(None, series=series, **state).image for series in ("frame", "background")]
    assert not np.array_equal(*frames)


def test_moving_the_stage_changes_the_image_and_the_shutter_takes_the_beam(engine, prepared, point):
    take(engine, prepared, point, 1)
    here = read_frame(prepared.frames / "frame_000001.h5")
    take(engine, prepared, {**point, "anneal_temperature": 640.0}, 1)
    assert abs(read_frame(prepared.frames / "frame_000001.h5").sum() / here.sum() - 1) > 0.1
    beamline = prepared.devices.detector._beamline
    assert not beamline.shutter.is_open
    dark = beamline.expose(exposure_s=1.0, series="frame", number=1)
    assert dark.image[~prepared.instrument.mask].sum() < 100
    assert beamline.i0.get() == 0.0


def test_the_background_comes_back_from_documents_alone(engine, prepared, make_experiment, point):
    background = json.loads(json.dumps(engine.documents))
    documents = json.loads(json.dumps(take(engine, prepared, point, 2)))
    expected = prepared.evaluate(documents)
    resumed = make_experiment()
    resumed.restore_background(background)
    assert same(resumed.evaluate(documents), expected)
    other = make_experiment()
    other.restore([background[:2], background])  # the first try died before its first frame
    assert same(other.evaluate(documents), expected)


def test_a_campaign_folder_that_was_moved_still_evaluates(engine, prepared, make_experiment, point, tmp_path):
    background = list(engine.documents)
    documents = take(engine, prepared, point, 2)
    expected = prepared.evaluate(documents)
    prepared.frames.rename(tmp_path / "moved")
    assert not prepared.evaluate(documents).accepted
    moved = make_experiment(frames=tmp_path / "moved")
    moved.restore_background(background)
    assert same(moved.evaluate(documents), expected)


def test_without_background_it_says_so(engine, experiment, point):
    documents = take(engine, experiment, point)
    with pytest.raises(InstrumentError, match="there is no background to subtract: run prepare"):
        experiment.evaluate(documents)
    experiment.restore([])
    with pytest.raises(InstrumentError, match="no background"):
        experiment.evaluate(documents)


def test_a_background_that_cannot_be_used_is_told(engine, make_experiment, prepared):
    background = list(engine.documents)
    index = next(i for i, (name, _) in enumerate(background) if name == "event")
    with pytest.raises(RunDataError, match="1 events and 2 frames"):
        make_experiment().restore_background(background[:index] + background[index + 1 :])
    (prepared.frames / "background_001.h5").unlink()
    with pytest.raises(InstrumentError, match=r"background_001\.h5 is missing"):
        make_experiment().restore_background(background)
    for fault, words in ((Fault.SATURATED_FRAME, "saturated"), (Fault.NAN_FRAME, "NaN"), (Fault.ZERO_FRAME, "zero")):
        experiment = make_experiment(faults=Faults({"det": {2: fault}}))
        with pytest.raises(InstrumentError, match=f"background frame 1 cannot be used: .*{words}"):
            engine(experiment.prepare())
        assert not experiment.devices.shutter.is_open


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.NAN_FRAME, "NaN or infinite"),
        (Fault.ZERO_FRAME, "every usable pixel is zero"),
        (Fault.SATURATED_FRAME, "saturated"),
        (Fault.HALF_MASKED_FRAME, "part of the detector is missing"),
    ],
)
def test_a_bad_frame_is_measured_and_rejected(engine, make_experiment, point, fault, words):
    experiment = make_experiment(faults=Faults({"det": {3: fault}}))
    engine(experiment.prepare())
    documents = take(engine, experiment, point, 0)
    assert documents[-1][1]["exit_status"] == "success"
    verdict = experiment.evaluate(documents)
    assert not verdict.accepted
    assert words in verdict.reason
    assert verdict.values == {}
    assert experiment.evaluate(take(engine, experiment, point, 1)).accepted


def without(documents, *names):
    return [pair for pair in documents if pair[0] not in names]


def changed_event(documents, **data):
    return [(name, {**doc, "data": {**doc["data"], **data}} if name == "event" else doc) for name, doc in documents]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda documents: [], "begins with a start document"),
        (lambda documents: documents[:1], "announced no frame"),
        (lambda documents: documents[:3], "announced no frame"),
        (lambda documents: without(documents, "event"), "emitted no event"),
        (lambda documents: without(documents, "stream_datum"), "announced no frame"),
        (lambda documents: without(documents, "stream_resource"), "is not what event-model says"),
        (lambda documents: without(documents, "descriptor"), "is not what event-model says"),
        (lambda documents: changed_event(documents, i0=0.0), "no beam"),
        (lambda documents: changed_event(documents, diode=float("nan")), "no beam"),
        (lambda documents: changed_event(documents, i0=None), "lacks exposure, i0 or diode"),
        (lambda documents: changed_event(documents, diode=1e12), "transmission"),
        (lambda documents: [("nonsense", {}), *documents], ""),
    ],
)
def test_spoilt_documents_are_a_verdict(engine, prepared, point, spoil, words):
    documents = take(engine, prepared, point)
    verdict = prepared.evaluate(spoil(documents))
    assert words in verdict.reason
    assert verdict.accepted == (words == "")


def test_a_missing_or_broken_file_is_a_verdict(engine, prepared, point):
    documents = take(engine, prepared, point, 9)
    path = prepared.frames / "frame_000009.h5"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "frame_000009.h5 cannot be read" in prepared.evaluate(documents).reason
    path.unlink()
    verdict = prepared.evaluate(documents)
    assert not verdict.accepted
    assert "frame_000009.h5 is missing" in verdict.reason
    path.write_bytes(content)
    assert prepared.evaluate(documents).accepted


def test_an_observable_that_raises_or_is_no_number_is_a_verdict(make_experiment, point):
    class Broken:
        unit, description = "1", "broken"

        def __init__(self, result):
            self.result = result

        def __call__(self, curve):
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    for result, words in (
        (InstrumentError("no knee"), "broken could not be computed: no knee"),
        (ZeroDivisionError("1/0"), "broken could not be computed: 1/0"),
        ((float("nan"), 1.0), "no number"),
        ((1.0, -1.0), "no number"),
    ):
        experiment = make_experiment(observables={"broken": Broken(result)})
        verdict = experiment.sample(point, frame_number=0)
        assert not verdict.accepted
        assert words in verdict.reason
        assert verdict.curve is not None


def test_truth_is_nan_where_there_is_none(make_experiment, point):
    class Sometimes:
        unit, description = "1", "sometimes"

        def __call__(self, curve):
            if curve.intensity[0] > 100:
                raise InstrumentError("too bright")
            return float(curve.intensity[0]), 0.0

    truth = make_experiment(observables={"s": Sometimes()}).truth(POINTS)["s"]
    assert truth.shape == (len(POINTS),)
    assert np.isnan(truth).any()
    assert np.isfinite(truth).any()
    assert make_experiment().truth([])["low_q"].shape == (0,)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (
            {"anneal_temperature": 701.0, "x": 0.0},
            "anneal_temperature: 701.0 °C lies outside its limits, 300 to 700 °C",
        ),
        ({"anneal_temperature": 500.0, "x": float("nan")}, "x: nan mm lies outside its limits, -20 to 20 mm"),
        ({"anneal_temperature": 500.0}, "lacks ['x']"),
        ({"anneal_temperature": 500.0, "x": 0.0, "y": 1.0}, "no device sets ['y']"),
    ],
)
def test_points_out_of_reach_are_told_before_anything_moves(experiment, point, bad, words):
    experiment.check([point])
    with pytest.raises(LimitsError) as caught:
        experiment.check([point, bad])
    assert str(caught.value).startswith("point 1")
    assert words in str(caught.value)
    with pytest.raises(LimitsError):
        experiment.sample(bad, frame_number=0)


def test_axes_of_one_s_own_stand_for_the_parameters(engine, make_experiment, point):
    axes = {
        "x": SimulatedMotor(name="stage_x", limits=(-10.0, 10.0), time_scale=0.0),
        "anneal_temperature": TemperatureStage(name="furnace", limits=(300.0, 600.0), time_scale=0.0),
    }
    experiment = make_experiment(axes=axes)
    with pytest.raises(LimitsError, match="parameter x: stage_x: 15"):
        experiment.check([{**point, "x": 15.0}])
    take(engine, experiment, point)
    assert axes["x"].position == 4.0
    data = next(doc for name, doc in engine.documents if name == "event")["data"]
    assert data["stage_x"] == 4.0
    assert data["furnace_setpoint"] == 500.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exposure_s": 0.0}, "exposure_s must be above 0"),
        ({"background_frames": 0}, "background_frames at least 1"),
        ({"observables": {}}, "at least one observable"),
        ({"reduction": {"n_bins": 1}}, "n_bins"),
        ({"axes": {}}, "the scenario's parameters are"),
    ],
)
def test_wrong_options_are_told_at_once(make_experiment, options, words):
    with pytest.raises(InstrumentError, match=words):
        make_experiment(**options)


def test_axes_must_fit_in_unit_and_name(make_experiment):
    x, temperature = make_scenario("annealing").parameters[1], make_scenario("annealing").parameters[0]
    good = {p.name: default_axis(p) for p in (x, temperature)}
    for name, device, words in (
        ("x", SimulatedMotor(name="x", limits=(0.0, 1.0), egu="µm"), "is in 'mm', its axis x in 'µm'"),
        ("x", SimulatedMotor(name="det", limits=(0.0, 1.0)), "names of axes must differ"),
        ("x", SimulatedMotor(name="anneal_temperature", limits=(0.0, 1.0)), "names of axes must differ"),
    ):
        with pytest.raises(InstrumentError, match=words):
            make_experiment(axes={**good, name: device})


def test_it_describes_itself_in_plain_json(experiment):
    told = json.loads(json.dumps(experiment.describe(), allow_nan=False))
    assert told == experiment.describe()
    assert told["devices"]["x"] == {"name": "x", "class": "SimulatedMotor", "unit": "mm", "limits": [-20.0, 20.0]}
    assert told["devices"]["anneal_temperature"]["class"] == "TemperatureStage"
    assert told["instrument"]["wavelength_A"] == 1.0
    assert told["observables"]["low_q"]["unit"] == "log10(1/cm)"


def test_a_single_point_can_be_exposed_longer(engine, prepared, make_experiment, point):
    usual = take(engine, prepared, point, 0)
    engine.documents.clear()
    engine(prepared.measure(point, frame_number=1, metadata={}, exposure_s=20.0))
    longer = json.loads(json.dumps(engine.documents))
    start = longer[0][1]
    assert (start["exposure_s"], usual[0][1]["exposure_s"]) == (20.0, 0.2)
    counts = [next(doc for name, doc in run if name == "event")["data"] for run in (usual, longer)]
    for key, least in (("i0", 95), ("diode", 95), ("det_total", 50)):
        # A hundred times the photons; the beam fluctuates, and hot pixels saturate.
        assert least < counts[1][key] / counts[0][key] < 105, key
    # Evaluated from the documents alone, by another process that knows the usual exposure only.
    resumed = make_experiment()
    engine.documents.clear()
    engine(resumed.prepare())
    evaluations = [resumed.evaluate(run) for run in (usual, longer)]
    assert all(evaluation.accepted for evaluation in evaluations)
    assert evaluations[0].sds["low_q"] / evaluations[1].sds["low_q"] > 5
    truth = resumed.truth([point])["low_q"][0]
    assert abs(evaluations[1].values["low_q"] - truth) < 0.02
    # Offline it is the same, and the next point has the usual exposure again.
    assert same(evaluations[1], make_experiment().sample(point, frame_number=1, exposure_s=20.0))
    assert take(engine, prepared, point, 2)[0][1]["exposure_s"] == 0.2


@pytest.mark.parametrize("exposure_s", [0.0, -1.0, float("nan"), float("inf")])
def test_an_exposure_that_cannot_be_is_refused(engine, prepared, point, exposure_s):
    with pytest.raises(InstrumentError, match="exposure_s must be above 0 s"):
        engine(prepared.measure(point, frame_number=0, metadata={}, exposure_s=exposure_s))


def test_observables_that_see_noise_are_told_the_campaign_s_error_bars_as_truth(make_experiment, point):
    class Spy:
        unit, description, sees_noise = "1", "sees noise", True

        def __init__(self):
            self.seen = []

        def __call__(self, curve):
            self.seen.append(curve)
            return float(curve.intensity[0]), 1.0

    class Many(Spy):
        def values(self, curves):
            self.seen += curves
            return [curve.intensity[0] for curve in curves]

    spy, many, blind = Spy(), Many(), Spy()
    blind.sees_noise = False
    experiment = make_experiment(observables={"spy": spy, "many": many, "blind": blind}, exposure_s=1.0)
    truth = experiment.truth([point, POINTS[0]])
    (curve, _), (exact, _) = spy.seen, blind.seen
    assert truth["spy"].tolist() == truth["many"].tolist() == truth["blind"].tolist()
    assert np.array_equal(many.seen[0].sigma, curve.sigma)
    assert np.array_equal(curve.intensity, exact.intensity)
    # What it is told is what repeated measurements scatter by.
    repeats = [experiment.sample(point, frame_number=k).curve for k in range(150)]
    scatter = np.std([repeat.intensity for repeat in repeats], axis=0)
    assert np.median(scatter / curve.sigma) == pytest.approx(1.0, abs=0.1)
    assert np.all(np.abs(np.log(scatter / curve.sigma)) < np.log(1.5))
    assert np.median(exact.sigma / curve.sigma) < 0.1


def test_a_longer_exposure_has_smaller_error_bars(make_experiment, point):
    short, long = (make_experiment(exposure_s=t).sample(point, frame_number=0).sds["low_q"] for t in (0.1, 10.0))
    assert short / long == pytest.approx(10.0, rel=0.2)


def test_transmission_is_measured_not_assumed(make_experiment, instrument, point):
    # A diode and a monitor of other efficiencies tell the same cross-section: they are calibrated by the empty beam.
    assert isinstance(instrument, InstrumentModel)
    reference = make_experiment().truth([point])["low_q"][0]
    other = make_experiment()
    changed = SimulatedExperiment(
        other.scenario,
        replace(instrument, diode_efficiency=3e-4, monitor_efficiency=4e-5),
        frames=other.frames,
        quality=other.analysis.quality,
        observables=other.analysis.observables,
        reduction={"n_bins": 60},
        time_scale=0.0,
    )
    evaluation = changed.sample(point, frame_number=0)
    assert evaluation.values["low_q"] == pytest.approx(reference, abs=6 * evaluation.sds["low_q"] + 0.002)
