"""What a curve says in one number with an error bar, and the registry of such numbers.

An observable is anything callable with a `Curve` that returns ``(value, sd)`` and says its `unit` and `description`.
Besides the built-in kinds, `make_observable` accepts ``"package.module:Name"`` and kinds that an installed package
offers under the entry-point group ``beamloop.reduction``.

Two more attributes are looked for where curves are observed that are known without noise (`instruments.experiment`):
``sees_noise``, true of one that says something else of a longer exposure: it is told the error bars of the campaign's;
and ``values(curves)``, which returns the values of many curves at once, NaN where one is unusable.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.observables_fits import Guinier, Porod
from instruments.observables_integrals import Band, Invariant
from instruments.observables_match import Match

ENTRY_POINTS = "beamloop.reduction"


@runtime_checkable
class Observable(Protocol):
    """One number out of a curve."""

    @property
    def unit(self) -> str:
        """Unit of the value; "1" where it has none."""

    @property
    def description(self) -> str:
        """What it is, in a few words, with the q-range."""

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return the value and one standard deviation propagated from the curve's sigma.

        Raises
        ------
        InstrumentError
            If the curve does not hold it, in words.
        """
        ...


OBSERVABLES: dict[str, Callable[..., Observable]] = {
    "band": Band,
    "invariant": Invariant,
    "guinier": Guinier,
    "porod": Porod,
    "match": Match,
}
"""Built-in kinds."""


def make_observable(kind: str, **options: Any) -> Observable:
    """Build an observable.

    Parameters
    ----------
    kind
        One of `OBSERVABLES`, ``"package.module:Name"``, or the name of an entry point in `ENTRY_POINTS`.
    options
        Passed to it.

    Raises
    ------
    InstrumentError
        If the kind is not known, an option is not one of its own or out of range, or a plug-in does not give an
        observable.
    """
    factory: Any = _find(kind)
    if is_dataclass(factory):
        known = [f.name for f in fields(factory) if f.init]
        if unknown := sorted(set(options) - set(known)):
            raise InstrumentError(
                f"observable {kind!r} has no option {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
            )
    try:
        built: Any = factory(**options)
    except TypeError as error:
        raise InstrumentError(f"observable {kind!r} cannot be built from {options!r}: {error}") from error
    lacking = [name for name in ("unit", "description") if not isinstance(getattr(built, name, None), str)]
    if lacking or not callable(built):
        what = f"has no text {' and '.join(lacking)}" if lacking else "cannot be called with a curve"
        raise InstrumentError(
            f"observable {kind!r}: {type(built).__name__} {what}; it must be callable with a curve and have the "
            "attributes unit and description"
        )
    observable: Observable = built
    return observable


def _find(kind: str) -> Callable[..., Observable]:
    """Look a kind up."""
    if kind in OBSERVABLES:
        return OBSERVABLES[kind]
    if ":" in kind:
        module, _, name = kind.partition(":")
        try:
            found: Callable[..., Observable] = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InstrumentError(f"observable {kind!r} cannot be imported: {error}") from error
        return found
    offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if kind in offered:
        try:
            loaded: Callable[..., Observable] = offered[kind].load()
        except (ImportError, AttributeError) as error:
            raise InstrumentError(
                f"observable {kind!r} of the entry point {offered[kind].value!r} cannot be imported: {error}"
            ) from error
        return loaded
    raise InstrumentError(
        f"unknown observable {kind!r}; known are {', '.join(sorted({*OBSERVABLES, *offered}))}, "
        'or "package.module:Name"'
    )
