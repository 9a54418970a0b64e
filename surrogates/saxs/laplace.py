"""Posterior of the last layer of a classifier, given the trunk: Laplace's approximation, exact in its curvature.

Given the features the model is a multinomial regression: its posterior has one mode, which Newton's method finds, and
with many curves it is close to normal (MacKay, 1992, doi:10.1162/neco.1992.4.5.720). Cost: one pass over the features
for each step, whatever the number of curves.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError
from surrogates.inference.draws import DrawsPosterior
from surrogates.likelihoods import Categorical
from surrogates.networks import NetworkEnsemble
from surrogates.networks.layers import BIAS

_CHUNK = 20_000
_STEPS = 30
_TOLERANCE = 1e-6


def last_layer_posterior(
    networks: NetworkEnsemble,
    features: Tensor,
    labels: Tensor,
    *,
    prior_sd: float = 3.0,
    draws: int = 32,
    seed: int = 0,
) -> DrawsPosterior:
    """Draw last layers from their posterior given features.

    Parameters
    ----------
    networks
        `G` trained networks; Newton's method starts from their last layers.
    features
        ``(G, n, p)`` inputs of the last layer.
    labels
        ``(n,)``.
    prior_sd
        Of the last layer's parameters around zero, in units of ``1 / sqrt(fan_in)``.
    draws, seed
        How many, and of what.

    Returns
    -------
    DrawsPosterior
        ``draws`` equally probable last layers for each network, in the networks' precision. Half of them mirror the
        others about the mode, so that their mean is the mode.

    Raises
    ------
    SurrogateError
        If Newton's method does not arrive.
    """
    if draws < 2 or draws % 2:
        raise SurrogateError(f"draws must be an even number, at least 2, got {draws}")
    last = networks.depth - 1
    weight, bias = (networks.parameters[last][name].double() for name in ("weight", BIAS))
    p = weight.shape[1]
    # Parameters as (p + 1, classes) of features scaled as `Dense` scales them, with a column of ones.
    start = torch.cat([weight, bias.unsqueeze(1)], 1)
    generator = torch.Generator().manual_seed(seed)
    drawn, steps = [], []
    for own, theta in zip(features, start, strict=True):
        mode, factor, taken = _mode(own * p**-0.5, labels, theta, prior_sd**-2)
        normal = torch.randn(mode.numel(), draws // 2, generator=generator, dtype=torch.float64)
        away = torch.linalg.solve_triangular(factor.mT, normal, upper=True).mT.unflatten(-1, mode.shape)
        drawn.append(mode + torch.cat([away, -away]))
        steps.append(taken)
    all_drawn = torch.stack(drawn).unsqueeze(1).to(networks.tensors()[0])
    ones = torch.ones(all_drawn.shape[:3], dtype=all_drawn.dtype)
    classes = networks.architecture.n_outputs
    parameters = {last: {"weight": all_drawn[..., :p, :], BIAS: all_drawn[..., p, :]}}
    report = {"newton_steps": float(max(steps))}
    return DrawsPosterior(networks, (last,), Categorical(classes), parameters, ones, prior_sd * ones, report, True)


def _with_ones(features: Tensor) -> Tensor:
    return functional.pad(features.double(), (0, 1), value=1.0)


def _value(features: Tensor, labels: Tensor, theta: Tensor, precision: float) -> Tensor:
    """Minus the logarithm of the posterior, up to a constant."""
    total = 0.5 * precision * theta.square().sum()
    for h, y in zip(features.split(_CHUNK), labels.split(_CHUNK), strict=True):
        total = total + functional.cross_entropy(_with_ones(h) @ theta, y, reduction="sum")
    return total


def _derivatives(features: Tensor, labels: Tensor, theta: Tensor, precision: float) -> tuple[Tensor, Tensor]:
    """Gradient ``(p + 1, classes)`` and curvature of `_value`, the latter over the flattened parameters."""
    p, classes = theta.shape
    gradient = precision * theta
    curvature = theta.new_zeros(p, classes, p, classes)
    for h, y in zip(features.split(_CHUNK), labels.split(_CHUNK), strict=True):
        h = _with_ones(h)
        probability = torch.softmax(h @ theta, -1)
        gradient = gradient + h.mT @ (probability - functional.one_hot(y, classes))
        for a in range(classes):
            for b in range(a, classes):
                weight = probability[:, a] * ((1.0 if a == b else 0.0) - probability[:, b])
                block = (h * weight.unsqueeze(1)).mT @ h
                curvature[:, a, :, b] += block
                if a != b:
                    curvature[:, b, :, a] += block
    flat = curvature.reshape(p * classes, p * classes)
    flat.diagonal().add_(precision)
    return gradient, flat


def _mode(features: Tensor, labels: Tensor, theta: Tensor, precision: float) -> tuple[Tensor, Tensor, int]:
    """Most probable parameters, Cholesky factor of the curvature there, and the steps that it took."""
    value = _value(features, labels, theta, precision)
    for step in range(_STEPS):
        gradient, curvature = _derivatives(features, labels, theta, precision)
        factor = torch.linalg.cholesky(curvature)
        direction = torch.cholesky_solve(gradient.reshape(-1, 1), factor).reshape(theta.shape)
        promised = float((gradient * direction).sum())
        if promised < _TOLERANCE * theta.numel():
            return theta, factor, step
        size = 1.0
        while (new := _value(features, labels, theta - size * direction, precision)) > value - 1e-4 * size * promised:
            size /= 2
            if size < 1e-6:
                raise SurrogateError(
                    "the posterior of the last layer has no mode that Newton's method finds: are there labels of all "
                    "classes, and features without infinite values?"
                )
        theta, value = theta - size * direction, new
    raise SurrogateError(
        f"Newton's method did not arrive within {_STEPS} steps at the last layer's most probable value"
    )
