"""The interface of the inference engines: a problem goes in, beliefs about the networks' functions come out.

An engine knows nothing of BoTorch, of standardisation or of several outputs: it sees `G` networks, each with its own
targets.
What it returns needs only a mean and a covariance at arbitrary points, so that an engine may hold a closed form or a
set of draws. Conditioning on more points works for all of them through `surrogates.inference.conditioning`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Gaussian, Likelihood
from surrogates.networks import NetworkEnsemble, Tangent
from surrogates.priors import LogGrid


class KernelSource(Protocol):
    """`G` kernels, in the form of tangents at points."""

    @property
    def members(self) -> int:
        """Number of kernels `G`."""
        ...

    def tangent(self, X: Tensor, layers: Sequence[int]) -> Tangent:
        """See `NetworkEnsemble.tangent`."""
        ...


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
    likelihood: Likelihood = field(default_factory=Gaussian)
    """Of the targets, given the networks' heads."""
    centre: NetworkEnsemble | None = None
    """Prior means, float64; zero where it is None. Engines that draw take the chosen layers of these `G` networks for
    the prior means of the chosen layers; closed forms take the networks' functions for the prior mean *function*, each
    `k` of ``k G`` averaged for one."""
    kernel: KernelSource | None = None
    """What takes the networks' place in engines that need no more than a kernel; their tangent kernel if it is None."""
    mean: Callable[[Tensor], Tensor] | None = None
    """Prior mean function in the place of the centre's, for closed forms: ``(k, *batch, q)`` at ``(*batch, q, d)``,
    each of the `k` for ``G / k`` networks in a row."""
    seed: int = 0
    """Of engines that draw."""

    def tangent(self, X: Tensor) -> Tangent:
        """Return what the kernel needs of points ``(*batch, q, d)``, differentiable in X."""
        source = self.networks if self.kernel is None else self.kernel
        return source.tangent(X, self.layers)

    @property
    def has_mean(self) -> bool:
        """Whether the prior mean is anything but zero."""
        return self.mean is not None or self.centre is not None

    def prior_mean(self, X: Tensor) -> Tensor:
        """Prior mean function ``(G, *batch, q)`` at ``X (*batch, q, d)``, differentiable in X."""
        members = self.targets.shape[0]
        if self.mean is not None:
            found = self.mean(X)
            return found.repeat_interleave(members // len(found), 0)
        if self.centre is None:
            return X.new_zeros(1).expand(members, *X.shape[:-1])
        flat = self.centre(X.reshape(-1, X.shape[-1]))[..., 0]
        return flat.unflatten(0, (members, -1)).mean(1).reshape(members, *X.shape[:-1])


class Belief(Protocol):
    """Joint Gaussian belief of each network about some points ``(*batch, q, d)``."""

    @property
    def mean(self) -> Tensor:
        """``(G, *batch, q)``."""
        ...

    @property
    def noise(self) -> Tensor:
        """Posterior mean of the variance of the model's own noise at the points, broadcasting with `mean`."""
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
        """``(G,)`` posterior mean of the squared noise scale; where noise is the same everywhere, its variance."""
        ...

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """Diagnostics ``(G,)`` each: ``log_evidence``, ``prior_sd``, ``noise_sd`` where the engine has them."""
        ...

    @property
    def report(self) -> Mapping[str, float]:
        """Diagnostics of the inference itself, over all networks; empty for a closed form.

        Of draws: ``r_hat`` (largest split R-hat of predictions), ``ess`` (smallest bulk ESS of predictions),
        ``divergences``, ``acceptance``; of a variational fit: ``elbo`` and ``elbo_slope``.
        """
        ...

    @property
    def converged(self) -> bool:
        """Whether `report` lets the result be trusted; True for a closed form."""
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

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """Return what inference from `problem` would, by a shorter way from `posterior` where there is one.

        A pure function of both. `problem` is the one that `posterior` was inferred from, with points added behind.
        """
        ...

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """Rebuild from `MemberPosterior.state`; `problem` is the one that was inferred."""
        ...


def require_gaussian(problem: Problem, name: str) -> None:
    """Refuse a likelihood that a closed form cannot do.

    Raises
    ------
    SurrogateError
        If it is not Gaussian.
    """
    if not problem.likelihood.gaussian:
        raise SurrogateError(
            f"the {name} engine needs Gaussian noise, the likelihood is {problem.likelihood.kind!r}: use "
            'inference="hmc", "nuts", "svi" or "auto"'
        )
