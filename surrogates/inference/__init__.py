"""Engines that infer the Bayesian layers of a network: one interface (`base`), one engine a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surrogates.errors import SurrogateError

if TYPE_CHECKING:
    from surrogates.inference.base import Engine


def choose_engine(name: str, layers: tuple[int, ...], depth: int) -> Engine:
    """Engine of that name; ``"auto"`` is the exact one where there is one (last layer alone), else the linearised."""
    from surrogates.inference.conjugate import ConjugateEngine
    from surrogates.inference.linearised import LinearisedEngine

    engines: dict[str, type[Engine]] = {"conjugate": ConjugateEngine, "linearised": LinearisedEngine}
    if name == "auto":
        name = "conjugate" if layers == (depth - 1,) else "linearised"
    if name not in engines:
        raise SurrogateError(f"unknown inference engine {name!r}: choose one of auto, {', '.join(engines)}")
    return engines[name]()
