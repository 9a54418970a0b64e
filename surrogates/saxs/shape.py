"""Which curves training could have made: an autoencoder whose narrow middle holds what known curves vary by.

It sees what the classifier sees and gives log I back. What it cannot give back, in units of the curve's own error bars,
says that the shape is new. Neighbouring bins are taken together: noise averages out in a group, a shape does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks import NetworkEnsemble, make_architecture
from surrogates.networks.architecture import Architecture
from surrogates.priors import WeightPrior
from surrogates.saxs.augment import Augmentation
from surrogates.saxs.curves import Floats, GriddedCurves
from surrogates.saxs.features import CHANNELS, Encoder, level_and_precision
from surrogates.storage import named_parameters, read_parameters

_MIN_SNR = 2.0
"""Bins with less are left out: log I means nothing there."""
_MODEL_SD = 0.02
"""Standard deviation of log I that the autoencoder need not get right while it is trained."""
_LEAST_SD = 0.002
_GROUP = 16
"""Bins that are taken together."""
_WIDTHS = (128, 64)
_BATCH = 128
_LR = 0.005


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """An autoencoder, and what it leaves over of curves that it was not trained on."""

    encoder: Encoder
    networks: NetworkEnsemble
    """One."""
    variance: Floats
    """``(points,)`` of log I that it leaves over beside noise."""

    @classmethod
    def fit(
        cls,
        curves: GriddedCurves,
        encoder: Encoder,
        *,
        seed: int,
        middle: int = 5,
        presentations: int = 1_500_000,
        augmentation: Augmentation | None = None,
    ) -> Self:
        """Train on known curves; a twentieth of them (at most 5000) tells what is left over.

        Parameters
        ----------
        middle
            Width of the narrowest layer: about as many numbers as known curves vary by. With more, strange curves are
            given back as well.
        presentations
            Curves that training sees, the same ones again and again if need be.
        augmentation
            See `Augmentation`.

        Raises
        ------
        SurrogateError
            With fewer than 40 curves.
        """
        n, points = curves.measured.shape
        if n < 40:
            raise SurrogateError(f"the autoencoder of novelty needs at least 40 curves, got {n}")
        change = augmentation or Augmentation()
        generator = np.random.default_rng([seed, 2])
        order = generator.permutation(n)
        judged, own = np.sort(order[: min(n // 20, 5000)]), order[min(n // 20, 5000) :]
        drawn = NetworkEnsemble.draw(
            _architecture(points, middle),
            1,
            prior=WeightPrior(weight_sd=1.41, bias_sd=0.1),
            generator=torch.Generator().manual_seed(seed),
        )
        steps = max(presentations // _BATCH, 1)
        with torch.enable_grad():
            trained = drawn.map(lambda t: t.detach().clone().requires_grad_())
            optimiser = torch.optim.Adam(trained.tensors(), lr=_LR, fused=True)
            for step in range(steps):
                rows = np.sort(own[generator.integers(0, len(own), _BATCH)])
                batch = change(curves[rows], generator)
                standard, spread, used = _target(batch, encoder)
                sd = torch.from_numpy(encoder.sd[0]).float()
                away = (standard - trained(encoder(batch))[0]) * sd
                squared = (away.square() * used / (spread.square() + _MODEL_SD**2)).sum(1) / used.sum(1).clamp_min(1)
                optimiser.param_groups[0]["lr"] = _LR * min(1.0, 2 * (steps - step) / steps)
                optimiser.zero_grad(set_to_none=True)
                # The logarithm: long exposures, whose chi squared is large, must not be all that counts.
                torch.log1p(squared).mean().backward()
                optimiser.step()
        made = cls(encoder, trained.to(trained.tensors()[0]), np.zeros(points))
        part = curves[judged]
        left, noise, seen = made._left_over(part, encoder(part))
        excess = np.where(seen, np.clip(np.square(left) - np.square(noise), 0.0, None), np.nan)
        excess[:, ~seen.any(0)] = 0.0
        return cls(encoder, made.networks, np.maximum(np.nanquantile(excess, 0.7, axis=0), _LEAST_SD**2))

    def scores(self, curves: GriddedCurves, X: Tensor) -> Floats:
        """Return the logarithm of the mean squared excess over groups of bins, ``(n,)``; 0 where no bin can be used.

        Parameters
        ----------
        X
            What the encoder makes of the curves.
        """
        away, spread, used = self._left_over(curves, X)
        weight = used / (np.square(spread) + self.variance)
        n, points = away.shape
        pad = -points % _GROUP
        pulled, total = (
            np.pad(t, ((0, 0), (0, pad))).reshape(n, (points + pad) // _GROUP, _GROUP).sum(2)
            for t in (away * weight, weight)
        )
        squared = np.square(pulled) / np.maximum(total, 1e-12)
        groups = (total > 0).sum(1)
        found: Floats = np.log1p(squared.sum(1) / np.maximum(groups, 1))
        return found

    @torch.no_grad()
    def _left_over(self, curves: GriddedCurves, X: Tensor) -> tuple[Floats, Floats, np.ndarray]:
        """Difference of log I, its standard deviation, and the bins that mean something, ``(n, points)`` each."""
        standard, spread, used = _target(curves, self.encoder)
        away = (standard - self.networks(X)[0]).double().numpy() * self.encoder.sd[0]
        return away, spread.double().numpy(), used.numpy() > 0

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` rebuilds this."""
        return {**named_parameters("network", self.networks), "variance": torch.from_numpy(self.variance)}

    @classmethod
    def restore(cls, state: Mapping[str, Tensor], encoder: Encoder) -> Self:
        """Rebuild from `state`."""
        middle = state[f"network.dense{len(_WIDTHS)}.weight"].shape[-1]
        points = encoder.mean.shape[-1]
        networks = read_parameters("network", _architecture(points, middle), state)
        return cls(encoder, networks, state["variance"].numpy())


def _architecture(points: int, middle: int) -> Architecture:
    hidden = (*_WIDTHS, middle, *reversed(_WIDTHS))
    return make_architecture({"kind": "mlp", "hidden": hidden, "activation": "silu"}, CHANNELS * points, points)


def _target(curves: GriddedCurves, encoder: Encoder) -> tuple[Tensor, Tensor, Tensor]:
    """Log I as the encoder standardises it, its standard deviation, and 1 where it means something, float32."""
    level, _ = level_and_precision(curves, encoder.scale)
    snr = curves.intensity / curves.sigma
    used = curves.measured & (snr > _MIN_SNR)
    standard = np.where(used, (level - encoder.mean[0]) / encoder.sd[0], 0.0)
    spread = 1 / np.sqrt(4 + np.square(snr))
    return (*(torch.from_numpy(np.asarray(t, dtype=np.float32)) for t in (standard, spread, used)),)  # type: ignore[return-value]
