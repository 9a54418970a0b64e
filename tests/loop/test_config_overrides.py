"""`--set` and the parser, whatever is thrown at them."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from loop.config import CampaignConfig, parse_config
from loop.errors import ConfigError

DEMO = """\
name: demo
seed: 1
objective: {kind: map, observable: band}
observables: {band: {kind: band}}
space:
  kind: box
  parameters: {x: {low: -20, high: 20, unit: mm, device: motor}}
stopping: {points: 45, rules: [{kind: a}, {kind: b}]}
beamline:
  kind: simulated
  scenario: {kind: annealing}
  devices: {motor: {kind: motor, low: -25, high: 25, unit: mm}}
"""


def attempt(text: str, *overrides: str) -> CampaignConfig | str:
    """Return the campaign, or the message; anything else that is raised fails the test."""
    try:
        return parse_config(text, overrides, name="c.yaml")
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=7", ("seed",), 7),
        (" seed =7", ("seed",), 7),
        ("space.parameters.x.low=-5.5", ("space", "parameters", "x", "low"), -5.5),
        ("description=a=b: no", None, None),
        ("description='a=b: no'", ("description",), "a=b: no"),
        ("description=", None, None),
        ("stopping.minutes=null", ("stopping", "minutes"), None),
        ("storage.folder=elsewhere", ("storage", "folder"), "elsewhere"),
        ("stopping.rules.1.kind=c", ("stopping", "rules", 1, "kind"), "c"),
        ("stopping.minutes=1e2", ("stopping", "minutes"), 100.0),
        ("surrogate.options.width=64", ("surrogate", "options", "width"), 64),
        ("surrogate={kind: gp}", ("surrogate", "kind"), "gp"),
    ],
)
def test_override(override: str, path: tuple[str | int, ...] | None, value: object) -> None:
    config = attempt(DEMO, override)
    if path is None:
        assert isinstance(config, str)
        assert "--set" in config
        return
    assert isinstance(config, CampaignConfig), config
    found: object = config.model_dump()
    for key in path:
        found = found[key]  # type: ignore[index]
    assert found == value


def test_the_last_override_counts() -> None:
    config = attempt(DEMO, "seed=7", "seed=8")
    assert isinstance(config, CampaignConfig)
    assert config.seed == 8


def test_an_override_mends_what_the_file_has_wrong() -> None:
    assert isinstance(attempt(DEMO.replace("seed: 1", "seed: .nan"), "seed=3"), CampaignConfig)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", 'c.yaml: --set seed: found "seed", expected key.path=value.'),
        ("=3", 'c.yaml: --set =3: found "=3", expected key.path=value.'),
        ("a..b=3", "expected key.path=value."),
        ("seed.x=3", "seed: found 1, expected a mapping"),
        ("stopping.rules.2.kind=c", "stopping.rules: found"),
        ("stopping.rules.last.kind=c", "expected an entry's number from 0 to 1"),
        ("seed=[1", "c.yaml: --set seed=[1: seed: found text that is not YAML"),
        ("sed=3", "c.yaml: --set sed=3: sed: found an unknown key"),
        ("surrogate.option.width=64", 'did you mean "options"?'),
    ],
)
def test_wrong_override(override: str, expected: str) -> None:
    text = attempt(DEMO, override)
    assert isinstance(text, str)
    assert expected in text


keys = st.sampled_from(
    ["name", "seed", "space", "kind", "parameters", "x", "low", "unit", "beamline", "devices", "motor", "stopping",
     "rules", "0", "1", "-1", "surrogate", "options", "a", "", " ", "é", "where", "observables", "band"]
)  # fmt: skip
snippets = st.sampled_from(
    ["{", "}", "[", "]", ":", ",", "- ", "&a", "*a", "!!int", "!!python/object:os.system", "<<", "1e999", ".nan", "0x",
     "0o9", "'", '"', "|", ">", "%", "#", "\n", "  ", "\t", "\x00", "\ud7ff", "\u2028", "---", "...", "?", "null", "~",
     "true", "2026-01-01", "1:30", "9" * 50, "kind", "box", "name", "x"]
)  # fmt: skip
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def is_report(result: CampaignConfig | str) -> bool:
    """Every line of a message names the file."""
    return isinstance(result, CampaignConfig) or all(
        line.startswith("c.yaml") and ": found " in line and ", expected " in line for line in result.split("\n")
    )


@given(st.lists(keys, min_size=1, max_size=5), st.lists(snippets, max_size=6).map("".join))
@example(["seed"], "1" + "0" * 5000)
@example(["measurement", "exposure_s"], "1" + "0" * 400)
def test_no_override_brings_a_traceback(path: list[str], value: str) -> None:
    assert is_report(attempt(DEMO, f"{'.'.join(path)}={value}"))


@given(st.lists(snippets, max_size=15).map("".join) | st.text(max_size=40))
@example("? [a, b]\n: 1")
@example("? {a: b}\n: 1")
@example("!!map [1]")
@example("!!set {a}")
@example("<<: {name: a}")
@example("a: !!binary x")
@example("~: 1")
def test_no_text_brings_a_traceback(text: str) -> None:
    assert is_report(attempt(text))


@given(st.dictionaries(st.sampled_from(sorted(CampaignConfig.model_fields)), json_like, max_size=6))
def test_no_content_brings_a_traceback(changes: dict[str, object]) -> None:
    data = {**yaml.safe_load(DEMO), **changes}
    assert is_report(attempt(yaml.safe_dump(data, allow_unicode=True)))


@given(st.binary(max_size=60))
def test_no_file_brings_a_traceback(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    from loop.config import load_config

    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"fuzz\.yaml"):
        load_config(path)
