"""Training of the trunks on curves: cross-entropy plus half the squared error of the probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Categorical
from surrogates.networks import NetworkEnsemble, make_architecture
from surrogates.priors import WeightPrior
from surrogates.saxs.augment import Augmentation
from surrogates.saxs.curves import GriddedCurves, QGrid
from surrogates.saxs.features import CHANNELS, Encoder, Scale

Progress = Callable[[int, int, float], None]
"""Called about a hundred times with steps done, all steps, and the loss of late."""


@dataclass(frozen=True)
class Training:
    """How a classifier is trained."""

    grid: QGrid = field(default_factory=QGrid)
    scale: Scale = "absolute"
    """``"relative"``: intensities are known up to a factor only."""
    members: int = 3
    """Networks, from different starting weights."""
    channels: tuple[int, ...] = (16, 32, 64)
    """Of the convolutions."""
    kernel: int = 5
    pool: int = 2
    hidden: tuple[int, ...] = (64,)
    """Widths of the dense layers; the last are the features that the Bayesian layer sees."""
    epochs: int = 4
    batch_size: int = 64
    lr: float = 0.01
    """Size of Adam's steps; falls to zero over the last half. Our layers divide their weights by the root of their
    inputs: 0.01 here does what 0.001 does elsewhere."""
    start: WeightPrior = field(default_factory=lambda: WeightPrior(weight_sd=1.41, bias_sd=0.1, map_sd=2.0))
    """Starting weights (He et al., 2015, arXiv:1502.01852: rectifiers need a variance of 2) and decay."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    shape_middle: int = 5
    """Width of the middle of the autoencoder that novelty looks at."""
    shape_presentations: int = 1_500_000
    """Curves that its training sees."""
    held_out: float = 0.2
    """Share of the curves that is not trained on: half of it for metrics and temperature, half for novelty."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.members < 1 or self.epochs < 1 or self.batch_size < 1 or not self.lr > 0 or not 0 < self.held_out < 1:
            raise SurrogateError(
                "members, epochs and batch_size must be at least 1, lr positive and held_out between 0 and 1, got "
                f"{self.members}, {self.epochs}, {self.batch_size}, {self.lr} and {self.held_out}"
            )


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus half the squared error of the probabilities, ``(G,)`` means over the curves.

    Parameters
    ----------
    logits
        ``(G, n, classes)``.
    labels
        ``(n,)``.
    """
    n = len(labels)
    entropy = -Categorical(logits.shape[-1]).log_prob(logits, labels, logits.new_ones(()), None) / n
    wanted = functional.one_hot(labels, logits.shape[-1])
    return entropy + 0.5 * (logits.softmax(-1) - wanted).square().sum(-1).mean(-1)


def train_trunks(
    curves: GriddedCurves,
    labels: np.ndarray,
    encoder: Encoder,
    classes: int,
    training: Training,
    progress: Progress | None = None,
) -> NetworkEnsemble:
    """Train all members in one program; deterministic, float32.

    Parameters
    ----------
    curves
        Training part alone.
    labels
        ``(n,)`` from 0.

    Raises
    ------
    SurrogateError
        If training diverges.
    """
    spec = {
        "kind": "convnet",
        "channels_in": CHANNELS,
        "channels": training.channels,
        "kernel": training.kernel,
        "pool": training.pool,
        "hidden": training.hidden,
    }
    architecture = make_architecture(spec, CHANNELS * training.grid.points, classes)
    torch_generator = torch.Generator().manual_seed(training.seed)
    generator = np.random.default_rng([training.seed, 1])
    drawn = NetworkEnsemble.draw(architecture, training.members, prior=training.start, generator=torch_generator)
    targets = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    n = len(curves)
    steps = training.epochs * -(-n // training.batch_size)
    late = 0.0
    with torch.enable_grad():
        trained = drawn.map(lambda t: t.detach().clone().requires_grad_())
        parameters = trained.tensors()
        optimiser = torch.optim.Adam(parameters, lr=training.lr, fused=True)
        step = 0
        for _ in range(training.epochs):
            order = generator.permutation(n)
            for start in range(0, n, training.batch_size):
                rows = np.sort(order[start : start + training.batch_size])
                X = encoder(training.augmentation(curves[rows], generator))
                optimiser.param_groups[0]["lr"] = training.lr * min(1.0, 2 * (steps - step) / steps)
                optimiser.zero_grad(set_to_none=True)
                loss = loss_of(trained(X), targets[rows]).sum()
                decay = torch.stack([p.square().sum() for p in parameters]).sum()
                torch.autograd.backward(loss + 0.5 * decay / (training.start.map_sd**2 * n))
                optimiser.step()
                step += 1
                late += (float(loss.detach()) / training.members - late) / min(step, 100)
                if progress is not None and (step % max(steps // 100, 1) == 0 or step == steps):
                    progress(step, steps, late)
    trained = trained.to(parameters[0])
    if not all(torch.isfinite(t).all() for t in trained.tensors()):
        raise SurrogateError(f"training diverged (lr = {training.lr}): use a smaller learning rate")
    return trained
