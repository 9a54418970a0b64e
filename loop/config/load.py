"""The one place where a campaign file becomes a `CampaignConfig`, or a list of everything that is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from loop.config.base import Problem, Section
from loop.config.campaign import CampaignConfig, broken_rules
from loop.config.explain import problems_of, schema_of, shown
from loop.config.overrides import apply_override
from loop.config.source import Source, parse
from loop.errors import ConfigError

Checked = TypeVar("Checked", bound=Section)

MAX_BYTES = 1_000_000
"""Larger files are no campaign files."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> CampaignConfig:
    """Read and check a campaign file.

    Parameters
    ----------
    path
        YAML (or JSON) file.
    overrides
        ``key.path=value`` each, as given to ``--set``.

    Raises
    ------
    ConfigError
        With one line for every problem: file and line (or the override), key, what was found and what is allowed.
    """
    return parse_config(read_text(Path(path)), overrides, name=str(path))


def parse_config(text: str, overrides: Sequence[str] = (), *, name: str = "campaign") -> CampaignConfig:
    """Check the text of a campaign file; `name` is what messages call it.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    return parse_as(CampaignConfig, text, overrides, name=name, what="a campaign: name, seed, objective, ...")


def parse_as(model: type[Checked], text: str, overrides: Sequence[str] = (), *, name: str, what: str) -> Checked:
    """Check text as `model` does; `what` says what an empty file lacks.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    source = parse(text, name)
    if source.data is None and not source.problems:
        source.problems.append(Problem((), "an empty file", what))
    config: Checked | None = None
    problems: list[Problem] = []
    if isinstance(source.data, dict):
        for override in overrides:
            apply_override(source, override)
        config, problems = _validate(model, source.data)
    elif source.data is not None:
        source.problems.append(Problem((), shown(source.data), "a mapping (key: value)"))
    # A place that could not be read has one message, that of the reader.
    unread = {problem.loc for problem in source.problems}
    problems = [*source.problems, *(problem for problem in problems if problem.loc not in unread)]
    if problems or config is None:
        raise ConfigError("\n".join(_lines(source, problems)))
    return config


def to_json(config: CampaignConfig) -> str:
    """Return the whole campaign, defaults included, as canonical JSON; `parse_config` reads it back.

    Sections stand in the models' order; names keep the file's, because it is the order of the model's inputs.
    """
    return json.dumps(config.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def config_hash(config: CampaignConfig) -> str:
    """SHA-256 (hex) of `to_json`: the same campaign, however it was written down, has the same hash."""
    return hashlib.sha256(to_json(config).encode()).hexdigest()


def schema_json() -> str:
    """JSON schema of campaign files, for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "beamloop campaign"}
    return json.dumps({**schema_of(CampaignConfig), **head}, indent=2, ensure_ascii=False) + "\n"


def read_text(path: Path, what: str = "campaign") -> str:
    """Read a file of a size that one written by hand may have; raise `ConfigError` if that cannot be."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: found no readable file ({error.strerror}), expected a {what} file.") from error
    except ValueError as error:
        raise ConfigError(f"{str(path)!r}: found a path that cannot be ({error}), expected a {what} file.") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: found more than {MAX_BYTES:,} bytes, expected a {what} file.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: found bytes that are not UTF-8, expected YAML text.") from error


def _validate(model: type[Checked], data: dict[str, Any]) -> tuple[Checked | None, list[Problem]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        problems = problems_of(error, model)
    if not issubclass(model, CampaignConfig):
        return None, problems
    # pydantic checks the rules between sections only where every section is valid; here all is said in one go.
    broken = (Problem(loc, shown(value), expected) for loc, value, expected in broken_rules(_valid_sections(data)))
    return None, list(dict.fromkeys([*problems, *broken]))


def _valid_sections(data: dict[str, Any]) -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for name, field in CampaignConfig.model_fields.items():
        if name not in data and field.is_required():
            continue
        try:
            value = data[name] if name in data else field.get_default(call_default_factory=True, validated_data={})
            annotation: Any = Annotated[field.annotation, field]
            sections[name] = TypeAdapter(annotation).validate_python(value)
        except ValidationError:
            continue
    return sections


def _lines(source: Source, problems: Iterable[Problem]) -> Iterable[str]:
    for problem in problems:
        key = ".".join(map(str, problem.loc))
        origin = problem.origin or source.origin(problem.loc)
        place = f"{source.name}: {origin}" if origin.startswith("--set") else origin
        at = f"{place}: {key}: " if key and key != origin else f"{place}: "
        end = "" if problem.expected.endswith("?") else "."
        yield f"{at}found {problem.found}, expected {problem.expected}{end}"
