"""Finding acquisition functions: by name, by ``module:Name``, or the object itself.

Names come from the built-ins below and from the entry-point group ``beamloop.acquisition`` of installed packages.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from loop.errors import PluginError

GROUP = "beamloop.acquisition"

BUILTIN: Mapping[str, str] = {
    "variance": "loop.acquisition.variance:MaximumVariance",
    "integrated_variance": "loop.acquisition.variance:IntegratedVariance",
    "log_ei": "loop.acquisition.improvement:LogExpectedImprovement",
    "log_noisy_ei": "loop.acquisition.improvement:LogNoisyExpectedImprovement",
    "ucb": "loop.acquisition.confidence:UpperConfidenceBound",
    "thompson": "loop.acquisition.thompson:ThompsonSample",
    "random": "loop.acquisition.random:Random",
}
"""Name -> where it is; loaded only when asked for."""

DEFAULTS: Mapping[str, str] = {"map": "integrated_variance", "optimise": "log_ei", "target": "log_ei"}
"""Kind of objective -> the acquisition that a campaign uses when it names none."""

Builder = Callable[..., Any]
"""``(model, context, **options) -> AcquisitionFunction``: see `loop.protocols.Acquisition`."""


def available() -> tuple[str, ...]:
    """Return the names that `find` knows: the built-ins, then what installed packages bring."""
    return (*BUILTIN, *sorted(_installed()))


def find(spec: str | Builder, *, search_path: Path | None = None) -> Builder:
    """Return the builder that `spec` stands for.

    Parameters
    ----------
    spec
        A name out of `available`, ``"module:Name"``, or a builder itself (returned as it is).
    search_path
        Folder in which a user's module may lie, besides what Python already searches; the working directory when left
        out. It is appended to ``sys.path`` only if the module is found there.

    Raises
    ------
    PluginError
        Nothing of that name; the module cannot be imported or lacks the attribute; it cannot be called.
    """
    if not isinstance(spec, str):
        builder = spec
    elif ":" in spec:
        builder = _load(spec, search_path or Path.cwd())
    elif spec in BUILTIN:
        builder = _load(BUILTIN[spec], Path.cwd())
    elif (entry := _installed().get(spec)) is not None:
        builder = _load(entry.value, Path.cwd())
    else:
        raise PluginError(
            f"there is no acquisition {spec!r}: expected one of {', '.join(available())}, or module:Name for your own"
        )
    if not callable(builder):
        raise PluginError(f"acquisition {spec!r}: expected a class or a function, got {type(builder).__name__}")
    return builder


def check_options(builder: Builder, options: Mapping[str, Any], *, direction: str | None) -> None:
    """Check, before there is a model, that ``builder(model, context, **options)`` can be called in such a campaign.

    A builder with a true attribute ``needs_direction`` looks for an optimum and is refused where there is none.

    Raises
    ------
    PluginError
        Says which option is unknown or missing, or how the signature differs.
    """
    if direction is None and getattr(builder, "needs_direction", False):
        raise PluginError(
            f"acquisition {name_of(builder)} looks for an optimum, but the campaign has no direction: say maximise or "
            f"minimise, or use one that maps, such as {DEFAULTS['map']}"
        )
    try:
        signature = inspect.signature(builder)
    except (TypeError, ValueError):
        # Compiled callables may hide their signature; then the call itself will tell.
        return
    try:
        signature.bind(None, None, **options)
    except TypeError as error:
        parameters = list(signature.parameters.values())
        allowed = [p.name for p in parameters[2:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        raise PluginError(
            f"acquisition {name_of(builder)} cannot be built with options {dict(options)}: {error}. "
            f"Expected the signature (model, context, **options); it is {signature}, "
            f"so its options are {allowed or 'none'}"
        ) from error


def name_of(plugin: Any) -> str:
    """Name a plug-in as a person would look for it: ``module:Name``."""
    while isinstance(plugin, partial):
        plugin = plugin.func
    named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{getattr(named, '__module__', '?')}:{getattr(named, '__qualname__', named)}"


def is_ours(plugin: Any) -> bool:
    """Tell whether it came with beamloop, so that its failure is not a plug-in's."""
    return name_of(plugin).split(".")[0] in ("loop", "surrogates")


@contextmanager
def blame(plugin: Any, doing: str) -> Iterator[None]:
    """Name the plug-in when something inside goes wrong.

    Raises
    ------
    PluginError
        From whatever a plug-in raised. What our own parts raise passes as it is, with a note that says where.
    """
    try:
        yield
    except Exception as error:
        if is_ours(plugin):
            error.add_note(f"in {name_of(plugin)}, {doing}")
            raise
        raise PluginError(f"{name_of(plugin)} failed, {doing}: {type(error).__name__}: {error}") from error


def _installed() -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=GROUP) if e.name not in BUILTIN}


def _load(spec: str, search_path: Path) -> Any:
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"acquisition {spec!r}: expected module:Name, such as my_module:MyAcquisition")
    first = module_name.split(".")[0]
    folder = str(search_path.resolve())
    if folder not in sys.path and ((search_path / f"{first}.py").is_file() or (search_path / first).is_dir()):
        # At the end: a user's file never hides an installed package.
        sys.path.append(folder)
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (error.name == module_name or module_name.startswith(error.name + ".")):
            raise PluginError(
                f"acquisition {spec!r}: there is no module {error.name!r}, neither installed nor in {folder}: "
                "check the name, or put the file there"
            ) from error
        raise PluginError(f"acquisition {spec!r}: importing {module_name} failed: {error}") from error
    except Exception as error:
        raise PluginError(
            f"acquisition {spec!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            public = [n for n in vars(module) if not n.startswith("_")]
            raise PluginError(
                f"acquisition {spec!r}: module {module_name} ({getattr(module, '__file__', 'built in')}) "
                f"has no {attribute!r}; it has {public}"
            ) from None
    return found
