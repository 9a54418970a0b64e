"""The model that all sampling engines share, as a density of flat vectors.

The chosen layers' parameters are ``theta ~ N(centre, s² unit)`` with `unit` from `prior_unit`; the scale ``s`` and the
noise sd follow the continuous densities that the problem's grids stand for, between their ends.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.tails import make_tail
from surrogates.likelihoods import Gaussian
from surrogates.networks import Dense, Parameters
from surrogates.priors import LogGrid

_MAX_TANGENT = 2**26
"""Entries of the reference points' gradients that are held at a time."""


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


class Target:
    """Log posterior of ``C = G * chains`` flat vectors ``(C, D)``, network by network, and its gradient.

    A vector holds the chosen parameters in units of their prior (``z = (theta - centre) / (s sqrt(unit))``: in these
    units the posterior is nearly as wide as the prior whatever the scale, where ``theta`` itself has a funnel), then
    the logarithms of the scales that are not known, prior first, mapped from between their ends to the real line.
    """

    def __init__(self, problem: Problem, chains: int, dtype: torch.dtype = torch.float32) -> None:
        like = problem.X.new_empty(0, dtype=dtype)
        self.groups, self.chains = problem.networks.members, chains
        self._tail = make_tail(problem.networks, problem.layers, problem.X, chains, dtype)
        self._likelihood = problem.likelihood
        self._y = self._copies(problem.targets.to(dtype))
        self._variances = None if problem.variances is None else self._copies(problem.variances.to(dtype))
        self._root_unit = self._copies(prior_unit(problem).sqrt().to(dtype).unsqueeze(-1))
        grids = [problem.prior_sd, problem.noise_sd]
        self._free = [grid.size > 1 for grid in grids]
        self._free[1] = self._free[1] and problem.likelihood.has_noise
        self._known = [math.log(grid.low) for grid in grids]
        chosen = [grid for grid, free in zip(grids, self._free, strict=True) if free]
        self._low = like.new_tensor([math.log(grid.low) for grid in chosen])
        self._span = like.new_tensor([math.log(grid.high / grid.low) for grid in chosen])
        self._median = like.new_tensor([0.0 if grid.median is None else math.log(grid.median) for grid in chosen])
        self._weight = like.new_tensor([0.0 if grid.median is None else grid.log_sd**-2 for grid in chosen])
        own = {i: problem.networks.parameters[i] for i in problem.layers}
        if problem.centre is None:
            centre = {i: {k: torch.zeros_like(t) for k, t in p.items()} for i, p in own.items()}
        else:
            centre = {i: problem.centre.parameters[i] for i in problem.layers}
        self._centre = self._copies(self._tail.pack(centre).to(dtype))
        self._trained = self._copies(self._tail.pack(own).to(dtype))
        self.n_parameters = self._centre.shape[1]
        self.dim = self.n_parameters + len(chosen)

    def _copies(self, t: Tensor) -> Tensor:
        return t.repeat_interleave(self.chains, 0)

    def _scales(self, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit-interval places ``(C, k)`` of the free scales, and the logarithms ``(C, 1)`` of both."""
        place = torch.sigmoid(q[:, self.n_parameters :])
        logs = torch.addcmul(self._low, self._span, place)
        both, column = [], 0
        for free, known in zip(self._free, self._known, strict=True):
            both.append(logs[:, column : column + 1] if free else q.new_full((len(q), 1), known))
            column += free
        return place, both[0], both[1]

    def gradient(self, q: Tensor) -> Tensor:
        """Gradient ``(C, D)`` of the log density."""
        return self._evaluate(q, value=False)[1]

    def __call__(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Log density ``(C,)``, up to a constant, and its gradient ``(C, D)``."""
        return self._evaluate(q, value=True)

    def _evaluate(self, q: Tensor, value: bool) -> tuple[Tensor, Tensor]:
        place, log_s, log_noise = self._scales(q)
        z = q[:, : self.n_parameters]
        width = (log_s.exp() * self._root_unit) * self._tail.scale
        f = self._tail.forward(torch.addcmul(self._centre, width, z))
        log_prob, slope, of_noise = self._data(f, log_noise, value)
        pull = self._tail.backward(slope).mul_(width)
        if not any(self._free):
            gradient = pull - z
            return log_prob - 0.5 * z.square().sum(-1), gradient
        of_logs = [(pull * z).sum(-1, keepdim=True)] if self._free[0] else []
        if self._free[1]:
            of_logs.append(of_noise)
        inner = torch.cat(of_logs, 1) if len(of_logs) > 1 else of_logs[0]
        logs = torch.addcmul(self._low, self._span, place)
        away = logs - self._median
        inner = inner - self._weight * away
        gradient = torch.cat([pull.sub_(z), inner * self._span * (place - place.square()) + (1 - 2 * place)], 1)
        if value:
            jacobian = (place - place.square()).clamp_min(1e-30).log()
            prior = (jacobian - 0.5 * self._weight * away.square()).sum(-1)
            log_prob = log_prob - 0.5 * z.square().sum(-1) + prior
        return log_prob, gradient

    def _data(self, f: Tensor, log_noise: Tensor, value: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Log likelihood ``(C,)``, its gradients by `f` ``(C, heads, n)`` and by the noise's logarithm ``(C, 1)``."""
        if not isinstance(self._likelihood, Gaussian):
            with torch.enable_grad():
                f, log_noise = f.detach().requires_grad_(), log_noise.detach().requires_grad_()
                noise = log_noise.squeeze(-1).exp()
                log_prob = self._likelihood.log_prob(f.mT, self._y, noise, self._variances)
                slope, of_noise = torch.autograd.grad(log_prob.sum(), (f, log_noise), materialize_grads=True)
            return log_prob.detach(), slope, of_noise
        residual = self._y - f.squeeze(1)
        n = residual.shape[-1]
        if self._variances is None:
            precision = (-2 * log_noise).exp()
            slope = precision * residual
            fit = (slope * residual).sum(-1, keepdim=True)
            log_prob = (-0.5 * fit - n * log_noise).squeeze(-1)
            return log_prob, slope.unsqueeze(1), fit - n
        own = (2 * log_noise).exp()
        total = own + self._variances
        slope = residual / total
        of_noise = own * (slope.square() - total.reciprocal()).sum(-1, keepdim=True)
        log_prob = -0.5 * (slope * residual + total.log()).sum(-1) if value else of_noise
        return log_prob, slope.unsqueeze(1), of_noise

    def start(self, generator: torch.Generator, spread: float, trained: float) -> Tensor:
        """Starting points ``(C, D)``: `trained` times the trained parameters plus `spread` times draws of the prior.

        The scales start all over the middle of their ranges.
        """
        normal = torch.randn(len(self._y), self.dim, generator=generator, dtype=torch.float64).to(self._y)
        q = spread * normal
        place, log_s, _ = self._scales(q)
        width = log_s.exp() * self._root_unit * self._tail.scale
        q[:, : self.n_parameters] += trained * (self._trained - self._centre) / width
        return q

    def unpack(self, q: Tensor) -> tuple[dict[int, Parameters], Tensor, Tensor]:
        """Parameters ``(*L, C, *shape)``, prior sd and noise sd ``(*L, C)`` of vectors ``(*L, C, D)``."""
        flat = q.reshape(-1, q.shape[-1]).unflatten(0, (-1, len(self._y)))
        parameters, scales = [], []
        for part in flat:
            _, log_s, log_noise = self._scales(part)
            width = log_s.exp() * self._root_unit * self._tail.scale
            parameters.append(torch.addcmul(self._centre, width, part[:, : self.n_parameters]))
            scales.append(torch.cat([log_s, log_noise], 1))
        theta = torch.stack(parameters).view(*q.shape[:-1], -1)
        both = torch.stack(scales).exp().view(*q.shape[:-1], 2)
        return self._tail.unpack(theta), both[..., 0], both[..., 1]
