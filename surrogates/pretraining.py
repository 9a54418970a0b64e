"""Training the networks of a pretrained prior, and judging them on data they have not seen."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.scales import integrate_scales
from surrogates.likelihoods import Gaussian
from surrogates.networks import NetworkEnsemble, make_architecture
from surrogates.pretrained import PretrainedPrior
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import versions

NETWORK: Mapping[str, Any] = {"kind": "mlp", "hidden": [64, 32, 16, 8], "activation": "tanh"}
"""That of `PBNN` without a prior. A model with a prior has the prior's architecture in its members without theory too:
another one is to be chosen only where it suits the measured values alone as well."""
_WIDTH = LogGrid(0.01, 3.0, 24)
_NOISE = LogGrid(0.003, 2.0, 28)
_JUDGED = 300
"""Held-out points at most that the prior's width is inferred from: its cost is their number cubed."""


@dataclass(frozen=True, eq=False)
class _Part:
    X: Tensor
    """``(n, d)`` in the unit cube, float32."""
    Y: Tensor
    """``(m, n)`` standardised, float32."""


def data_hash(X: Tensor, Y: Tensor) -> str:
    """SHA-256 (hex) of a data set's numbers in double precision, rows in order."""
    digest = hashlib.sha256()
    for t in (X, Y):
        digest.update(str(tuple(t.shape)).encode())
        digest.update(t.detach().cpu().double().contiguous().numpy().tobytes())
    return digest.hexdigest()


def pretrain(
    X: Tensor,
    Y: Tensor,
    *,
    input_names: Sequence[str],
    low: Sequence[float],
    high: Sequence[float],
    output_names: Sequence[str],
    seed: int,
    network: Mapping[str, Any] = NETWORK,
    members: int = 8,
    epochs: int = 300,
    batch_size: int = 256,
    lr: float = 0.01,
    noise_sd: float = 0.1,
    weight_prior: WeightPrior | None = None,
    held_out: float = 0.15,
    groups: Sequence[str] | None = None,
    description: str = "",
    date: str = "",
) -> PretrainedPrior:
    """Train an ensemble of networks on theory.

    Parameters
    ----------
    X
        ``(n, d)`` in physical units, within `low` and `high` (what lies outside is trained on where it lies).
    Y
        ``(n, m)`` in original units.
    input_names, low, high
        ``d`` each: names and physical bounds of the inputs.
    output_names
        ``m``.
    seed
        Of the split, the starting weights and the order of the batches. The global generator is left alone.
    network
        Kind and options, see `surrogates.networks.make_architecture`.
    members
        Networks per output; they differ in their starting weights.
    epochs, batch_size, lr
        Passes over the data by Adam; the step falls to zero over the last two thirds.
    noise_sd
        Noise that the likelihood assumes, in standardised units.
    weight_prior
        Of the starting weights, and what draws them back.
    held_out
        Share of the rows (of the groups, where there are any) that is kept from training, to judge it by.
    groups
        ``n`` labels: rows that must not be divided between the two parts.
    description, date
        For the card.

    Raises
    ------
    SurrogateError
        If the data cannot be used, or training diverges.
    """
    X, Y = torch.as_tensor(X).detach().double().cpu(), torch.as_tensor(Y).detach().double().cpu()
    lower, upper = torch.tensor(list(low), dtype=torch.float64), torch.tensor(list(high), dtype=torch.float64)
    _check(X, Y, input_names, output_names, lower, upper, groups, members, epochs, batch_size, held_out)
    generator = torch.Generator().manual_seed(seed)
    kept, judged = _split(len(X), held_out, groups, generator)

    cube = (X - lower) / (upper - lower)
    shift, spread = Y[kept].mean(0), Y[kept].std(0)
    scale = torch.where(spread > 0, spread, torch.ones_like(spread))
    Z = ((Y - shift) / scale).mT
    weight_prior = WeightPrior() if weight_prior is None else weight_prior
    architecture = make_architecture(network, X.shape[-1], 1)
    start = NetworkEnsemble.draw(architecture, members * Y.shape[-1], prior=weight_prior, generator=generator)
    trained = _train(
        start,
        _Part(cube[kept].float(), Z[:, kept].float()),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        noise_sd=noise_sd,
        prior=weight_prior,
        generator=generator,
    ).map(lambda t: t.double())

    metrics, width, noise = _judge(trained, cube[judged], Z[:, judged], cube[kept], scale, output_names)
    card = {
        "description": description,
        "date": date,
        "data": {"sha256": data_hash(X, Y), "rows": len(X), "trained_on": len(kept), "held_out": len(judged)},
        "groups": None if groups is None else len(set(groups)),
        "metrics": metrics,
        "members": members,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "noise_sd": noise_sd,
        "seed": seed,
        "versions": versions(),
    }
    return PretrainedPrior(
        trained, tuple(input_names), tuple(output_names), lower, upper, shift, scale, width, noise, card
    )


def _check(
    X: Tensor,
    Y: Tensor,
    input_names: Sequence[str],
    output_names: Sequence[str],
    low: Tensor,
    high: Tensor,
    groups: Sequence[str] | None,
    members: int,
    epochs: int,
    batch_size: int,
    held_out: float,
) -> None:
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y) or X.shape[1] != len(input_names) or len(input_names) == 0:
        raise SurrogateError(
            f"pretraining needs X (n, {len(input_names)}) and Y (n, {len(output_names)}), got {tuple(X.shape)} and "
            f"{tuple(Y.shape)}"
        )
    if Y.shape[1] != len(output_names) or len(output_names) == 0:
        raise SurrogateError(f"Y has {Y.shape[1]} columns, but output names are {', '.join(output_names) or 'missing'}")
    for names in (input_names, output_names):
        if len(set(names)) != len(names):
            raise SurrogateError(f"names must differ from each other, got {', '.join(names)}")
    if low.shape != high.shape or len(low) != len(input_names) or not bool((low < high).all()):
        raise SurrogateError(
            f"each of the inputs {', '.join(input_names)} needs low < high, got {low.tolist()} and {high.tolist()}"
        )
    for what, t in (("X", X), ("Y", Y)):
        bad = ~torch.isfinite(t)
        if bool(bad.any()):
            row = int(torch.nonzero(bad)[0, 0])
            raise SurrogateError(f"pretraining data must be finite, but {int(bad.sum())} of {what} are not (row {row})")
    if groups is not None and len(groups) != len(X):
        raise SurrogateError(f"pretraining needs one group for each of {len(X)} rows, got {len(groups)}")
    if members < 1 or epochs < 1 or batch_size < 1 or not 0 < held_out < 1:
        raise SurrogateError(
            "members, epochs and batch_size must be at least 1 and held_out between 0 and 1, got "
            f"{members}, {epochs}, {batch_size} and {held_out}"
        )


def _split(n: int, held_out: float, groups: Sequence[str] | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to judge by, each ascending."""
    labels = list(range(n)) if groups is None else list(groups)
    names = list(dict.fromkeys(labels))
    order = torch.randperm(len(names), generator=generator).tolist()
    size: dict[Any, int] = {}
    for label in labels:
        size[label] = size.get(label, 0) + 1
    away: set[Any] = set()
    rows = 0
    for index in order:
        if rows >= held_out * n:
            break
        away.add(names[index])
        rows += size[names[index]]
    judged = torch.tensor([row for row, label in enumerate(labels) if label in away], dtype=torch.long)
    kept = torch.tensor([row for row, label in enumerate(labels) if label not in away], dtype=torch.long)
    if len(judged) < 2 or len(kept) < 2:
        raise SurrogateError(
            f"pretraining on {len(kept)} rows and judging by {len(judged)} is too little: it needs at least 2 of each, "
            f"in different groups (there are {n} rows in {len(names)} groups)"
        )
    return kept, judged


def _train(
    start: NetworkEnsemble,
    data: _Part,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    noise_sd: float,
    prior: WeightPrior,
    generator: torch.Generator,
) -> NetworkEnsemble:
    n = len(data.X)
    members = start.members // len(data.Y)
    likelihood = Gaussian()
    batches = math.ceil(n / batch_size)
    steps = epochs * batches
    with torch.enable_grad():
        networks = start.map(lambda t: t.detach().clone().requires_grad_())
        parameters = networks.tensors()
        noise = torch.full_like(parameters[0], noise_sd).flatten()[: start.members]
        optimiser = torch.optim.Adam(parameters, lr=lr, fused=True)
        step = 0
        for _ in range(epochs):
            order = torch.randperm(n, generator=generator)
            for rows in order.chunk(batches):
                optimiser.param_groups[0]["lr"] = lr * min(1.0, 1.5 * (steps - step) / steps)
                optimiser.zero_grad()
                targets = data.Y[:, rows].repeat_interleave(members, 0)
                fit = likelihood.log_prob(networks(data.X[rows]), targets, noise, None).sum() * (n / len(rows))
                pull = torch.stack([p.square().sum() for p in parameters]).sum() / prior.map_sd**2
                # By the data's number, so that the size of a step means the same for few rows and for many.
                torch.autograd.backward((0.5 * pull - fit) / n)
                optimiser.step()
                step += 1
    trained = networks.to(parameters[0])
    if not all(bool(torch.isfinite(t).all()) for t in trained.tensors()):
        raise SurrogateError(f"pretraining diverged (lr = {lr}, {epochs} epochs): use a smaller learning rate")
    return trained


def _judge(
    networks: NetworkEnsemble, X: Tensor, Z: Tensor, trained_on: Tensor, scale: Tensor, names: Sequence[str]
) -> tuple[dict[str, dict[str, float]], Tensor, Tensor]:
    """Metrics on the held-out part, and the width around the networks that it speaks for.

    The residuals of each network are a Gaussian process with the tangent kernel (weights that deviate from the
    pretrained ones) and noise; both scales are integrated over their evidence.
    """
    members = networks.members // len(Z)
    layers = tuple(range(networks.depth))
    with torch.no_grad():
        few = X[:_JUDGED]
        away = Z.repeat_interleave(members, 0) - networks(X).squeeze(-1)
        reference = trained_on[:_JUDGED]
        unit = 1 / networks.tangent(reference, layers).diagonal().mean(-1)
        tangent = networks.tangent(few, layers)
        K = unit[:, None, None] * tangent.kernel(tangent)
        found = integrate_scales(K, away[:, :_JUDGED], None, _WIDTH, _NOISE)
        local = found.prior_variance[:, None] * unit[:, None] * networks.tangent(X, layers).diagonal()
        variance = (local + found.noise_variance[:, None]).unflatten(0, (-1, members))
        away = away.unflatten(0, (-1, members))
        mean = away.mean(1)
        total = variance.mean(1) + away.var(1, correction=0)
        nlpd = 0.5 * (torch.log(2 * torch.pi * total) + mean.square() / total).mean(-1) + scale.log()
        rmse = mean.square().mean(-1).sqrt()
        r2 = 1 - mean.square().sum(-1) / (Z - Z.mean(-1, keepdim=True)).square().sum(-1).clamp_min(1e-300)
    metrics = {
        name: {"rmse": float(rmse[i] * scale[i]), "nlpd": float(nlpd[i]), "r2": float(r2[i])}
        for i, name in enumerate(names)
    }
    width = found.prior_variance.unflatten(0, (-1, members)).mean(1).sqrt() * scale
    noise = found.noise_variance.unflatten(0, (-1, members)).mean(1).sqrt() * scale
    return metrics, width, noise
