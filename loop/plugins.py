"""Finding exchangeable parts: by a built-in name, by an installed package's entry point, or as ``module:Name``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from loop.errors import PluginError


def find(spec: str, builtin: Mapping[str, str], *, group: str, what: str) -> Any:
    """Return the object that `spec` stands for.

    Parameters
    ----------
    spec
        A key of `builtin`, the name of an entry point, or ``module:Name``.
    builtin
        Name -> ``module:Name`` of what comes with beamloop; imported only when asked for.
    group
        Entry-point group of installed packages.
    what
        What is sought, in a word or two, for messages.

    Raises
    ------
    PluginError
        Nothing of that name, the module cannot be imported, or it lacks the attribute.
    """
    installed = {point.name: point.value for point in entry_points(group=group)}
    reference = spec if ":" in spec else builtin.get(spec) or installed.get(spec)
    if reference is None:
        known = ", ".join([*builtin, *sorted(set(installed) - set(builtin))])
        raise PluginError(f"there is no {what} {spec!r}: expected one of {known}, or module:Name for your own")
    module_name, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise PluginError(
            f"{what} {spec!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = ", ".join(name for name in vars(found) if not name.startswith("_"))
            raise PluginError(f"{what} {spec!r}: {module_name} has no {attribute!r}; it has {public}")
        found = getattr(found, part)
    if not callable(found):
        raise PluginError(f"{what} {spec!r}: expected a class or a function, got {type(found).__name__}")
    return found
