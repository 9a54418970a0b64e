"""Several posteriors as one: ensembles that were inferred separately, side by side in one mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from surrogates.inference.base import Belief, MemberPosterior

_GOOD_WHEN_LARGE = ("ess", "acceptance", "elbo")


def join(parts: Sequence[Tensor], outputs: int) -> Tensor:
    """Join ``(outputs * members_i, ...)`` tensors along the members, output-major as each of them."""
    return torch.cat([t.unflatten(0, (outputs, -1)) for t in parts], 1).flatten(0, 1)


class JoinedPosterior:
    """Posteriors of ``outputs * members_i`` networks each, as one of ``outputs * sum(members_i)``."""

    def __init__(self, parts: Sequence[MemberPosterior], outputs: int) -> None:
        self.parts = tuple(parts)
        self.outputs = outputs

    @property
    def noise_variance(self) -> Tensor:
        """See `MemberPosterior`."""
        return join([part.noise_variance for part in self.parts], self.outputs)

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """See `MemberPosterior`; what all parts know."""
        summaries = [part.summary for part in self.parts]
        shared = [name for name in summaries[0] if all(name in other for other in summaries)]
        return {name: join([summary[name] for summary in summaries], self.outputs) for name in shared}

    @property
    def report(self) -> Mapping[str, float]:
        """See `MemberPosterior`; of each number the worst of all parts that report it."""
        found: dict[str, float] = {}
        for part in self.parts:
            for name, value in part.report.items():
                worse = min if name in _GOOD_WHEN_LARGE else max
                found[name] = worse(found.get(name, value), value)
        return found

    @property
    def converged(self) -> bool:
        """See `MemberPosterior`."""
        return all(part.converged for part in self.parts)

    def evaluate(self, X: Tensor) -> JoinedBelief:
        """See `MemberPosterior`."""
        return JoinedBelief([part.evaluate(X) for part in self.parts], self.outputs)

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`; each part's under its number."""
        return {f"{i}.{name}": t for i, part in enumerate(self.parts) for name, t in part.state().items()}


class JoinedBelief:
    """See `Belief`."""

    def __init__(self, parts: Sequence[Belief], outputs: int) -> None:
        self._parts = tuple(parts)
        self._outputs = outputs
        self.mean: Tensor = join([part.mean for part in parts], outputs)
        self.noise: Tensor = join([part.noise.expand(part.mean.shape) for part in parts], outputs)

    def variance(self) -> Tensor:
        """See `Belief`."""
        return join([part.variance() for part in self._parts], self._outputs)

    def covariance(self, other: Belief) -> Tensor:
        """See `Belief`."""
        if not isinstance(other, JoinedBelief) or len(other._parts) != len(self._parts):
            raise TypeError(f"covariance needs two beliefs of the same posterior, got {type(other).__name__}")
        pairs = zip(self._parts, other._parts, strict=True)
        return join([mine.covariance(theirs) for mine, theirs in pairs], self._outputs)
