"""``--set key.path=value``: one value of a campaign file replaced from the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loop.config.base import Problem
from loop.config.explain import shortened, shown
from loop.config.source import Loc, Source, parse


def apply_override(source: Source, text: str) -> None:
    """Set one value; what is wrong with the text goes to the source's problems, as everything else does.

    Parameters
    ----------
    source
        The parsed file; changed in place.
    text
        ``key.path=value``; the value is read as YAML, list entries are numbered from 0.
    """
    label = shortened(f"--set {text}")
    path, equals, value_text = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        source.origins[(label,)] = label
        source.problems.append(Problem((label,), shown(text), "key.path=value"))
        return
    value = parse(value_text, label)
    node: Any = source.data
    loc: Loc = ()
    for depth, key in enumerate(keys):
        step = _step(node, key)
        if step is None:
            place = loc or (key,)
            source.origins[place] = label
            source.problems.append(Problem(place, shown(node), _wanted(node)))
            return
        loc = (*loc, step)
        if depth == len(keys) - 1:
            node[step] = value.data
            _relabel(source, loc, value, label)
            return
        if isinstance(node, dict) and node.get(key) is None:
            # A section that the file leaves out: what stands in it now comes from the command line.
            node[key] = {}
            source.origins[loc] = label
        node = node[step]


def _step(node: Any, key: str) -> str | int | None:
    if isinstance(node, dict):
        return key
    if isinstance(node, list) and key.isascii() and key.isdigit() and int(key) < len(node):
        return int(key)
    return None


def _wanted(node: Any) -> str:
    if isinstance(node, list):
        return f"an entry's number from 0 to {len(node) - 1}" if node else "a list with entries"
    return "a mapping (key: value) in which the override could set something"


def _relabel(source: Source, loc: Loc, value: Source, label: str) -> None:
    for known in [known for known in source.origins if known[: len(loc)] == loc]:
        del source.origins[known]
    source.origins[loc] = label
    source.problems = [problem for problem in source.problems if problem.loc[: len(loc)] != loc]
    source.problems.extend(replace(problem, loc=(*loc, *problem.loc), origin=label) for problem in value.problems)
