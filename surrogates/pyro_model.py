"""A network of a PBNN as a Pyro model, so that Pyro's own samplers and guides can be run on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks import ACTIVATIONS
from surrogates.priors import LogGrid

if TYPE_CHECKING:
    from surrogates.pbnn import PBNN


def network_model(
    model: PBNN,
    X: Tensor,
    Y: Tensor | None = None,
    *,
    member: int = 0,
    output: int = 0,
    weight_sd: float | Tensor | None = None,
    noise_sd: float | Tensor | None = None,
) -> Tensor:
    """Run one network with its Bayesian layers drawn: the exact network, where `PBNN` linearises.

    Samples ``weight.<layer>``, ``bias.<layer>``, ``log_weight_sd`` and ``log_noise_sd`` (uniform, where not given) and
    ``y``; records ``f``.

    Parameters
    ----------
    X
        ``(n, d)`` in the unit cube.
    Y
        ``(n, 1)`` values of this output in original units, or None to draw them.
    member, output
        Which network.
    weight_sd
        Prior standard deviation of weights and biases in units of ``1 / sqrt(fan_in)``; drawn from the model's grid
        by default.
    noise_sd
        In standardised units; drawn from the model's grid by default.

    Returns
    -------
    Tensor
        ``(n,)`` the function in original units.
    """
    if not (0 <= member < model.members and 0 <= output < model.num_outputs):
        raise SurrogateError(
            f"no network (member {member}, output {output}): there are {model.members} members of "
            f"{model.num_outputs} outputs"
        )
    index = output * model.members + member
    networks = model.networks
    prior_grid, noise_grid = model.scale_grids
    unit = model.function_unit(index)
    shift, scale = model.standardisation(output)
    if weight_sd is None:
        weight_sd = _from_grid("weight_sd", prior_grid, math.sqrt(unit))
    if noise_sd is None:
        noise_sd = _from_grid("noise_sd", noise_grid)

    act, _ = ACTIVATIONS[networks.activation]
    h = 2 * X.double() - 1
    for layer in range(networks.depth):
        w, b = networks.weights[layer][index], networks.biases[layer][index, 0]
        if layer in model.layers:
            zero_w, zero_b = torch.zeros_like(w), torch.zeros_like(b)
            w = pyro.sample(f"weight.{layer}", dist.Normal(zero_w, weight_sd + zero_w).to_event(2))
            b = pyro.sample(f"bias.{layer}", dist.Normal(zero_b, weight_sd + zero_b).to_event(1))
        h = h @ w * w.shape[-2] ** -0.5 + b
        if layer < networks.depth - 1:
            h = act(h)
    f = pyro.deterministic("f", shift + scale * h.squeeze(-1))
    sd = noise_sd * scale
    measured = model.measured_variances(output)
    if measured is not None and len(measured) == len(X):
        sd = (sd**2 + measured).sqrt()
    with pyro.plate("data", len(X)):
        pyro.sample("y", dist.Normal(f, sd), obs=None if Y is None else Y.double().squeeze(-1))
    return f


def _from_grid(name: str, grid: LogGrid, unit: float = 1.0) -> Tensor:
    """Draw a scale, in units of `unit`, from the continuous prior that a grid stands for."""
    ends = torch.tensor([grid.low * unit, grid.high * unit], dtype=torch.float64).log()
    if grid.low == grid.high:
        return ends[0].exp()
    scale = pyro.deterministic(name, pyro.sample(f"log_{name}", dist.Uniform(ends[0], ends[1])).exp())
    if grid.median is not None:
        pyro.factor(f"{name}_prior", grid.log_density(scale / unit))
    return scale
