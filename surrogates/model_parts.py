"""What an ensemble consists of: data and their standardisation, the groups of the mixture, what was inferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from surrogates.components import Component, mixture_weights
from surrogates.inference.base import MemberPosterior, Problem
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.inference.joined import JoinedPosterior
from surrogates.likelihoods import Likelihood
from surrogates.networks import NetworkEnsemble
from surrogates.priors import LogGrid

Mixing = Literal["equal", "evidence"]
"""How the members of an ensemble are weighed."""


class EnsembleParts:
    """Parts of a `surrogates.model.NetworkEnsembleModel`; its subclasses set the attributes when constructed."""

    _components: tuple[Component, ...]
    """Groups of the mixture; the first is that of the networks trained on the data."""
    _layers: tuple[int, ...]
    _likelihood: Likelihood
    _inference: str | Mapping[str, Any]
    """What was asked for."""
    _mixing: Mixing
    _grids: tuple[LogGrid, LogGrid]
    """Of the prior's and the noise's scale."""
    _seed: int
    _dtype: torch.dtype
    _batch_shape: torch.Size
    _X: Tensor
    _Y: Tensor
    _Yvar: Tensor | None
    _shift: Tensor
    _scale: Tensor
    """``(m,)`` each: what standardises the values."""
    _reference: Tensor
    """Points over which the function's prior scale is 1."""
    _posterior: JoinedPosterior | ConditionedPosterior
    """Of all components, or that conditioned on fantasies."""
    _weights: Tensor
    """``(m, members)`` of all components."""
    _fit_s: float

    def _set_data(self, X: Tensor, Y: Tensor, Yvar: Tensor | None) -> None:
        self._X, self._Y = X.detach().double(), Y.detach().double()
        self._Yvar = None if Yvar is None else Yvar.detach().double()

    def _problem_of(self, component: Component) -> Problem:
        base = Problem(
            component.networks,
            self._layers,
            self._X,
            ((self._Y - self._shift) / self._scale).mT,
            None if self._Yvar is None else (self._Yvar / self._scale.square()).mT,
            *self._grids,
            self._reference,
            self._likelihood,
            seed=self._seed,
        )
        return component.problem(base, self.num_outputs)

    def _join(self) -> None:
        """Mix what the components inferred."""
        self._posterior = JoinedPosterior([c.result.posterior for c in self._components], self.num_outputs)
        self._weights = mixture_weights(self._components, self.num_outputs, self._mixing == "evidence")

    def problem(self) -> Problem:
        """Return what the engine of the networks is given: all networks and data, in standardised units."""
        return self._problem_of(self._components[0])

    @property
    def components(self) -> tuple[Component, ...]:
        """Groups of the mixture; the first is that of the networks trained on the data."""
        return self._components

    @property
    def mixture_weights(self) -> Tensor:
        """``(m, members)`` weights of all components' members."""
        return self._weights

    @property
    def num_outputs(self) -> int:
        """Number of outputs `m`."""
        return self._Y.shape[-1]

    @property
    def batch_shape(self) -> torch.Size:
        """Empty, or that of the fantasies this model is conditioned on."""
        return self._batch_shape

    @property
    def train_inputs(self) -> tuple[Tensor]:
        """``(n, d)`` points fitted (fantasies excluded)."""
        return (self._X.to(self._dtype),)

    @property
    def train_targets(self) -> Tensor:
        """``(n, m)`` values fitted, in original units."""
        return self._Y.to(self._dtype)

    @property
    def members(self) -> int:
        """Networks per output in the first component."""
        return self.networks.members // self.num_outputs

    @property
    def networks(self) -> NetworkEnsemble:
        """Networks of the first component, float64, output-major: ``g`` belongs to output ``g // members``."""
        return self._components[0].networks

    @property
    def layers(self) -> tuple[int, ...]:
        """Bayesian layers."""
        return self._layers

    @property
    def likelihood_model(self) -> Likelihood:
        """How values scatter around the networks' outputs."""
        return self._likelihood

    @property
    def scale_grids(self) -> tuple[LogGrid, LogGrid]:
        """Grids of the prior's and the noise's scale, in standardised units."""
        return self._grids

    def standardisation(self, output: int) -> tuple[float, float]:
        """Mean and standard deviation that an output was standardised with."""
        return float(self._shift[output]), float(self._scale[output])

    def measured_variances(self, output: int) -> Tensor | None:
        """``(n,)`` measured variances of one output, or None."""
        return None if self._Yvar is None else self._Yvar[:, output]

    @property
    def member_posterior(self) -> MemberPosterior:
        """What was inferred for all members, in standardised units."""
        return self._posterior
