"""Wrong campaign files: refused with one line a problem that names place, key, what was found and what is allowed."""

from __future__ import annotations

import pytest

from loop.config import parse_config
from loop.errors import ConfigError

DEMO = """\
name: demo
seed: 1
objective: {kind: map, observable: band}
observables:
  band: {kind: band, options: {q_min: 0.01, q_max: 0.05}}
space:
  kind: box
  parameters:
    temperature: {low: 300, high: 700, unit: degC, device: stage}
    x:
      low: -20
      high: 20
      unit: mm
      device: motor
stopping: {points: 45}
beamline:
  kind: simulated
  scenario: {kind: annealing}
  devices:
    stage: {kind: temperature_stage, low: 20, high: 900, unit: degC}
    motor: {kind: motor, low: -25, high: 25, unit: mm}
"""

REPLAY = """\
name: replay
seed: 1
objective: {kind: target, observable: distance}
observables: {distance: {kind: match}}
space: {kind: pool, features: {teos: {unit: fraction}}}
stopping: {points: 45}
beamline: {kind: replay, data: a/dev.parquet, id: uuid}
"""


def message(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides, name="c.yaml")
    return str(caught.value)


def changed(old: str, new: str, text: str = DEMO) -> str:
    assert text.count(old) == 1
    return message(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "low: -20\n",
            "low: 30\n",
            "c.yaml:11: space.parameters.x.low: found 30, expected a number less than high (20).",
        ),
        ("low: -20\n", "low: high\n", 'c.yaml:11: space.parameters.x.low: found "high", expected a number.'),
        ("low: -20\n", "low: true\n", "c.yaml:11: space.parameters.x.low: found true, expected a number."),
        ("low: -20\n", 'low: "-20"\n', 'c.yaml:11: space.parameters.x.low: found "-20", expected a number.'),
        ("low: -20\n", "low: .nan\n", "c.yaml:11: space.parameters.x.low: found .nan, expected a finite number."),
        ("low: -20\n", "low: 1e999\n", "c.yaml:11: space.parameters.x.low: found 1e999, expected a finite number."),
        (
            "low: -20\n",
            "low: -30\n",
            "c.yaml:11: space.parameters.x.low: found -30, expected a number within the limits of device motor "
            "(-25 to 25 mm).",
        ),
        (
            "unit: mm\n",
            "unit: um\n",
            'c.yaml:13: space.parameters.x.unit: found "um", expected the unit of device motor (mm).',
        ),
        (
            "device: motor",
            "device: moter",
            'space.parameters.x.device: found "moter", expected one of the beamline\'s devices (stage, motor)'
            '; did you mean "motor"?',
        ),
        (
            "device: motor",
            "device: stage",
            'space.parameters.x.device: found "stage", expected a device that does not yet serve temperature.',
        ),
        (
            "      high:",
            "      hihg:",
            "c.yaml:12: space.parameters.x.hihg: found an unknown key, expected one of device, high, low, unit; "
            'did you mean "high"?',
        ),
        (
            "kind: box",
            "kind: boks",
            'c.yaml:7: space.kind: found "boks", expected one of box, pool; did you mean "box"?',
        ),
        ("  kind: box\n", "", "c.yaml:6: space.kind: found nothing, expected one of box, pool."),
        ("seed: 1", "seed: 1.5", "c.yaml:2: seed: found 1.5, expected a whole number."),
        ("seed: 1", "seed: -1", "c.yaml:2: seed: found -1, expected a number of at least 0."),
        ("seed: 1", "seed:", "c.yaml:2: seed: found null, expected a whole number."),
        ("seed: 1", "seed: 1\nseed: 2", "c.yaml:3: seed: found the key a second time, expected it once (line 2)."),
        ("seed: 1", "1: 1", "c.yaml:2: 1: found 1 as a key, expected text as a key."),
        ("seed: 1", "seed: !!python/name:os.system 1", "expected a plain value, without a tag."),
        ("seed: 1", "seed: &a 1\nthreads: *a", "c.yaml:3: found an alias (*), expected the value itself."),
        ("seed: 1", "seed: [1", "found text that is not YAML ("),
        ("seed: 1", "seed: 1\x00", "found text that is not YAML ("),
        (
            "name: demo",
            "name: two words",
            'c.yaml:1: name: found "two words", expected a name of letters, digits and underscores that starts with a '
            "letter.",
        ),
        (
            "observable: band",
            "observable: bend",
            'objective.observable: found "bend", expected one of the observables (band); did you mean "band"?',
        ),
        (
            "objective: {kind: map, observable: band}",
            "objective: {kind: optimise, observable: band}",
            "c.yaml:3: objective.direction: found nothing, expected a value (Which optimum).",
        ),
        (
            "stopping: {points: 45}",
            "stopping: {points: 5}",
            "c.yaml: initial.points: found 8, expected at most stopping.points (5).",
        ),
        ("stopping: {points: 45}", "stopping: {}", "c.yaml:15: stopping: found {}, expected at least one of points,"),
        ("kind: annealing", "kind: 'my module:X'", 'expected a built-in name, or "module:Name" for your own.'),
        ("    x:\n", "    sample:\n", "expected a name other than sample and _id, which every point has anyway."),
        ("x:\n", "1x:\n", 'found "1x", expected a name of letters, digits and underscores that starts with a letter.'),
    ],
)
def test_wrong_value(old: str, new: str, expected: str) -> None:
    assert expected in changed(old, new)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("measurement.exposure_s=0", "found 0, expected a number greater than 0."),
        ("measurement.attempts=0", "found 0, expected a number of at least 1."),
        (
            "measurement.exposure=2",
            "measurement.exposure: found an unknown key, expected one of attempts, detector_timeout_s, ",
        ),
        ("storage.tiled=ftp://host", 'expected "embedded", "none", or the http(s) URL of a Tiled server.'),
        ("storage.tiled=http://[1", 'expected "embedded", "none", or the http(s) URL of a Tiled server.'),
        ("beamline.instrument.shape=[619]", "beamline.instrument.shape.1: found nothing"),
        ("beamline.instrument.shape=[619, 4.5]", "beamline.instrument.shape.1: found 4.5, expected a whole number."),
        ("beamline.devices.motor.start=40", "expected a number from low (-25) to high (25)."),
        (
            "beamline.devices.motor.low=30",
            "beamline.devices.motor.low: found 30, expected a number less than high (25).",
        ),
        ("reduction.q_range=[0.3, 0.1]", "reduction.q_range: found [0.3, 0.1], expected the lower edge first."),
        ("quality={q_low: 0.2, q_high: 0.1}", "quality.q_low: found 0.2, expected a number less than q_high (0.1)."),
        ("device=gpu", 'device: found "gpu", expected one of auto, cpu, cuda; did you mean "cpu"?'),
        ("threads=0", "threads: found 0, expected a number of at least 1."),
        ("description=7", "description: found 7, expected text."),
        ("observables={}", "observables: found {}, expected at least one entry."),
        ("stopping.rules=points", 'stopping.rules: found "points", expected a list.'),
        ("measurement=3", "measurement: found 3, expected a mapping (key: value)."),
        ("objective=map", 'objective: found "map", expected a mapping (key: value).'),
        (
            "space={kind: pool, features: {a: {unit: K}}}",
            'space.kind: found "pool", expected "box" for a simulated beamline',
        ),
    ],
)
def test_wrong_override(override: str, expected: str) -> None:
    text = message(DEMO, override)
    assert expected in text
    assert f"c.yaml: --set {override}" in text


def test_secrets_are_not_repeated() -> None:
    text = message(DEMO, "storage={tiled: 'http://me:hunter2@host'}", "storage.folder=")
    assert "credentials" in text
    assert "hunter2" not in text
    assert "hunter2" not in message(DEMO + "storage: {tiled: 'http://host?api_key=hunter2'}\n")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("reduction.n_bins=100", "expected nothing with a replayed beamline: its curves are already reduced."),
        ("beamline.where={series: [1]}", "beamline.where.series: found [1], expected a single value"),
        ("beamline.q_scale=-1", "beamline.q_scale: found -1, expected a number greater than 0."),
        ("beamline.devices={}", "beamline.devices: found an unknown key, expected one of change_s, columns, data, "),
        (
            "space={kind: box, parameters: {x: {low: 0, high: 1, unit: mm, device: m}}}",
            'expected "pool" for a replayed',
        ),
    ],
)
def test_wrong_replay(override: str, expected: str) -> None:
    assert expected in message(REPLAY, override)


def test_all_problems_come_in_one_go() -> None:
    text = message(
        DEMO.replace("seed: 1", "seed: x"),
        "initial.points=90",
        "objective.observable=nothing",
        "stoping.points=3",
        "beamline.devices.motor.high=10",
    )
    lines = text.splitlines()
    assert len(lines) == 5
    for key in ("seed:", "initial.points:", "objective.observable:", "stoping:", "space.parameters.x.high:"):
        assert sum(f": {key} found" in line for line in lines) == 1, key


@pytest.mark.parametrize("text", ["", "# nothing\n", "null", "---\n"])
def test_empty_file(text: str) -> None:
    assert message(text).startswith("c.yaml: found an empty file, expected a campaign")


@pytest.mark.parametrize("text", ["[1, 2]", "text", "3"])
def test_not_a_mapping(text: str) -> None:
    assert "expected a mapping (key: value)" in message(text)


def test_deep_nesting() -> None:
    assert "too many levels of nesting" in message("[" * 100_000)
    assert "too many levels of nesting" in message(
        DEMO + "surrogate: {kind: gp, options: {a: " + "[" * 40 + "]" * 40 + "}}"
    )


def test_several_documents() -> None:
    assert "found text that is not YAML" in message(DEMO + "---\nname: x\n")


REACTION = """\
reactions:
  - name: closer
    when: {observable: band, above: 2}
    do: {kind: remeasure}
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "observable: band, above",
            "observable: bund, above",
            'c.yaml:24: reactions.0.when.observable: found "bund", expected one of the observables (band); '
            'did you mean "band"?',
        ),
        (
            "above: 2",
            "above: 2, below: 1",
            'c.yaml:24: reactions.0.when: found {"above": 2.0, "below": 1.0}, expected either above or below.',
        ),
        (", above: 2", "", "c.yaml:24: reactions.0.when: found {}, expected either above or below."),
        (
            "above: 2",
            "above: 2, significance: -1",
            "c.yaml:24: reactions.0.when.significance: found -1, expected a number of at least 0.0.",
        ),
        (
            "remeasure}",
            "remeasure}\n    at_most: 0",
            "c.yaml:26: reactions.0.at_most: found 0, expected a number of at least 1.",
        ),
    ],
)
def test_reactions(old: str, new: str, expected: str) -> None:
    assert changed(old, new, DEMO + REACTION) == expected


def test_reactions_have_names_of_their_own() -> None:
    text = DEMO + REACTION + REACTION.partition("\n")[2]
    assert message(text) == (
        'c.yaml:26: reactions.1.name: found "closer", expected a name that no reaction before it has.'
    )


def test_what_is_recorded_cannot_be_exposed_longer() -> None:
    text = REPLAY + REACTION.replace("band", "distance")
    assert message(text) == (
        'c.yaml:11: reactions.0.do.kind: found "remeasure", expected look_around, note or your own: what is recorded '
        "cannot be exposed longer."
    )
