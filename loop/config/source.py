"""From YAML text to plain data that remembers its lines.

The core schema of YAML 1.2 is used (``1e10`` is a number, ``on`` is text), and only what a campaign file needs:
mappings, lists and plain values. Duplicate keys, aliases, dates, tags and numbers that are not finite are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from loop.config.base import Problem

Loc = tuple[str | int, ...]

MAX_DEPTH = 30
"""Levels of nesting in a campaign file; deeper text is an error (or an attack on the parser's stack)."""


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader's scanner and parser with the scalar rules of YAML 1.2 and without aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own attribute)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "found an alias (*), expected the value itself", event.start_mark
            )
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass
class Source:
    """A campaign file as plain data, and where each value came from."""

    name: str
    """What messages call the file."""
    data: Any = None
    origins: dict[Loc, str] = field(default_factory=dict)
    """Place -> ``file:line`` or ``--set key=value``."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the text itself."""

    def origin(self, loc: Loc) -> str:
        """Where the value at `loc` (or the nearest thing above it) came from."""
        for length in range(len(loc), -1, -1):
            if loc[:length] in self.origins:
                return self.origins[loc[:length]]
        return self.name


def parse(text: str, name: str) -> Source:
    """Read YAML text; what is wrong with it is in the result's `problems`."""
    source = Source(name)
    try:
        loader = _CoreLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        if node is not None:
            source.data = _build(node, (), source)
    except yaml.YAMLError as error:
        source.origins[()] = _at(name, getattr(error, "problem_mark", None))
        source.problems.append(Problem((), *_syntax(error)))
    except RecursionError:
        source.problems.append(Problem((), "too many levels of nesting", f"at most {MAX_DEPTH}"))
    return source


def _syntax(error: yaml.YAMLError) -> tuple[str, str]:
    text = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    found, comma, expected = str(text).partition(", expected ")
    if comma:
        return found.removeprefix("found "), expected
    return f"text that is not YAML ({text})", "valid YAML"


def _at(name: str, mark: Any) -> str:
    return name if mark is None else f"{name}:{mark.line + 1}"


def _build(node: yaml.Node, loc: Loc, source: Source) -> Any:
    if loc:
        source.origins[loc] = _at(source.name, node.start_mark)
    if len(loc) > MAX_DEPTH:
        raise RecursionError
    if not isinstance(node, yaml.ScalarNode) and not node.tag.endswith((":map", ":seq")):
        source.problems.append(Problem(loc, node.tag, "a plain value, without a tag"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, loc, source)
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*loc, index), source) for index, child in enumerate(node.value)]
    return _scalar(node, loc, source)


def _mapping(node: yaml.MappingNode, loc: Loc, source: Source) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key: Hashable = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str) or not key_node.tag.endswith(":str"):
            source.origins[(*loc, str(key))] = _at(source.name, key_node.start_mark)
            source.problems.append(Problem((*loc, str(key)), f"{key or 'a nested value'} as a key", "text as a key"))
            continue
        if key in result:
            first = source.origins[(*loc, key)].rpartition(":")[2]
            again = _at(source.name, key_node.start_mark)
            source.problems.append(
                Problem((*loc, key), "the key a second time", f"it once (line {first})", origin=again)
            )
            continue
        result[key] = _build(value_node, (*loc, key), source)
        # The key's line is where a person looks, also when its value begins on the next one.
        source.origins[(*loc, key)] = _at(source.name, key_node.start_mark)
    return result


def _scalar(node: yaml.Node, loc: Loc, source: Source) -> Any:
    text, kind = node.value, node.tag.removeprefix("tag:yaml.org,2002:")
    try:
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if kind == "float" and math.isfinite(number := float(text)):
            return number
    except (ValueError, KeyError):
        pass
    allowed = "a finite number" if kind in ("int", "float") else "a plain value, without a tag"
    source.problems.append(Problem(loc, text if kind in ("int", "float") else f"{node.tag} {text}", allowed))
    return None
