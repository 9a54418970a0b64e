"""Maximum a posteriori of all members in one program."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Likelihood
from surrogates.networks.ensemble import NetworkEnsemble
from surrogates.priors import WeightPrior


def train_map(
    ensemble: NetworkEnsemble,
    X: Tensor,
    Y: Tensor,
    *,
    likelihood: Likelihood,
    variances: Tensor | None,
    noise_sd: float,
    prior: WeightPrior,
    epochs: int,
    lr: float,
    centre: NetworkEnsemble | None = None,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
) -> NetworkEnsemble:
    """Train every member to its maximum a posteriori by Adam, all in one program.

    Parameters
    ----------
    X
        ``(n, d)`` in the unit cube.
    Y
        ``(G, n)`` standardised targets (or class labels), one row a member.
    variances
        ``(G, n)`` measured variances of the targets, or None.
    noise_sd
        Noise that the likelihood assumes besides `variances`, in standardised units. Larger stops members from
        interpolating noise.
    epochs, lr
        Passes over the data, and the size of Adam's steps; the size falls to zero over the last third, which does what
        averaging weights does.
    centre
        Where the Gaussian prior draws the parameters back to; zero by default.
    batch_size
        Points a step, the same for all members; all of them by default.
    generator
        CPU generator that shuffles the points before each pass. Needed with a `batch_size`; without one no random
        number is drawn.

    Returns
    -------
    NetworkEnsemble
        Same dtype as `ensemble`.
    """
    if batch_size is not None and (batch_size < 1 or generator is None):
        raise SurrogateError(
            f"training in batches needs batch_size >= 1 and a generator, got batch_size = {batch_size}"
        )
    with torch.enable_grad():
        trained = ensemble.map(lambda t: t.detach().clone().requires_grad_())
        parameters = trained.tensors()
        X, Y = X.to(parameters[0]), Y.to(parameters[0])
        variances = None if variances is None else variances.to(Y)
        noise = torch.full_like(Y[:, 0], noise_sd)
        targets = [None] * len(parameters) if centre is None else centre.to(Y).tensors()
        optimiser = torch.optim.Adam(parameters, lr=lr, fused=True)
        steps = epochs * (1 if batch_size is None else math.ceil(len(X) / batch_size))
        for step, batch in enumerate(_batches(len(X), epochs, batch_size, generator)):
            optimiser.param_groups[0]["lr"] = lr * min(1.0, 3 * (steps - step) / steps)
            optimiser.zero_grad()
            own = None if variances is None else variances[:, batch]
            log_prob = likelihood.log_prob(trained(X[batch]), Y[:, batch], noise, own).sum()
            away = [(p if c is None else p - c).square().sum() for p, c in zip(parameters, targets, strict=True)]
            # A batch stands for all points: the prior must not count once for each of them.
            share = len(Y[0, batch]) / len(X)
            torch.autograd.backward(0.5 * share * torch.stack(away).sum() / prior.map_sd**2 - log_prob)
            optimiser.step()
    trained = trained.to(parameters[0])
    if not all(torch.isfinite(t).all() for t in trained.tensors()):
        raise SurrogateError(
            f"training the networks diverged (lr = {lr}, {epochs} epochs): use a smaller learning rate, "
            "and check that the measured variances are not many orders of magnitude apart"
        )
    return trained


def _batches(n: int, epochs: int, size: int | None, generator: torch.Generator | None) -> Iterator[slice | Tensor]:
    """Points of each step."""
    for _ in range(epochs):
        if size is None:
            yield slice(None)
        else:
            yield from torch.randperm(n, generator=generator).split(size)
