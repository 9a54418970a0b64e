"""The model that all sampling engines share, as a log density of flat vectors.

The chosen layers' parameters are ``theta ~ N(centre, s² unit)`` with `unit` from `prior_unit`; the scale ``s`` and the
noise's standard deviation follow the continuous densities that the problem's grids stand for, between their ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.linear import MarginalLayer
from surrogates.inference.tails import make_tail
from surrogates.likelihoods import Gaussian
from surrogates.networks import BIAS, Dense, Parameters

_MAX_TANGENT = 2**26
"""Entries of the reference points' gradients that are held at a time."""
_MAX_MARGINAL = 129
"""Inputs of an output layer, the bias included, up to which it is integrated out."""


@torch.no_grad()
def prior_unit(problem: Problem) -> Tensor:
    """Prior variance ``(G,)`` of the chosen parameters at which the function's prior sd is about 1.

    The inverse of the tangent kernel's diagonal, averaged over `Problem.reference`, for networks with one head; 1 for
    networks with several, whose heads mean different things.
    """
    networks, layers, reference = problem.networks, problem.layers, problem.reference
    if networks.architecture.n_outputs != 1:
        return reference.new_ones(networks.members)
    if all(isinstance(layer, Dense) for layer in networks.architecture.layers[min(layers) :]):
        return 1 / networks.tangent(reference, layers).diagonal().mean(-1)
    size = sum(t.numel() for i in layers for t in networks.parameters[i].values())
    parts = reference.split(max(_MAX_TANGENT // size, 1))
    return 1 / torch.cat([networks.tangent(part, layers).diagonal() for part in parts], -1).mean(-1)


@dataclass(frozen=True)
class Drawn:
    """Chosen parameters, per layer and name ``(*L, *shape)``, and scales ``(*L,)``, of draws ``L``."""

    parameters: dict[int, Parameters]
    prior_sd: Tensor
    noise_sd: Tensor


class Target:
    """Log posterior of ``C = G * chains`` flat vectors ``(C, dim)``, network by network, and its gradient.

    A vector holds the parameters in units of their prior, ``z = (theta - centre) / (s sqrt(unit))``, and then two
    numbers whose normal distribution functions are the places of ``log s`` and the noise's logarithm between the ends
    of their grids (a known scale is a grid of no extent). A priori every entry is a standard normal number, but for a
    grid's median.

    An output layer that is chosen is integrated out where the noise is Gaussian, which takes from the posterior its
    narrowest directions and its many equivalent maxima; `draw` draws it exactly.
    """

    def __init__(
        self, problem: Problem, chains: int, dtype: torch.dtype = torch.float32, *, marginal: bool = True
    ) -> None:
        networks = problem.networks
        self.groups, self.chains = networks.members, chains
        self._problem, self.dtype = problem, dtype
        self._likelihood = problem.likelihood
        last = networks.depth - 1
        layer = networks.architecture.layers[last]
        within = isinstance(layer, Dense) and layer.fan_in < _MAX_MARGINAL and last in problem.layers
        marginal = marginal and within and isinstance(problem.likelihood, Gaussian)
        stop = last if marginal else networks.depth
        self._tail = make_tail(networks, problem.layers, problem.X, chains=chains, dtype=dtype, stop=stop)
        self._y = self._copies(problem.targets)
        self._variances = None if problem.variances is None else self._copies(problem.variances)
        root_unit = self._copies(prior_unit(problem).sqrt().unsqueeze(-1))
        self._unit_width = root_unit * self._tail.scale
        self._set_grids()
        own = {i: networks.parameters[i] for i in problem.layers}
        centre = own if problem.centre is None else {i: problem.centre.parameters[i] for i in problem.layers}
        zero = 0.0 if problem.centre is None else 1.0
        self._centre = self._copies(zero * self._tail.pack(centre))
        self._trained = self._copies(self._tail.pack(own))
        self._output: MarginalLayer | None = None
        if marginal and isinstance(layer, Dense):
            scale = torch.full_like(root_unit, layer.fan_in**-0.5).repeat(1, layer.fan_in + 1)
            scale[:, -1] = 1.0
            parts = [centre[last]["weight"].squeeze(-1), centre[last][BIAS]]
            middle = self._copies(zero * torch.cat(parts, -1))
            self._output = MarginalLayer(middle * scale, root_unit * scale, scale, self._y, self._variances)
        self._p = self._centre.shape[1]
        self.dim = self._p + 2

    def _copies(self, t: Tensor) -> Tensor:
        return t.to(self.dtype).repeat_interleave(self.chains, 0)

    def _set_grids(self) -> None:
        grids = (self._problem.prior_sd, self._problem.noise_sd)
        new = self._y.new_tensor
        self._low = new([math.log(grid.low) for grid in grids])
        self._span = new([math.log(grid.high / grid.low) for grid in grids])
        if not self._likelihood.has_noise:
            self._low[1] = self._span[1] = 0.0
        self._median = new([0.0 if grid.median is None else math.log(grid.median) for grid in grids])
        self._weight = new([0.0 if grid.median is None else grid.log_sd**-2 for grid in grids])
        self._slope = self._span / math.sqrt(2 * math.pi)

    def gradient(self, q: Tensor) -> Tensor:
        """Gradient ``(C, dim)`` of the log density."""
        return self._evaluate(q, value=False)[1]

    def __call__(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Log density ``(C,)``, up to a constant, and its gradient ``(C, dim)``."""
        return self._evaluate(q, value=True)

    def _logs(self, u: Tensor) -> Tensor:
        return torch.addcmul(self._low, self._span, torch.special.ndtr(u))

    def _evaluate(self, q: Tensor, value: bool) -> tuple[Tensor, Tensor]:
        z, u = q[:, : self._p], q[:, self._p :]
        logs = self._logs(u)
        s, noise = logs.exp().unsqueeze(-1).unbind(1)
        width = self._unit_width * s
        out = self._tail.forward(torch.addcmul(self._centre, width, z))
        if self._output is not None:
            log_prob, slope, of_s, of_noise = self._output(out, s, noise, value)
        else:
            log_prob, slope, of_noise = self._data(out, noise)
            of_s = torch.zeros_like(s)
        pull = self._tail.backward(slope).mul_(width)
        of_s = of_s + (pull * z).sum(-1, keepdim=True)
        away = logs - self._median
        of_logs = torch.cat([of_s, of_noise], 1).addcmul_(self._weight, away, value=-1)
        inner = of_logs.mul_(self._slope).mul_((-0.5 * u.square()).exp_())
        gradient = torch.cat([pull, inner], 1).sub_(q)
        if value:
            log_prob = log_prob - 0.5 * (q.square().sum(-1) + (self._weight * away.square()).sum(-1))
        return log_prob, gradient

    def _data(self, f: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log likelihood ``(C,)``, its gradients by `f` ``(C, heads, n)`` and by the noise's logarithm ``(C, 1)``."""
        if isinstance(self._likelihood, Gaussian) and self._variances is None:
            residual = self._y - f.squeeze(1)
            n = residual.shape[-1]
            slope = residual / noise.square()
            fit = (slope * residual).sum(-1, keepdim=True)
            return (-0.5 * fit - n * noise.log()).squeeze(-1), slope.unsqueeze(1), fit - n
        with torch.enable_grad():
            f, log_noise = f.detach().requires_grad_(), noise.log().requires_grad_()
            sd = log_noise.exp().squeeze(-1)
            log_prob = self._likelihood.log_prob(f.mT, self._y, sd, self._variances)
            slope, of_noise = torch.autograd.grad(log_prob.sum(), (f, log_noise), materialize_grads=True)
        return log_prob.detach(), slope, of_noise

    def start(self, generator: torch.Generator, spread: float) -> Tensor:
        """Draw starting points ``(C, dim)``, `spread` between the trained parameters (0) and draws of the prior (1).

        The prior scale starts around what the trained parameters need, the noise around the middle of its range.
        """
        distance = (self._trained - self._centre) / self._unit_width
        rms = distance.square().mean(-1, keepdim=True).sqrt() if self._p else torch.ones_like(self._y[:, :1])
        middle = self._low + 0.65 * self._span
        wanted = torch.cat([rms.log(), middle[1].expand_as(rms)], 1)
        normal = torch.randn(len(self._y), self.dim, generator=generator, dtype=torch.float64).to(self._y)
        place = (wanted + 0.3 * normal[:, -2:] - self._low) / self._span.clamp_min(1e-6)
        u = torch.special.ndtri(place.clamp(0.05, 0.95))
        s = self._logs(u)[:, :1].exp()
        z = math.sqrt(1 - spread**2) * distance / s + spread * normal[:, :-2]
        return torch.cat([z, u], 1)

    def draw(self, q: Tensor, generator: torch.Generator) -> Drawn:
        """Parameters and scales, double precision, of vectors ``(draws, C, dim)``: ``L = (G, chains, draws)``."""
        drawn: list[Tensor] = []
        scales: list[Tensor] = []
        outputs: list[Tensor] = []
        for each in q:
            logs = self._logs(each[:, self._p :])
            s, noise = logs.exp().unsqueeze(-1).unbind(1)
            flat = torch.addcmul(self._centre, self._unit_width * s, each[:, : self._p])
            if self._output is not None:
                outputs.append(self._output.draw(self._tail.forward(flat), s, noise, generator))
            drawn.append(flat)
            scales.append(logs)

        def arrange(t: list[Tensor]) -> Tensor:
            return torch.stack(t, 1).double().unflatten(0, (self.groups, self.chains))

        parameters = self._tail.unpack(arrange(drawn))
        if self._output is not None:
            theta = arrange(outputs)
            last = self._problem.networks.depth - 1
            parameters[last] = {"weight": theta[..., :-1].unsqueeze(-1), BIAS: theta[..., -1:]}
        prior_sd, noise_sd = arrange(scales).exp().unbind(-1)
        return Drawn(parameters, prior_sd, noise_sd)
