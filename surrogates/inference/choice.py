"""Which engine infers, and what happens when it does not converge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from typing import Any

from surrogates.errors import SurrogateError
from surrogates.inference.base import Engine, MemberPosterior, Problem
from surrogates.networks import Dense

ENGINES = {
    "conjugate": "surrogates.inference.conjugate:ConjugateEngine",
    "linearised": "surrogates.inference.linearised:LinearisedEngine",
    "hmc": "surrogates.inference.hmc:HMCEngine",
    "nuts": "surrogates.inference.nuts:NUTSEngine",
    "svi": "surrogates.inference.svi:SVIEngine",
}
"""Kind -> where it is; loaded when asked for, since Pyro takes a second to import."""

_MAX_SAMPLED = 2_000_000
"""Bayesian parameters times points up to which `auto` samples a posterior that has no closed form."""


def make_engine(spec: str | Mapping[str, Any]) -> Engine:
    """Build an engine from its kind, or from a mapping with ``kind`` and options.

    Raises
    ------
    SurrogateError
        On an unknown kind, option, or a value that makes no sense.
    """
    options: dict[str, Any] = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = options.pop("kind", None)
    if kind not in ENGINES:
        raise SurrogateError(f"unknown inference engine {kind!r}: choose one of auto, {', '.join(ENGINES)}")
    module, _, name = ENGINES[kind].partition(":")
    try:
        engine: Engine = getattr(import_module(module), name)(**options)
    except TypeError as error:
        raise SurrogateError(f"inference engine {kind!r} cannot be built with {options}: {error}") from error
    return engine


def describe_engine(engine: Engine) -> dict[str, Any]:
    """Return the mapping that `make_engine` builds the same from."""
    options: dict[str, Any] = asdict(engine) if is_dataclass(engine) else {}  # type: ignore[arg-type, unreachable, unused-ignore]
    return {"kind": engine.name, **options}


def automatic(problem: Problem) -> tuple[str, ...]:
    """Engines that ``inference: auto`` tries, in order; the first that converges is taken.

    * Gaussian noise, last layer alone: `conjugate`, exact.
    * Gaussian noise otherwise: `linearised`, which never fails to converge.
    * Any other likelihood: `hmc`, and `svi` where that does not converge; the other way round where layers from the
      first Bayesian one on are not all dense (convolutions, attention), or where the number of Bayesian parameters
      times the number of points is above two million.
    """
    architecture = problem.networks.architecture
    if problem.likelihood.gaussian:
        return ("conjugate",) if problem.layers == (problem.networks.depth - 1,) else ("linearised",)
    size = sum(t[0].numel() for i in problem.layers for t in problem.networks.parameters[i].values())
    slow = not all(isinstance(layer, Dense) for layer in architecture.layers[min(problem.layers) :])
    return ("svi", "hmc") if slow or size * len(problem.X) > _MAX_SAMPLED else ("hmc", "svi")


@dataclass(frozen=True)
class Inferred:
    """What was inferred, by which engine."""

    engine: Engine
    posterior: MemberPosterior
    failed: tuple[str, ...] = ()
    """Engines that were tried before and did not converge."""


def infer(problem: Problem, spec: str | Mapping[str, Any]) -> Inferred:
    """Infer with the engine asked for, or with the first that converges where ``"auto"`` is.

    An engine asked for by name is never replaced: whether it converged is in its posterior's `report`.
    """
    if spec != "auto":
        engine = make_engine(spec)
        return Inferred(engine, engine.infer(problem))
    candidates = automatic(problem)
    failed: list[str] = []
    for name in candidates:
        engine = make_engine(name)
        posterior = engine.infer(problem)
        if posterior.converged or name == candidates[-1]:
            break
        failed.append(name)
    return Inferred(engine, posterior, tuple(failed))
