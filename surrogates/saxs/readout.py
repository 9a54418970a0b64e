"""A network that is its last layer alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from surrogates.networks.layers import Dense, Layer


@dataclass(frozen=True)
class Readout:
    """A linear layer on features that come from elsewhere; see `surrogates.networks.Architecture`."""

    n_inputs: int
    n_outputs: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The one layer, ``output``."""
        return (Dense("output", self.n_inputs, self.n_outputs),)

    def enter(self, X: Tensor) -> Tensor:
        """Return features as they are."""
        return X
