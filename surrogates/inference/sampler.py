"""Hamiltonian Monte Carlo with many chains in one program.

All chains of a network share one step size and one diagonal mass matrix, adapted from all of them, and all chains of
all networks the number of leapfrog steps (they move in lockstep), which is drawn anew in every iteration around a
length that is adapted by the ChEES criterion (Hoffman, Radul & Sountsov, AISTATS 2021, PMLR 130:3907).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

_DIVERGED = 1000.0


class Density(Protocol):
    """Log densities of ``C = groups * chains`` vectors."""

    groups: int

    def __call__(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Log density ``(C,)`` and gradient ``(C, D)``."""
        ...

    def gradient(self, q: Tensor) -> Tensor:
        """Gradient ``(C, D)``."""
        ...


@dataclass(frozen=True)
class Tuning:
    step: Tensor
    """``(G,)`` leapfrog step, in units of `scale`."""
    scale: Tensor
    """``(G, D)`` posterior standard deviations: the inverse roots of the mass matrix."""
    length: float
    """Mean number of leapfrog steps times mean step: the trajectories' length in units of `scale`."""


@dataclass(frozen=True)
class Chains:
    draws: Tensor
    """``(draws, C, D)``."""
    tuning: Tuning
    acceptance: float
    divergences: float
    """Fraction of the draws' trajectories."""
    steps: int
    """Gradients per chain, warm-up included."""


@dataclass
class _State:
    q: Tensor
    log_prob: Tensor
    gradient: Tensor


@dataclass
class _Move:
    state: _State
    proposal: Tensor
    velocity: Tensor
    accept: Tensor
    diverged: Tensor


class Sampler:
    def __init__(self, density: Density, generator: torch.Generator, *, max_steps: int, target_accept: float) -> None:
        self._density, self._generator = density, generator
        self._max_steps, self._target = max_steps, target_accept
        self._n = 0
        self.steps = 0

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self._generator, dtype=like.dtype).to(like.device)

    def _uniform(self, like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=self._generator, dtype=like.dtype).to(like.device)

    def _jitter(self) -> float:
        """Van der Corput's sequence in base 2, in (0, 2): lengths fill the range more evenly than random ones."""
        self._n += 1
        n, place, found = self._n, 0.5, 0.0
        while n:
            n, bit = divmod(n, 2)
            found += bit * place
            place /= 2
        return 2 * found

    def begin(self, q: Tensor) -> _State:
        log_prob, gradient = self._density(q)
        return _State(q, log_prob, gradient)

    def move(self, state: _State, tuning: Tuning) -> tuple[_Move, float]:
        groups, chains = self._density.groups, len(state.q) // self._density.groups
        jitter = self._jitter()
        wanted = jitter * tuning.length / float(tuning.step.mean())
        steps = max(1, min(math.ceil(wanted), self._max_steps))
        # Kick and drift in the original coordinates: momenta are velocities in units of `scale`.
        es = (tuning.step.unsqueeze(-1) * tuning.scale).repeat_interleave(chains, 0)
        p = self._normal(state.q)
        kinetic = p.square().sum(-1)
        q = state.q.clone()
        p.addcmul_(es, state.gradient, value=0.5)
        for i in range(steps):
            q.addcmul_(es, p)
            if i < steps - 1:
                p.addcmul_(es, self._density.gradient(q))
        log_prob, gradient = self._density(q)
        p.addcmul_(es, gradient, value=0.5)
        self.steps += steps
        gain = (log_prob - state.log_prob) + 0.5 * (kinetic - p.square().sum(-1))
        gain = torch.nan_to_num(gain, nan=-math.inf)
        accept = gain.clamp_max(0.0).exp()
        taken = self._uniform(accept) < accept
        column = taken.unsqueeze(-1)
        new = _State(
            torch.where(column, q, state.q),
            torch.where(taken, log_prob, state.log_prob),
            torch.where(column, gradient, state.gradient),
        )
        return _Move(new, q, p, accept, gain < -_DIVERGED), jitter

    def warm_up(self, state: _State, iterations: int, tuning: Tuning) -> tuple[_State, Tuning]:
        """Adapt."""
        groups = self._density.groups
        shape = (groups, -1, state.q.shape[-1])
        averager = DualAveraging(tuning.step, self._target)
        log_length = math.log(tuning.length)
        first, second = 0.0, 0.0  # Adam
        log_average, weight = 0.0, 0.0
        mean_sum = torch.zeros_like(tuning.scale)
        square_sum = torch.zeros_like(tuning.scale)
        count = 0.0
        next_update = 10
        for t in range(iterations):
            scale = tuning.scale
            before = state.q
            moved, jitter = self.move(state, tuning)
            state = moved.state
            accept = moved.accept.view(groups, -1)
            step = averager.update(accept.mean(-1))
            # ChEES, in units of `scale`
            inverse = (1 / scale).unsqueeze(1)
            a, b = before.view(shape) * inverse, torch.nan_to_num(moved.proposal).view(shape) * inverse
            a, b = a - a.mean(1, keepdim=True), b - (accept.unsqueeze(-1) * b).sum(1, keepdim=True) / accept.sum(
                1
            ).clamp_min(1e-6).view(-1, 1, 1)
            change = b.square().sum(-1) - a.square().sum(-1)
            along = (b * torch.nan_to_num(moved.velocity).view(shape)).sum(-1)
            good = accept * torch.isfinite(change * along)
            signal = jitter * (good * torch.nan_to_num(change * along)).sum() / good.sum().clamp_min(1e-6)
            signal = float(signal) * tuning.length
            first = 0.9 * first + 0.1 * signal
            second = 0.95 * second + 0.05 * signal**2
            k = t + 1
            rate = 0.05
            if second > 0:
                log_length += rate * (first / (1 - 0.9**k)) / (math.sqrt(second / (1 - 0.95**k)) + 1e-12)
            log_length = min(max(log_length, math.log(float(step.mean()))), math.log(float(step.mean()) * self._max_steps / 2))
            w = (t + 1) ** -0.5
            log_average = w * log_length + (1 - w) * log_average
            # mass matrix
            chains = state.q.view(shape)
            mean_sum += chains.mean(1)
            square_sum += chains.square().mean(1)
            count += 1
            if t + 1 == next_update and t < 0.9 * iterations:
                mean = mean_sum / count
                variance = square_sum / count - mean.square()
                scale = variance.clamp_min(1e-6).sqrt()
                change = (scale / tuning.scale).log().mean(-1).exp()
                mean_sum.zero_(), square_sum.zero_()
                count = 0.0
                next_update = math.ceil(1.5 * next_update)
                averager = DualAveraging(step, self._target)
            tuning = Tuning(step, scale, math.exp(log_length))
        return state, replace(tuning, step=averager.average(), length=math.exp(log_average))


class DualAveraging:
    """Nesterov's, as in Hoffman & Gelman (2014), section 3.2, for many step sizes at once."""

    def __init__(self, step: Tensor, target: float) -> None:
        self._mu = step.log() + math.log(2.0)
        self._error = torch.zeros_like(step)
        self._log_average = step.log()
        self._target, self._t = target, 0

    def update(self, accept: Tensor) -> Tensor:
        self._t += 1
        eta = 1 / (self._t + 10)
        self._error = (1 - eta) * self._error + eta * (self._target - accept)
        log_step = self._mu - math.sqrt(self._t) / 0.05 * self._error
        weight = self._t**-0.75
        self._log_average = weight * log_step + (1 - weight) * self._log_average
        return log_step.exp()

    def average(self) -> Tensor:
        return self._log_average.exp()


def sample(
    density: Density, start: Tensor, generator: torch.Generator, *, warmup: int, draws: int, max_steps: int, target_accept: float
) -> Chains:
    sampler = Sampler(density, generator, max_steps=max_steps, target_accept=target_accept)
    G, D = density.groups, start.shape[-1]
    state = sampler.begin(start)
    tuning = Tuning(start.new_full((G,), 0.02), start.new_ones(G, D), 0.2)
    state, tuning = sampler.warm_up(state, warmup, tuning)
    kept, accepts, diverged = [], [], []
    for _ in range(draws):
        moved, _ = sampler.move(state, tuning)
        state = moved.state
        kept.append(state.q)
        accepts.append(moved.accept.mean())
        diverged.append(moved.diverged.float().mean())
    return Chains(torch.stack(kept), tuning, float(torch.stack(accepts).mean()), float(torch.stack(diverged).mean()), sampler.steps)
