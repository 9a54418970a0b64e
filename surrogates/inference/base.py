"""The interface of the inference engines: a problem goes in, beliefs about the networks' functions come out.

An engine knows nothing of BoTorch, of standardisation or of several outputs: it sees `G` networks, each with its own
targets.
What it returns needs only a mean and a covariance at arbitrary points, so that an engine may hold a closed form or a
set of draws. Conditioning on more points works for all of them through `surrogates.inference.conditioning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from surrogates.networks import NetworkEnsemble
from surrogates.priors import LogGrid


@dataclass(frozen=True)
class Problem:
    """What is to be inferred: the chosen layers of each network and the noise, given data in standardised units."""

    networks: NetworkEnsemble
    """`G` networks, float64. Layers that are not chosen are constants."""
    layers: tuple[int, ...]
    """Chosen layers, ascending."""
    X: Tensor
    """``(n, d)`` in the unit cube."""
    targets: Tensor
    """``(G, n)``."""
    variances: Tensor | None
    """``(G, n)`` measured variances that the model's own noise is added to, or None."""
    prior_sd: LogGrid
    """Prior standard deviation of the *function*, averaged over `reference`."""
    noise_sd: LogGrid
    """Standard deviation of the model's own noise."""
    reference: Tensor
    """``(k, d)`` points that give `prior_sd` its meaning."""


class Belief(Protocol):
    """Joint Gaussian belief of each network about some points ``(*batch, q, d)``."""

    @property
    def mean(self) -> Tensor:
        """``(G, *batch, q)``."""
        ...

    def variance(self) -> Tensor:
        """``(G, *batch, q)``, the diagonal of ``covariance(self)`` without forming it."""
        ...

    def covariance(self, other: Belief) -> Tensor:
        """``(G, *batch, q, q')`` with the points of another belief of the same posterior; batches broadcast."""
        ...


class MemberPosterior(Protocol):
    """What an engine returns."""

    @property
    def noise_variance(self) -> Tensor:
        """``(G,)`` posterior mean of the variance of the model's own noise."""
        ...

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """Diagnostics ``(G,)`` each: ``log_evidence``, ``prior_sd``, ``noise_sd`` where the engine has them."""
        ...

    def evaluate(self, X: Tensor) -> Belief:
        """Belief at ``X (*batch, q, d)``, differentiable in X."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `Engine.restore` rebuilds this posterior bit by bit."""
        ...


class Engine(Protocol):
    """One way to infer."""

    name: str

    def infer(self, problem: Problem) -> MemberPosterior:
        """Infer; deterministic."""
        ...

    def restore(
        self, networks: NetworkEnsemble, layers: tuple[int, ...], state: Mapping[str, Tensor]
    ) -> MemberPosterior:
        """Rebuild from `MemberPosterior.state`."""
        ...
