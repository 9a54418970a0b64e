"""The BoTorch side of an ensemble: data in, one Gaussian posterior out, conditioning, fantasies, updates."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Self

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import FantasizeMixin, Model
from botorch.posteriors import Posterior
from botorch.posteriors.gpytorch import GPyTorchPosterior
from botorch.sampling.base import MCSampler
from torch import Tensor

from surrogates.checks import check_points, check_training_data
from surrogates.errors import SurrogateError
from surrogates.inference.base import Belief
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.model_parts import EnsembleParts
from surrogates.posteriors import mixture_distribution, mixture_moments, mixture_noise


class NetworkEnsembleModel(EnsembleParts, Model, FantasizeMixin):
    """What `PBNN` is apart from how its networks are made and kept in files."""

    @property
    def noise_variance(self) -> Tensor:
        """``(m,)`` posterior mean of the variance of the model's own noise over the points fitted, original units."""
        with torch.no_grad():
            own = mixture_noise(self._posterior.evaluate(self._X), self._weights)
        return own.mean(-1).reshape(-1, self.num_outputs).mean(0) * self._scale.square()

    def _expected_variances(self) -> Tensor:
        """``(m,)`` measured variance expected of a new measurement: the mean of those so far, or none."""
        return torch.zeros_like(self._scale) if self._Yvar is None else self._Yvar.mean(0)

    def _noise_at(self, belief: Belief, measured: Tensor) -> Tensor:
        """``(*batch, m, q)`` own noise and measured variances ``(*batch, q or 1, m)``, in original units."""
        return self._scale.square().unsqueeze(-1) * mixture_noise(belief, self.mixture_weights) + measured.mT

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """Joint posterior over the `q` points of each batch.

        Parameters
        ----------
        X
            ``(*batch, q, d)`` in the unit cube; batches broadcast with `batch_shape`.
        output_indices
            Outputs wanted; all by default.
        observation_noise
            True adds the model's own noise and the mean of the measured variances; a tensor ``(*batch, q, m)`` of
            variances is added as it is.
        posterior_transform
            Applied to the result.
        """
        check_points(X, self._X.shape[-1])
        outputs = list(range(self.num_outputs)) if output_indices is None else list(output_indices)
        belief = self._posterior.evaluate(X.double())
        noise: Tensor | None = None
        if isinstance(observation_noise, Tensor):
            noise = observation_noise.double().mT
            noise = noise if noise.shape[-2] == len(outputs) else noise[..., outputs, :]
        elif observation_noise:
            noise = self._noise_at(belief, self._expected_variances().unsqueeze(0))[..., outputs, :]
        distribution = mixture_distribution(
            belief,
            self.mixture_weights,
            outputs,
            shift=self._shift[outputs],
            scale=self._scale[outputs],
            noise=noise,
            dtype=X.dtype,
        )
        posterior = GPyTorchPosterior(distribution)
        return posterior if posterior_transform is None else posterior_transform(posterior=posterior, X=X)

    def covariance_with(self, Z: Tensor, *, output: int = 0) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Prepare the covariance of an output with its values at fixed points ``Z (k, d)``.

        The fixed points are evaluated once, and neither their own covariance nor that of the other points is formed:
        what an acquisition function that looks at the whole space asks for again and again while it is maximised.

        Returns
        -------
        callable
            ``X (n, d)`` to the posterior mean ``(n,)``, variance ``(n,)`` and covariance ``(n, k)`` in original units,
            without noise, differentiable in X.
        """
        if self.batch_shape:
            raise SurrogateError(f"covariance_with needs a model without fantasies, got batch shape {self.batch_shape}")
        check_points(Z, self._X.shape[-1])
        with torch.no_grad():
            fixed = self._posterior.evaluate(Z.double())

        def at(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            check_points(X, self._X.shape[-1])
            mean, variance, covariance = mixture_moments(
                self._posterior.evaluate(X.double()), fixed, self.mixture_weights
            )
            shift, scale = self._shift[output], self._scale[output]
            found = (
                shift + scale * mean[output],
                scale.square() * variance[output],
                scale.square() * covariance[output],
            )
            return tuple(t.to(X.dtype) for t in found)  # type: ignore[return-value]

        return at

    def condition_on_observations(self, X: Tensor, Y: Tensor, noise: Tensor | None = None, **kwargs: Any) -> Self:
        """Model given further values, scales kept: exact Gaussian algebra for each member.

        Parameters
        ----------
        X
            ``(*batch', q, d)``.
        Y
            ``(*batch, q, m)`` in original units; may have batch dimensions in front that X lacks.
        noise
            Measured variances of `Y`, in original units (broadcast); the model's own noise is added. By default the
            mean of the measured variances the model was fitted with.
        """
        check_points(X, self._X.shape[-1])
        if Y.shape[-1] != self.num_outputs or Y.shape[-2] != X.shape[-2]:
            raise SurrogateError(
                f"values {tuple(Y.shape)} do not belong to points {tuple(X.shape)} of a model with "
                f"{self.num_outputs} outputs"
            )
        measured = self._expected_variances() if noise is None else noise.double()
        model = copy.copy(self)
        batch = torch.broadcast_shapes(self.batch_shape, Y.shape[:-2], X.shape[:-2])
        model._batch_shape = batch
        if X.shape[-2] == 0:
            return model

        def per_network(t: Tensor) -> Tensor:
            return t.movedim(-1, 0).repeat_interleave(self._weights.shape[-1], 0)

        Y = Y.expand(*batch, *Y.shape[-2:])
        model._posterior = ConditionedPosterior(
            self._posterior,
            X.double(),
            per_network((Y.double() - self._shift) / self._scale),
            per_network((measured / self._scale.square()).expand(Y.shape)),
        )
        return model

    def fantasize(self, X: Tensor, sampler: MCSampler, observation_noise: Tensor | None = None, **kwargs: Any) -> Self:
        """Model given values drawn at ``X (*batch, q, d)``; its batch is ``(*sampler.sample_shape, *batch)``.

        `observation_noise` ``(*batch, q or 1, m)`` replaces the measured variance of the values (the model's own
        noise is always added).
        """
        measured = self._expected_variances() if observation_noise is None else observation_noise.double()
        if X.shape[-2] == 0:
            shape = (
                *sampler.sample_shape,
                *torch.broadcast_shapes(X.shape[:-2], self.batch_shape),
                0,
                self.num_outputs,
            )
            return self.condition_on_observations(X, X.new_empty(shape), measured)
        belief = self._posterior.evaluate(X.double())
        total = self._noise_at(belief, measured.expand(*X.shape[:-1], self.num_outputs)).mT
        values = sampler(self.posterior(X, observation_noise=total))
        return self.condition_on_observations(X, values, measured)

    def update(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Self:
        """Model with further measurements ``(k, d)``, ``(k, m)`` and their variances.

        The trunks are kept; the chosen layers and the scales follow as they would from all data, by the engine's own
        shortest way. `self` is unchanged, and updating it twice gives what updating it once with all points gives.
        """
        if isinstance(self._posterior, ConditionedPosterior):
            raise SurrogateError("a model conditioned on fantasies cannot be updated: update the model it came from")
        if (Yvar is None) != (self._Yvar is None):
            raise SurrogateError("an update needs measured variances exactly where the model was fitted with them")
        check_training_data(X, Y, Yvar, at_least=1)
        if X.shape[-1] != self._X.shape[-1] or Y.shape[-1] != self.num_outputs:
            raise SurrogateError(
                f"an update needs points with {self._X.shape[-1]} inputs and {self.num_outputs} outputs, got "
                f"{X.shape[-1]} and {Y.shape[-1]}"
            )
        began = time.perf_counter()
        model = copy.copy(self)
        model._set_data(
            torch.cat([self._X, X.double()]),
            torch.cat([self._Y, Y.double()]),
            None if Yvar is None or self._Yvar is None else torch.cat([self._Yvar, Yvar.double()]),
        )
        model._components = tuple(c.update(model._problem_of(c)) for c in self._components)
        model._join()
        model._fit_s = time.perf_counter() - began
        return model
