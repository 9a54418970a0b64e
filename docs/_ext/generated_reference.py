"""Fills the markers of the reference pages (`<!-- generated: NAME -->`) from the code, so that they cannot go stale."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import typer
from generated_descriptors import composition_descriptors, structure_descriptors
from sphinx.application import Sphinx

ERROR_MODULES = {
    "loop": (
        "loop.errors",
        "loop.belief",
        "loop.stopping",
        "loop.reactions.contract",
        "loop.classifier",
        "loop.classified",
    ),
    "instruments": (
        "instruments.errors",
        "instruments.plans",
        "instruments.readers.base",
        "instruments.reduction_bins",
        "instruments.rundata",
    ),
    "simulators": ("simulators.errors", "simulators.datasets.errors"),
    "surrogates": ("surrogates.errors", "surrogates.descriptors.base"),
}

MARKER = re.compile(r"<!-- generated: ([a-z_]+) -->")


def campaign_file() -> Iterator[str]:
    """Every section and key of a campaign file."""
    from loop.config import CampaignConfig
    from loop.config.base import Unit
    from loop.config.explain import schema_of

    yield from _File(schema_of(CampaignConfig), "campaign", "#campaign-units").sections()
    yield "(campaign-units)=\n## Units\n\n" + ", ".join(f"`{unit}`" for unit in get_args(Unit)) + "\n"


def pretraining_file() -> Iterator[str]:
    """Every section and key of a file for `beamloop pretrain`."""
    from loop.config.explain import schema_of
    from loop.config.pretrain import PretrainConfig

    yield from _File(schema_of(PretrainConfig), "pretraining", "campaign_file.md#units").sections()


def _title(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


@dataclass(frozen=True)
class _File:
    """One kind of configuration file, by its JSON schema."""

    schema: dict[str, Any]
    prefix: str
    """Of the anchors on its page."""
    units: str
    """Link to the list of units."""

    def sections(self) -> Iterator[str]:
        """Every section and key."""
        yield "## The top level\n"
        yield from self._section(self.schema)
        for name, definition in self.schema["$defs"].items():
            if name != "JsonValue":
                yield f"({self._anchor(name)})=\n## {_title(name)}\n"
                yield from self._section(definition)

    def _anchor(self, name: str) -> str:
        return f"{self.prefix}-{name.lower()}"

    def _section(self, schema: dict[str, Any]) -> Iterator[str]:
        yield schema.get("description", "") + "\n"
        required = schema.get("required", [])
        for key, value in schema.get("properties", {}).items():
            kind = self._kind(value)
            notes = [kind] if kind else []
            if key in required:
                notes.append("required")
            elif isinstance(default := value.get("default"), str | int | float) and default != "":
                notes.append(f"default `{_plain(default)}`")
            else:
                notes.append("optional")
            yield f"`{key}`\n: {'; '.join(notes)}\n\n  {self._text(value)}\n"

    def _text(self, value: dict[str, Any]) -> str:
        """Return what the key is for; pydantic drops it where the section's own docstring says the same."""
        if "description" not in value and "$ref" in value:
            value = self.schema["$defs"][value["$ref"].rpartition("/")[2]]
        return " ".join(value.get("description", "").split())

    def _kind(self, value: dict[str, Any]) -> str:
        """Say in words what stands there."""
        if "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            return "any value" if name == "JsonValue" else f"[{_title(name)}](#{self._anchor(name)})"
        if "const" in value:
            return f"`{value['const']}`"
        if len(value.get("enum", ())) > 20:
            return f"[unit]({self.units})"
        if "enum" in value:
            return "one of " + ", ".join(f"`{item}`" for item in value["enum"])
        options = [option for option in value.get("anyOf", value.get("oneOf", [])) if option.get("type") != "null"]
        if options:
            return " or ".join(dict.fromkeys(self._kind(option) for option in options))
        kind = value.get("type")
        if kind == "object":
            inner = value.get("additionalProperties")
            inner = inner if isinstance(inner, dict) else next(iter(value.get("patternProperties", {}).values()), {})
            return f"mapping of names to {self._kind(inner) or 'values'}"
        if kind == "array":
            if "prefixItems" in value:
                return f"list of {len(value['prefixItems'])}, each {self._kind(value['prefixItems'][0])}"
            return f"list of {self._kind(value.get('items', {})) or 'values'}"
        words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}
        limits = {"exclusiveMinimum": "> ", "minimum": "≥ ", "exclusiveMaximum": "< ", "maximum": "≤ "}
        bounds = [sign + f"{value[name]:g}" for name, sign in limits.items() if abs(value.get(name, 1e99)) < 1e15]
        return " ".join([words.get(kind or "", ""), ", ".join(bounds)]).strip()


def _plain(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else str(value)


def commands() -> Iterator[str]:
    """Every command with its arguments and options, from the command line itself."""
    from loop.cli import app

    group = typer.main.get_command(app)
    yield _usage(group, "beamloop")
    yield from _commands(group, "beamloop")


def _commands(group: Any, before: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before} {name}")
            continue
        yield f"## `{before} {name}`\n\n{inspect.cleandoc(command.help or '')}\n"
        yield _usage(command, f"{before} {name}")


def _usage(command: Any, name: str) -> str:
    lines = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        is_option = parameter.param_type_name == "option"
        what = ", ".join(parameter.opts) if is_option else parameter.metavar or parameter.name.upper()
        flag = is_option and getattr(parameter, "is_flag", False)
        value = f" {parameter.metavar}" if is_option and not flag and parameter.metavar else ""
        default = parameter.default if isinstance(parameter.default, str) else None
        text = (getattr(parameter, "help", "") or "").rstrip(".")
        lines.append(f"`{what}{value}`\n: {text}{f' (default: `{default}`)' if default else ''}.\n")
    arguments = " ".join(p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument")
    tail = f" {arguments}" if arguments else " COMMAND ..." if hasattr(command, "commands") else ""
    return f"```console\n$ {name} [OPTIONS]{tail}\n```\n\n" + "\n".join(lines)


def exit_codes() -> Iterator[str]:
    """The exit codes, from their enumeration."""
    from loop import exitcodes

    source = inspect.getsource(exitcodes.ExitCode)
    meanings = dict(re.findall(r'^    ([A-Z_]+) = \d+\n    """(.+?)"""', source, flags=re.MULTILINE | re.DOTALL))
    yield "| code | name | meaning |\n|---:|---|---|"
    for code in exitcodes.ExitCode:
        yield f"| {code.value} | `{code.name}` | {' '.join(meanings[code.name].split())} |"


def errors() -> Iterator[str]:
    """Every class that is raised on purpose, by package."""
    for package, modules in ERROR_MODULES.items():
        yield f"### `{package}`\n"
        for module_name in modules:
            module = importlib.import_module(module_name)
            for name, found in vars(module).items():
                if inspect.isclass(found) and issubclass(found, Exception) and found.__module__ == module_name:
                    bases = ", ".join(f"`{base.__name__}`" for base in found.__bases__ if base is not Exception)
                    yield f"`{module_name}.{name}`{f' ({bases})' if bases else ''}"
                    yield f": {' '.join((found.__doc__ or '').split()).replace('``', '`')}\n"


def names() -> Iterator[str]:
    """What may stand after `kind:`, for each exchangeable part."""
    from importlib.metadata import entry_points

    from instruments.observables import ENTRY_POINTS, OBSERVABLES
    from loop.acquisition.registry import BUILTIN, DEFAULTS
    from loop.compose import REACTIONS, STOPPING_RULES, SURROGATES
    from simulators.scenarios.registry import BUILT_IN

    def summary(reference: str) -> str:
        module, _, attribute = reference.partition(":")
        found = importlib.import_module(module)
        # The physics of a scenario stands at the top of its file.
        text = inspect.getdoc(found if ".scenarios." in module else getattr(found, attribute)) or ""
        return " ".join(text.split("\n\n")[0].split()).replace("``", "`")

    parts: dict[str, Iterable[tuple[str, str]]] = {
        "surrogate": SURROGATES.items(),
        "acquisition": BUILTIN.items(),
        "observables": [
            *((name, f"{part.__module__}:{part.__name__}") for name, part in OBSERVABLES.items()),
            *((e.name, e.value) for e in entry_points(group=ENTRY_POINTS) if e.value.startswith("loop.")),
        ],
        "stopping.rules": STOPPING_RULES.items(),
        "reactions.do": REACTIONS.items(),
        "beamline.scenario": BUILT_IN.items(),
    }
    yield "`acquisition: {kind: auto}` stands for " + ", ".join(f"`{v}` ({k})" for k, v in DEFAULTS.items()) + ".\n"
    for part, known in parts.items():
        yield f"| `{part}` kind | class | what it is |\n|---|---|---|"
        for name, reference in known:
            yield f"| `{name}` | `{reference}` | {summary(reference)} |"
        yield ""


GENERATORS = {
    f.__name__: f
    for f in (
        campaign_file,
        pretraining_file,
        commands,
        exit_codes,
        errors,
        names,
        composition_descriptors,
        structure_descriptors,
    )
}


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the markers of one page."""
    source[0] = MARKER.sub(lambda match: "\n".join(GENERATORS[match[1]]()), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
