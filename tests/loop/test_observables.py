"""Observables of a trained classifier: values, error bars, what is remembered, and messages."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from instruments.observables import Observable, make_observable
from loop import classified
from loop.classified import UnusableCurveError
from loop.compose import compose
from loop.config import load_config, parse_config
from loop.errors import ConfigError
from loop.observables import LEAST_SD
from loop.run import run_campaign, write_report
from surrogates.saxs.model import SaxsClassifier

KINDS = {"class_probability": {"of": "knee"}, "novelty": {}, "novelty_p": {}, "class_entropy": {}}


def observable(toy, kind, **options):
    return make_observable(kind, **{**KINDS[kind], "model": str(toy.path), **options})


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_by_its_name_and_is_an_observable(toy, kind):
    made = observable(toy, kind)
    assert isinstance(made, Observable)
    assert made.unit == ("nat" if kind in ("novelty", "class_entropy") else "1")
    assert "toy" in made.description
    value, sd = made(toy.measured(toy.knee(1.0)))
    assert isinstance(value, float)
    assert isinstance(sd, float)
    assert sd > 0


def test_values_are_those_of_the_classifier(toy):
    curve = toy.measured(toy.knee(1.0, strength=0.05))
    model = SaxsClassifier.load(toy.path)
    found = model.classify(model.gridded(curve.q, curve.intensity, curve.sigma))
    said = {kind: observable(toy, kind)(curve)[0] for kind in KINDS}
    assert said["class_probability"] == pytest.approx(found.probability[0, 1], abs=1e-5)
    assert said["novelty"] == pytest.approx(found.novelty[0], abs=1e-3)
    assert said["novelty_p"] == pytest.approx(found.p_value[0], abs=0.02)
    p = found.probability[0]
    assert said["class_entropy"] == pytest.approx(-np.sum(p * np.log(p)), abs=1e-3)


def test_what_they_say_makes_sense(toy):
    knee, novelty = observable(toy, "class_probability"), observable(toy, "novelty")
    assert knee(toy.measured(toy.knee(1.0)))[0] > 0.95
    assert knee(toy.measured(toy.smooth(1.0)))[0] < 0.2
    known = [novelty(toy.measured(make(1.0), seed=k))[0] for k in range(5) for make in (toy.smooth, toy.knee)]
    strange = [novelty(toy.measured(toy.peak(1.0), seed=k))[0] for k in range(5)]
    assert min(strange) > 3 * np.median(known)
    assert observable(toy, "novelty_p")(toy.measured(toy.peak(1.0)))[0] < 0.05


def test_error_bars_cover_what_noise_does(toy):
    clean = toy.knee(1.0, strength=0.06)
    for kind in ("class_probability", "novelty"):
        made = observable(toy, kind)
        values, sds = np.array([made(toy.measured(clean, 3e3, seed)) for seed in range(40)]).T
        assert 0.5 * values.std() < np.median(sds) < 4 * values.std(), kind
    # The posterior's own spread is in it: a curve without noise to speak of has an error bar all the same.
    sharp = observable(toy, "class_probability")(toy.exact(clean, 1e9))
    assert (
        sharp[1] >= observable(toy, "class_probability").classifier.read(toy.exact(clean, 1e9)).probability_sd[0, 1] > 0
    )
    # Nothing is known exactly.
    assert observable(toy, "class_probability")(toy.exact(toy.knee(1.0, strength=30.0), 1e9))[1] == pytest.approx(
        LEAST_SD, rel=0.5
    )


def test_the_same_curve_gives_the_same_and_is_classified_once(toy, monkeypatch):
    calls = []
    classify = SaxsClassifier.classify

    def counted(self, curves):
        calls.append(len(curves))
        return classify(self, curves)

    monkeypatch.setattr(SaxsClassifier, "classify", counted)
    several = [observable(toy, kind) for kind in KINDS]
    assert len({id(made.classifier) for made in several}) == 1
    curve = toy.measured(toy.smooth(1.3), seed=77)
    first = [made(curve) for made in several]
    assert calls == [1 + classified.REDRAWN]
    assert [made(curve) for made in several] == first
    assert len(calls) == 1
    again = classified.CurveClassifier(toy.path)  # another process
    assert again.read(curve).probability[0, 1] == first[0][0]
    assert np.hypot(again.read(curve).novelty[1:].std(), LEAST_SD) == pytest.approx(first[1][1])


def test_many_curves_at_once_are_each_as_alone(toy):
    curves = [toy.measured(toy.knee(1.0, strength=s), seed=k) for k, s in enumerate((0.03, 0.1, 3.0))]
    short = SimpleNamespace(**{name: getattr(curves[1], name)[20:130] for name in ("q", "intensity", "sigma")})
    empty = SimpleNamespace(q=np.array([0.1]), intensity=np.array([1.0]), sigma=np.array([0.1]))
    made = observable(toy, "class_probability")
    found = made.values([curves[0], short, empty, *curves[1:]])
    assert np.isnan(found[2])
    alone = [made(curve)[0] for curve in (curves[0], short, *curves[1:])]
    np.testing.assert_allclose(found[[0, 1, 3, 4]], alone, atol=1e-5)
    assert np.isnan(made.values([empty])).all()


def test_points_that_cannot_be_used_are_left_out_and_missing_error_bars_estimated(toy):
    made = observable(toy, "class_probability")
    curve = toy.measured(toy.knee(1.0))
    spoilt = SimpleNamespace(q=curve.q, intensity=curve.intensity.copy(), sigma=curve.sigma.copy())
    spoilt.intensity[10], spoilt.sigma[20], spoilt.sigma[30] = np.nan, 0.0, np.nan
    assert made(spoilt)[0] == pytest.approx(made(curve)[0], abs=0.05)
    bare = SimpleNamespace(q=curve.q, intensity=curve.intensity, sigma=np.full_like(curve.sigma, np.nan))
    assert made(bare)[0] > 0.9


@pytest.mark.parametrize(
    ("rows", "scale", "words"),
    [
        (slice(0, 2), 1.0, "at least 4 points"),
        (slice(0, 8), 1.0, "bins from 0.003 to 0.5 1/Å that the classifier looks at, 8 are needed"),
        (slice(None), 1e3, "lies outside the 0.003 to 0.5 1/Å"),
    ],
)
def test_a_curve_that_cannot_be_looked_at_is_told(toy, rows, scale, words):
    curve = toy.measured(toy.knee(1.0))
    part = SimpleNamespace(q=scale * curve.q[rows], intensity=curve.intensity[rows], sigma=curve.sigma[rows])
    with pytest.raises(UnusableCurveError, match=words):
        observable(toy, "novelty")(part)


def test_a_classifier_that_was_trained_anew_is_read_anew(toy, tmp_path):
    for suffix in (".json", ".safetensors"):
        shutil.copy(toy.path.with_name(toy.path.name + suffix), tmp_path / f"copy{suffix}")
    before = make_observable("novelty", model=str(tmp_path / "copy"))
    assert make_observable("novelty", model=str(tmp_path / "copy.safetensors")).classifier is before.classifier
    settings = json.loads((tmp_path / "copy.json").read_text())
    (tmp_path / "copy.json").write_text(json.dumps({**settings, "temperature": 2.0}))
    os.utime(tmp_path / "copy.json", ns=(1, 1))
    after = make_observable("novelty", model=str(tmp_path / "copy"))
    assert after.classifier is not before.classifier
    assert after.description != before.description


CAMPAIGN = """\
name: small
seed: 11
objective: {kind: map, observable: chance}
observables:
  chance: {kind: class_probability, options: {of: knee}}
  strange: {kind: novelty}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: temperature}
    x: {low: -20, high: 20, unit: mm, device: sample_x}
surrogate: {kind: gp}
initial: {points: 4}
stopping: {points: 8}
measurement: {exposure_s: 0.2}
reactions:
  - name: closer
    when: {observable: strange, above: 0}
    do: {kind: remeasure, options: {exposure_factor: 3}}
    at_most: 1
  - name: doubt
    when: {observable: chance, below: 2}
    do: {kind: note}
reduction: {n_bins: 60}
beamline:
  kind: simulated
  time_scale: 0.0
  background_frames: 2
  scenario: {kind: annealing}
  instrument: {shape: [120, 100], beam_centre_px: [15.2, 12.7], pixel_mm: 0.6, module_rows: 50, gap_px: 4}
  devices:
    temperature: {kind: temperature_stage, low: 20, high: 900, unit: degC, ramp_rate: 1000, start: 300}
    sample_x: {kind: motor, low: -25, high: 25, unit: mm, velocity: 50, start: 0}
quality: {q_low: 0.015, q_high: 0.1, min_points: 15}
report: {baseline_repeats: 1}
storage: {tiled: none}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("of: knee", "of: nee", 'observables.chance.options.of: found "nee", expected one of smooth, knee; did you '),
        ("of: knee", "of: knee, model: nowhere", r"observables.chance.options.model: no model can be read from"),
        ("of: knee", "of: knee, scale: relative", r"options.scale: found \"relative\", but .* was trained on .* 1/cm"),
        ("of: knee", "of: knee, scale: log", r"options.scale: found 'log', expected \"absolute\" or \"relative\""),
    ],
)
def test_what_does_not_fit_is_named_with_its_option(toy, tmp_path, monkeypatch, old, new, words):
    monkeypatch.setenv("BEAMLOOP_CLASSIFIER", str(toy.path))
    assert old in CAMPAIGN
    with pytest.raises(ConfigError, match=words):
        compose(parse_config(CAMPAIGN.replace(old, new), name="test"), tmp_path)


def test_no_classifier_at_all_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("BEAMLOOP_CLASSIFIER", raising=False)
    monkeypatch.setattr("loop.classifier.SHIPPED", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"options.model: there is no trained classifier at .*BEAMLOOP_CLASSIFIER"):
        compose(parse_config(CAMPAIGN, name="test"), tmp_path)


def test_a_campaign_that_maps_a_class_reacts_and_is_reported(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMLOOP_CLASSIFIER", str(toy.path))
    folder = tmp_path / "campaign"
    run_campaign(parse_config(CAMPAIGN, name="test"), folder, progress=False)
    page = write_report(folder).read_text()
    findings = json.loads((folder / "report" / "findings.json").read_text())
    assert findings["remarks"] == []
    rows = findings["points"]
    assert len(rows) == 8
    assert all(0 <= row["measured"] <= 1 for row in rows)
    # The truth is asked as the campaign exposes: noise alone lies between it and what was measured.
    assert all(abs(row["measured"] - row["truth"]) < 6 * row["measured_sd"] + 0.05 for row in rows)
    (again,) = [row for row in rows if row["exposure_s"] is not None]
    assert (again["origin"], again["reaction"], again["follows"], again["exposure_s"]) == (
        "reaction", "closer", 0, pytest.approx(0.6)
    )  # fmt: skip
    assert again["point"] == rows[0]["point"]
    closer = [alert for alert in findings["alerts"] if alert["reaction"] == "closer"]
    assert [alert["asked"] for alert in closer] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert closer[0]["followed"] == [again["iteration"]]
    assert closer[0]["unit"] == "nat"
    assert 'id="alerts"' in page
    assert "follows point 0 (closer); exposed 0.6 s" in page
    assert "8 points raised an alert; reactions asked for 1 point, all of which were taken." in page


def test_the_example_runs(toy, tmp_path, monkeypatch, project_root: Path):
    monkeypatch.setenv("BEAMLOOP_CLASSIFIER", str(toy.path))
    path = project_root / "configs" / "hunt_novelty.yaml"
    small = ["stopping.points=5", "initial.points=3", "beamline.time_scale=0", "observables.voids.options.of=knee"]
    # The toy is of another world: what it calls strange does not matter here.
    small += [f"reactions.{number}.when.above=0" for number in (0, 1)]
    folder = tmp_path / "campaign"
    run_campaign(load_config(path, small), folder, progress=False)
    findings = write_report(folder).with_name("findings.json")
    assert {alert["reaction"] for alert in json.loads(findings.read_text())["alerts"]} >= {"look_closer", "look_around"}
