"""The BoTorch side of a classifier: draws of networks in, probabilities of classes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors import Posterior
from botorch.posteriors.ensemble import EnsemblePosterior
from torch import Tensor

from surrogates.checks import check_points
from surrogates.errors import SurrogateError
from surrogates.inference.base import MemberPosterior
from surrogates.inference.choice import Inferred
from surrogates.labels import entropy
from surrogates.networks import NetworkEnsemble

_MAX_ENTRIES = 2**22
"""Logits that are held at a time."""


class Draws(MemberPosterior, Protocol):
    """What an engine must return for a classifier."""

    def predictions(self, X: Tensor) -> Tensor:
        """Heads of every draw, ``(G, chains, draws, n, heads)`` at ``X (n, d)``."""
        ...


class ClassModel(Model):
    """What `PBNNClassifier` is apart from how its networks are made; it sets the attributes below."""

    _networks: NetworkEnsemble
    """Float64."""
    _layers: tuple[int, ...]
    _class_names: tuple[str, ...]
    _inferred: Inferred
    _draws: Draws
    """The posterior of `_inferred`."""

    def _set_posterior(self, inferred: Inferred) -> None:
        if not hasattr(inferred.posterior, "predictions"):
            raise SurrogateError(
                f"a classifier needs an engine that draws, {inferred.engine.name!r} does not: use inference = "
                '"hmc", "nuts", "svi" or "auto"'
            )
        self._inferred, self._draws = inferred, cast(Draws, inferred.posterior)

    @property
    def num_outputs(self) -> int:
        """Number of classes."""
        return len(self._class_names)

    @property
    def batch_shape(self) -> torch.Size:
        """Empty."""
        return torch.Size()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the labels 0, 1 ..."""
        return self._class_names

    @property
    def members(self) -> int:
        """Networks."""
        return self._networks.members

    @property
    def networks(self) -> NetworkEnsemble:
        """The trunks, float64."""
        return self._networks

    @property
    def layers(self) -> tuple[int, ...]:
        """Bayesian layers."""
        return self._layers

    @property
    def converged(self) -> bool:
        """Whether the inference can be trusted; False is also in `diagnostics`."""
        return self._draws.converged

    @property
    def member_posterior(self) -> MemberPosterior:
        """What the inference engine found."""
        return self._draws

    def _probabilities(self, X: Tensor) -> Tensor:
        """``(S, n, classes)`` of all draws of all members."""
        return torch.softmax(self._draws.predictions(X).flatten(0, 2), -1)

    @torch.no_grad()
    def _chunks(self, X: Tensor) -> Iterator[Tensor]:
        check_points(X, self._networks.architecture.n_inputs)
        if X.ndim != 2:
            raise SurrogateError(f"points must be (n, {self._networks.architecture.n_inputs}), got {tuple(X.shape)}")
        one = self._probabilities(X[:1].double()) if len(X) else X.new_zeros(1)
        for part in X.double().split(max(_MAX_ENTRIES // one.numel(), 1)):
            yield self._probabilities(part)

    def predict_proba(self, X: Tensor) -> Tensor:
        """Posterior mean of the probabilities ``(n, classes)`` at ``X (n, d)``."""
        return torch.cat([p.mean(0) for p in self._chunks(X)]).to(X.dtype)

    def predict(self, X: Tensor) -> Tensor:
        """Most probable label ``(n,)``."""
        return self.predict_proba(X).argmax(-1)

    def entropy(self, X: Tensor) -> Tensor:
        """All uncertainty about the label, in nats ``(n,)``: entropy of `predict_proba`."""
        return torch.cat([entropy(p.mean(0)) for p in self._chunks(X)]).to(X.dtype)

    def mutual_information(self, X: Tensor) -> Tensor:
        """Epistemic part of `entropy`, ``(n,)``; the rest is ambiguous data.

        It is what the label would tell about the networks (Houlsby et al., 2011, arXiv:1112.5745).
        """
        parts = [entropy(p.mean(0)) - entropy(p).mean(0) for p in self._chunks(X)]
        return torch.cat(parts).clamp_min(0.0).to(X.dtype)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """Joint posterior of the probabilities of the classes at the `q` points of each batch.

        Its samples are those of single draws of the networks: a point's probabilities sum to 1, and points vary
        together. Differentiable in X.

        Parameters
        ----------
        X
            ``(*batch, q, d)`` in the unit cube.
        output_indices
            Classes wanted; all by default.
        observation_noise
            Must be False: a probability is never observed.
        posterior_transform
            Applied to the result.
        """
        check_points(X, self._networks.architecture.n_inputs)
        if observation_noise is not False:
            raise SurrogateError("probabilities of classes are not observed: observation_noise must be False")
        flat = self._probabilities(X.double().reshape(-1, X.shape[-1]))
        values = flat.unflatten(1, X.shape[:-1]).movedim(0, -3).to(X.dtype)
        posterior = EnsemblePosterior(values if output_indices is None else values[..., output_indices])
        return posterior if posterior_transform is None else posterior_transform(posterior=posterior, X=X)
