"""Architectures: which layers follow each other, and how points of the unit cube enter the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks.activations import check_activation
from surrogates.networks.layers import Dense, Layer


class Architecture(Protocol):
    """A chain of layers. Implementations are frozen dataclasses whose fields are JSON, so that they can be stored."""

    @property
    def n_inputs(self) -> int:
        """Width `d` of the points."""
        ...

    @property
    def n_outputs(self) -> int:
        """Heads of the last layer."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In order; the last is a linear `Dense` layer."""
        ...

    def enter(self, X: Tensor) -> Tensor:
        """Turn points ``(N, d)`` in the unit cube into the first layer's input ``(N, ...)``."""
        ...


@dataclass(frozen=True)
class MLP:
    """Multilayer perceptron; its layers are ``dense0``, ``dense1`` ... and ``output``."""

    n_inputs: int
    n_outputs: int = 1
    hidden: tuple[int, ...] = (64, 32, 16, 8)
    activation: str = "tanh"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden or min(self.hidden) < 1 or self.n_inputs < 1 or self.n_outputs < 1:
            raise SurrogateError(f"hidden widths, inputs and outputs of a network must be at least 1, got {self}")
        check_activation(self.activation)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """See `Architecture`."""
        sizes = [self.n_inputs, *self.hidden]
        inner = [Dense(f"dense{i}", a, b, self.activation) for i, (a, b) in enumerate(pairwise(sizes))]
        return (*inner, Dense("output", sizes[-1], self.n_outputs))

    def enter(self, X: Tensor) -> Tensor:
        """Map the unit cube to [-1, 1]."""
        return 2 * X - 1


def chosen_layers(bayesian: str | int | Sequence[int | str], layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return the indices of the Bayesian layers, ascending.

    Parameters
    ----------
    bayesian
        ``"all"``, ``"first"``, ``"last"``, one layer's name, or several layers by index (negative ones count from the
        output layer) or name.
    layers
        Of the architecture.

    Raises
    ------
    SurrogateError
        If a layer does not exist, or none is named.
    """
    names = [layer.name for layer in layers]
    depth = len(names)
    groups = {"all": tuple(range(depth)), "first": (0,), "last": (depth - 1,)}
    if isinstance(bayesian, str) and bayesian in groups:
        return groups[bayesian]
    if isinstance(bayesian, str | int):
        bayesian = [bayesian]
    found = set()
    for wanted in bayesian:
        if isinstance(wanted, str) and wanted in names:
            found.add(names.index(wanted))
        elif isinstance(wanted, int) and not isinstance(wanted, bool) and -depth <= wanted < depth:
            found.add(wanted % depth)
        else:
            raise SurrogateError(
                f"bayesian names a layer {wanted!r} that the network lacks: it has {', '.join(names)} "
                f'(indices 0 to {depth - 1}, or -{depth} to -1); "all", "first" and "last" stand alone'
            )
    if not found:
        raise SurrogateError(f"bayesian must name at least one layer of {', '.join(names)}")
    return tuple(sorted(found))


def make_architecture(spec: Mapping[str, Any], n_inputs: int, n_outputs: int) -> Architecture:
    """Build an architecture from its ``kind`` (``mlp`` if it names none) and options, as campaign files have them.

    Raises
    ------
    SurrogateError
        On an unknown kind, option, or a value that makes no sense.
    """
    from surrogates.networks import ARCHITECTURES

    options = {key: tuple(v) if isinstance(v, list) else v for key, v in spec.items() if key != "kind"}
    kind = spec.get("kind", "mlp")
    if kind not in ARCHITECTURES:
        raise SurrogateError(f"unknown network kind {kind!r}: choose one of {', '.join(sorted(ARCHITECTURES))}")
    allowed = [name for name in ARCHITECTURES[kind].__dataclass_fields__ if name not in ("n_inputs", "n_outputs")]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise SurrogateError(
            f"network kind {kind!r} has no option {', '.join(map(repr, unknown))}: its options are {', '.join(allowed)}"
        )
    try:
        made: Architecture = ARCHITECTURES[kind](n_inputs=n_inputs, n_outputs=n_outputs, **options)
    except TypeError as error:
        raise SurrogateError(f"network {dict(spec)} cannot be built: {error}") from error
    return made


def describe_architecture(architecture: Architecture) -> dict[str, Any]:
    """Return the mapping that `make_architecture` builds the same from."""
    from surrogates.networks import ARCHITECTURES

    kind = next(name for name, kind in ARCHITECTURES.items() if type(architecture) is kind)
    fields = architecture.__dataclass_fields__  # type: ignore[attr-defined]
    options = {name: getattr(architecture, name) for name in fields if name not in ("n_inputs", "n_outputs")}
    return {"kind": kind, **options}
