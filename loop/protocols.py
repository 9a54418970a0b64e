"""The seams of the loop: what a search space, a surrogate, an acquisition function and an experiment must do.

Nothing here imports torch, Bluesky or hardware at run time, and nobody has to inherit from anything here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from loop.records import Point

if TYPE_CHECKING:
    import numpy as np
    from bluesky.utils import MsgGenerator
    from botorch.acquisition import AcquisitionFunction
    from botorch.models.model import Model
    from torch import Tensor

    from loop.acquisition.context import AcquisitionContext

Documents = Sequence[tuple[str, Mapping[str, Any]]]
"""One Bluesky run as ``(name, document)`` pairs in the order of emission."""


class SearchSpace(Protocol):
    """Where measurements may be taken. Models see the unit cube, people see their own units."""

    names: tuple[str, ...]
    """The model's input dimensions, in the order of the columns of `encode`."""
    candidates: Tensor | None
    """All admissible points ``(n, d)`` of a finite space (pool), or None for a continuous one."""

    def encode(self, points: Sequence[Point]) -> Tensor:
        """Points to ``(n, d)``, float64, in the unit cube."""
        ...

    def decode(self, X: Tensor) -> list[Point]:
        """``(n, d)`` in the unit cube back to points; for a pool, only rows of `candidates`."""
        ...

    def initial(self, n: int, *, seed: int) -> list[Point]:
        """Space-filling first points (scrambled Sobol; for a pool, distinct rows), the same for the same seed."""
        ...

    def random(self, n: int, *, seed: int) -> list[Point]:
        """Uniformly random points (distinct rows of a pool)."""
        ...

    def validate(self, point: Point) -> Point:
        """Return the point in canonical form; raise `SpaceError` that names the parameter, the value and the bounds."""
        ...


class Surrogate(Protocol):
    """Turns data into a fitted BoTorch model: a model class whose constructor fits, a partial of one, a function."""

    def __call__(self, train_X: Tensor, train_Y: Tensor, train_Yvar: Tensor | None = None, *, seed: int = 0) -> Model:
        """Fit.

        Parameters
        ----------
        train_X
            ``(n, d)`` float64 in the unit cube, n >= 2.
        train_Y
            ``(n, m)`` float64 in the observables' own units (the model standardises inside).
        train_Yvar
            ``(n, m)`` variances of the measured values, or None where they are unknown.
        seed
            All randomness of the fit comes from it: same data and seed, same model.
        """
        ...


@runtime_checkable
class CanUpdate(Protocol):
    """A fitted model that learns of further points without a new fit."""

    def update(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Return the model given ``(k, d)`` further points, ``(k, m)`` values and their variances.

        Variances come exactly where the model was fitted with them. The model itself stays as it is.
        """
        ...


@runtime_checkable
class HasDiagnostics(Protocol):
    """A fitted model that can say how its inference went."""

    def diagnostics(self) -> Mapping[str, float | str]:
        """Return plain numbers and words, at best with ``engine`` and ``converged`` (1 or 0).

        All of it goes into the campaign's documents but what ends in ``_s`` (seconds, never the same twice).
        """
        ...


class Acquisition(Protocol):
    """Anything that builds a BoTorch acquisition function: a class like the one in the README, or a function."""

    def __call__(self, model: Model, context: AcquisitionContext, **options: Any) -> AcquisitionFunction:
        """Build; the result maps ``(b, q, d)`` in the unit cube to ``(b,)``, larger is better."""
        ...


class Evaluation(Protocol):
    """What became of one run's documents: observables with error bars, and the quality gate's verdict."""

    @property
    def accepted(self) -> bool:
        """Whether the model may see it."""

    @property
    def reason(self) -> str:
        """Why not, in words; empty when accepted."""

    @property
    def values(self) -> Mapping[str, float]:
        """Observables."""

    @property
    def sds(self) -> Mapping[str, float]:
        """Their standard deviations."""

    @property
    def curve(self) -> Any | None:
        """The reduced curve, or None: attributes ``q`` (1/Å), ``intensity`` and ``sigma``, all ``(k,)``."""


@runtime_checkable
class Experiment(Protocol):
    """The instrument as the engine sees it: simulated, recorded or real."""

    observables: tuple[str, ...]
    """Names of the values that `evaluate` returns, the objective first."""

    def check(self, points: Sequence[Point]) -> None:
        """Raise, before anything moves, if a device cannot go to one of these points; name device, value and limits."""
        ...

    def prepare(self) -> MsgGenerator[Any]:
        """Plan run once before the first point (stage, background, shutters)."""
        ...

    def restore(self, runs: Sequence[Documents]) -> None:
        """Take up what `prepare` measured from the runs that it took, in this process or in one that died."""
        ...

    def measure(
        self, point: Point, *, frame_number: int, metadata: Mapping[str, Any], exposure_s: float | None = None
    ) -> MsgGenerator[Any]:
        """Plan that takes one complete Bluesky run at `point`, `metadata` going into its start document.

        `exposure_s` is given where it is not the campaign's; an experiment that is never to expose longer
        (`loop.reactions`) may leave it out. `frame_number` counts the exposures of the campaign; it names the frame's
        file and keys a simulator's noise, so that a resumed campaign sees what an uninterrupted one would have seen.
        """
        ...

    def finish(self) -> MsgGenerator[Any]:
        """Plan run once at the end, whatever happened (close shutters, unstage)."""
        ...

    def evaluate(self, documents: Documents) -> Evaluation:
        """Reduce one run: a function of the documents (and the files they name) alone, so that resume can repeat it.

        Bad data is a verdict, never an exception.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON for the run's metadata: distances, wavelength, devices, data source with its citation."""
        ...


@runtime_checkable
class KnowsTruth(Protocol):
    """An experiment whose world is simulated or recorded, so that the report can compare."""

    def truth(self, points: Sequence[Point]) -> Mapping[str, np.ndarray]:
        """Noise-free observables at the points, each ``(n,)``; NaN where the recording has nothing usable."""
        ...


@runtime_checkable
class CanSampleOffline(Protocol):
    """An experiment that can also be asked without devices: the same physics and noise, no waiting. For benchmarks."""

    def sample(self, point: Point, *, frame_number: int) -> Evaluation:
        """Return what `measure` followed by `evaluate` would give."""
        ...
