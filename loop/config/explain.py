"""From pydantic's errors to sentences that a person can act on: what was found, what is expected, did you mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loop.config.base import Problem, suggestion

Schema = Mapping[str, Any]

_EXPECTED = {
    "int_from_float": "a whole number",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text, not empty",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "invalid-json-value": "a plain value",
}
"""pydantic's error type -> what was expected, filled in from the error's context."""


_SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=api_key=)[^&\s\"']+")


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """JSON schema of a file that is checked by a model."""
    return model.model_json_schema()


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Translate all errors of checking by a model."""
    root = schema_of(model)
    return [_problem(details, root) for details in error.errors(include_url=False)]


def shown(value: Any) -> str:
    """Return a value as text for a message, as YAML would have it and not too long."""
    if isinstance(value, float):
        return f"{value:.15g}"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return shortened(text)


def shortened(text: str) -> str:
    """Return text that fits into a message, without credentials."""
    text = _SECRET.sub("***", text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _problem(error: ErrorDetails, root: Schema) -> Problem:
    loc, node = _walk(error["loc"], root)
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        keys = sorted(node.get("properties", {}))
        known = f"one of {', '.join(keys)}" if keys else "none here"
        return Problem(loc, "an unknown key", f"{known}{suggestion(str(loc[-1]), keys)}")
    if kind == "missing":
        return Problem(loc, "nothing", f"a value ({_described(node, root)})")
    if kind == "too_short" and context["min_length"] == 1:
        return Problem(loc, shown(value), "at least one entry")
    if kind in ("int_type", "int_from_float") and isinstance(value, float):
        return Problem(loc, repr(value), "a whole number")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = sorted(_resolved(node, root).get("discriminator", {}).get("mapping", {}))
        found = value.get("kind") if isinstance(value, Mapping) else value
        close = suggestion(str(found), tags) if kind == "union_tag_invalid" else ""
        nothing = isinstance(value, Mapping) and "kind" not in value
        return Problem((*loc, "kind"), "nothing" if nothing else shown(found), f"one of {', '.join(tags)}{close}")
    if kind == "literal_error":
        allowed = _allowed(node, root) or [str(context.get("expected", ""))]
        return Problem(loc, shown(value), f"one of {', '.join(allowed)}{suggestion(str(value), allowed)}")
    if kind == "expected":
        return Problem(loc, shown(value), str(context["expected"]))
    if kind.startswith("value_error"):
        return Problem(loc, shown(value), str(context.get("error", error["msg"])))
    template = _EXPECTED.get(kind)
    expected = template.format(**context) if template is not None else error["msg"].removeprefix("Input should be ")
    return Problem(loc, shown(value), expected)


def _described(schema: Schema, root: Schema) -> str:
    text = str(schema.get("description") or _resolved(schema, root).get("description", "a value"))
    return text.split(".\n")[0].replace("\n", " ").rstrip(".")


def _allowed(schema: Schema, root: Schema) -> list[str]:
    values = _resolved(schema, root).get("enum") or [_resolved(schema, root).get("const")]
    return [] if values == [None] else [str(value) for value in values]


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return _resolved(options[0], root) if len(options) == 1 else schema


def _child(schema: Schema, key: str | int, root: Schema) -> Schema:
    schema = _resolved(schema, root)
    if isinstance(key, int):
        prefix = schema.get("prefixItems", ())
        return prefix[key] if key < len(prefix) else schema.get("items", {})
    if "discriminator" in schema:
        # Our own rules name a place without the tag that pydantic puts there.
        return next((found for option in schema["oneOf"] if (found := _child(option, key, root))), {})
    child = schema.get("properties", {}).get(key)
    if child is None:
        named = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        child = next((option for option in named if isinstance(option, Mapping)), {})
    return child


def _walk(raw: Sequence[str | int], root: Schema) -> tuple[tuple[str | int, ...], Schema]:
    """Drop the tags of unions from pydantic's place; return it and the schema there (for an unknown key: above it)."""
    schema: Schema = root
    loc: list[str | int] = []
    for key in raw:
        if key == "[key]":
            break
        schema = _resolved(schema, root)
        tags = schema.get("discriminator", {}).get("mapping", {})
        if key in tags:
            schema = {"$ref": tags[key]}
            continue
        loc.append(key)
        below = _child(schema, key, root)
        if not below and isinstance(key, str):
            break
        schema = below
    return tuple(loc), schema
