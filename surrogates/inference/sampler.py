"""Hamiltonian Monte Carlo with many chains in one program.

The chains of a network share a step size and a mass matrix that are adapted from all of them, so that a hundred
iterations of warm-up are enough. All chains of all networks move in lockstep: the number of leapfrog steps is drawn
anew in every iteration around a length that is adapted by the ChEES criterion (Hoffman, Radul & Sountsov, 2021, PMLR
130:3907). The mass matrix is a diagonal and a few directions; see `surrogates.inference.mass`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from surrogates.inference.mass import MOST_DIRECTIONS, Mass, Window

_DIVERGED = 1000.0
"""Loss of energy beyond which a trajectory has left the density; as Stan has it."""
_WINDOWS = (0.15, 0.35, 0.65)
"""Fractions of the warm-up after which the mass matrix is estimated anew."""
_EARLY_STEPS = 12
"""Largest number of leapfrog steps before the last of them: long trajectories with a mass matrix that does not last
are not worth it. Before the first, each chain has a step of its own: from a wild start only small ones lead back."""
_GAIN = 0.05
"""Of the adaptation of step sizes, as in Stan. With 0.2 it is nearer to the target, but diverges with heavy tails."""
_CAUTIOUS, _CAUTION = 5, 0.25
"""One trajectory in so many takes steps smaller by this factor: where the density is narrower than it mostly is, chains
stand still with the step that suits the others."""
_RATE = 0.05
"""Of the adaptation of the trajectories' length."""


class Density(Protocol):
    """Log densities of ``C = groups * chains`` vectors."""

    groups: int

    def __call__(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Log density ``(C,)`` and gradient ``(C, D)`` of `q` ``(C, D)``."""
        ...

    def gradient(self, q: Tensor) -> Tensor:
        """Gradient ``(C, D)``."""
        ...


@dataclass(frozen=True)
class Tuning:
    """What warm-up finds out."""

    step: Tensor
    """``(G, 1)`` leapfrog step, of whitened positions; in the beginning ``(G, chains)``."""
    mass: Mass
    length: float
    """Mean length of trajectories: twice that at most."""


@dataclass(frozen=True)
class Chains:
    """What sampling gives."""

    draws: Tensor
    """``(draws, C, D)``."""
    tuning: Tuning
    acceptance: float
    """Mean acceptance probability after warm-up, of the group that has the lowest."""
    divergences: float
    """Fraction of the trajectories after warm-up, of the group that has most."""
    steps: int
    """Leapfrog steps of each chain in all, warm-up included."""


@dataclass(frozen=True)
class _Point:
    q: Tensor
    log_prob: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class _Move:
    end: Tensor
    """``(G, chains, D)``, accepted or not."""
    velocity: Tensor
    """``(G, chains, D)``, whitened."""
    accept: Tensor
    """``(G, chains)``."""
    diverged: Tensor
    jitter: float
    cautious: bool
    """With smaller steps: says nothing about the step size."""


class _StepSize:
    """Dual averaging (Hoffman & Gelman, 2014, JMLR 15:1593, section 3.2.1) of many step sizes."""

    def __init__(self, step: Tensor, target: float) -> None:
        self._middle = step.log() + math.log(2.0)
        self._error = torch.zeros_like(step)
        self._average = step.log()
        self._target, self._t = target, 0

    def update(self, accept: Tensor) -> Tensor:
        """Step to try next, given the acceptance ``(G, chains)`` of the last."""
        self._t += 1
        if self._error.shape != accept.shape:
            accept = accept.mean(-1, keepdim=True)
        weight = 1 / (self._t + 10)
        self._error = (1 - weight) * self._error + weight * (self._target - accept)
        log_step = self._middle - math.sqrt(self._t) / _GAIN * self._error
        weight = self._t**-0.75
        self._average = weight * log_step + (1 - weight) * self._average
        return log_step.exp().clamp(1e-5, 2.0)

    @property
    def average(self) -> Tensor:
        """Step to keep."""
        return self._average.exp().clamp(1e-5, 2.0)


class _Length:
    """Ascent of the ChEES criterion by the logarithm of the trajectories' length (Adam)."""

    def __init__(self, length: float) -> None:
        self._log = self._average = math.log(length)
        self._first = self._second = 0.0
        self._t = 0

    def update(self, begin: Tensor, move: _Move, length: float, shortest: float, longest: float) -> float:
        """Length to try next; `begin`, like all of `move`, whitened."""
        accept = move.accept.unsqueeze(-1)
        finite = torch.isfinite(move.end).all(-1) & torch.isfinite(move.velocity).all(-1)
        end, velocity = (torch.where(finite.unsqueeze(-1), t, 0.0) for t in (move.end, move.velocity))
        away = begin - begin.mean(1, keepdim=True)
        centre = (accept * end).sum(1, keepdim=True) / accept.sum(1, keepdim=True).clamp_min(1e-6)
        change = (end - centre).square().sum(-1) - away.square().sum(-1)
        slope = move.accept * finite * change * ((end - centre) * velocity).sum(-1)
        signal = float(slope.sum() / move.accept.sum().clamp_min(1e-6)) * move.jitter * length
        self._t += 1
        self._first = 0.9 * self._first + 0.1 * signal
        self._second = 0.95 * self._second + 0.05 * signal**2
        size = math.sqrt(self._second / (1 - 0.95**self._t))
        if size > 0 and math.isfinite(size):
            self._log += _RATE * self._first / (1 - 0.9**self._t) / size
        self._log = min(max(self._log, math.log(shortest)), math.log(longest))
        self._average = 0.9 * self._average + 0.1 * self._log
        return math.exp(self._log)

    @property
    def average(self) -> float:
        """Length to keep."""
        return math.exp(self._average)


class Sampler:
    """Chains of one density.

    Parameters
    ----------
    density
        What is sampled.
    generator
        Of all random numbers; a CPU generator.
    max_steps
        Largest number of leapfrog steps of a trajectory.
    target_accept
        Acceptance that the step size is adapted to.
    directions
        Of the mass matrix, beside its diagonal; at most.
    """

    def __init__(
        self,
        density: Density,
        generator: torch.Generator,
        *,
        max_steps: int,
        target_accept: float,
        directions: int = MOST_DIRECTIONS,
    ) -> None:
        self._density, self._generator, self._directions = density, generator, directions
        self._max_steps, self._target = max_steps, target_accept
        self._moves = 0
        self.steps = 0

    def _begin(self, q: Tensor) -> _Point:
        return _Point(q, *self._density(q))

    def _jitter(self) -> float:
        """Van der Corput's sequence, in (0, 2): fills the range more evenly than random numbers do."""
        self._moves += 1
        n, place, found = self._moves, 1.0, 0.0
        while n:
            n, bit = divmod(n, 2)
            found += bit * place
            place /= 2
        return found

    def _move(self, point: _Point, tuning: Tuning, max_steps: int) -> tuple[_Point, _Move]:
        shape = (self._density.groups, -1, point.q.shape[-1])
        chains = len(point.q) // self._density.groups
        jitter = self._jitter()
        wanted = jitter * tuning.length / float(tuning.step.mean())
        steps = max(1, min(math.ceil(wanted), max_steps))
        cautious = self._moves % _CAUTIOUS == 0
        pace = tuning.step * (_CAUTION if cautious else 1.0)
        pace = pace.unsqueeze(-1).expand(-1, chains, -1)
        push = tuning.mass.push()
        p = torch.randn(point.q.shape, generator=self._generator, dtype=torch.float32).to(point.q).view(shape)
        energy = point.log_prob - 0.5 * p.square().sum(-1).flatten()
        q, v = point.q.view(shape).clone(), tuning.mass.velocity(p)
        v.addcmul_(pace, push(point.gradient.view(shape)), value=0.5)
        for i in range(steps):
            q.addcmul_(pace, v)
            if i < steps - 1:
                v.addcmul_(pace, push(self._density.gradient(q.flatten(0, 1)).view(shape)))
        q = q.flatten(0, 1)
        log_prob, gradient = self._density(q)
        v.addcmul_(pace, push(gradient.view(shape)), value=0.5)
        p = tuning.mass.whitened(v)
        self.steps += steps
        gain = torch.nan_to_num(log_prob - 0.5 * p.square().sum(-1).flatten() - energy, nan=-math.inf)
        accept = gain.clamp_max(0.0).exp()
        taken = torch.rand(accept.shape, generator=self._generator, dtype=torch.float64).to(accept) < accept
        row = taken.unsqueeze(-1)
        new = _Point(
            torch.where(row, q, point.q),
            torch.where(taken, log_prob, point.log_prob),
            torch.where(row, gradient, point.gradient),
        )
        diverged = (gain < -_DIVERGED).view(shape[:2])
        return new, _Move(q.view(shape), p, accept.view(shape[:2]), diverged, jitter, cautious)

    def _window(self, q: Tensor, iterations: int) -> Window:
        groups = self._density.groups
        return Window(q[:groups], iterations * len(q) // groups, self._directions)

    def warm_up(self, q: Tensor, iterations: int) -> tuple[Tensor, Tuning]:
        """Move on from `q` ``(C, D)`` and adapt."""
        groups, dim = self._density.groups, q.shape[-1]
        chains = len(q) // groups
        ends = [max(round(f * iterations), 1) for f in _WINDOWS]
        tuning = Tuning(q.new_full((groups, chains), 0.05), Mass.diagonal(q.new_ones(groups, dim)), 1.0)
        step_size, length = _StepSize(tuning.step, self._target), _Length(tuning.length)
        point = self._begin(q)
        window = self._window(q, ends[0])
        for t in range(iterations):
            begin = point.q
            allowed = self._max_steps if t >= ends[-1] else min(_EARLY_STEPS, self._max_steps)
            point, move = self._move(point, tuning, allowed)
            if not move.cautious:
                tuning = replace(tuning, step=step_size.update(move.accept))
            if t >= ends[-2] and not move.cautious:
                shortest, white = float(tuning.step.mean()), tuning.mass.whitened
                tuning = replace(
                    tuning,
                    length=length.update(
                        white(begin.view_as(move.end)),
                        replace(move, end=white(move.end)),
                        tuning.length,
                        shortest,
                        0.5 * shortest * self._max_steps,
                    ),
                )
            window.add(point.q, point.gradient)
            if t + 1 in ends:
                mass = window.mass()
                # The narrower the density, the larger the force: the step follows it.
                slope = point.gradient.view_as(move.end)
                before, after = (m.force(slope).square().sum((1, 2)).clamp_min(1e-20) for m in (tuning.mass, mass))
                step = step_size.average.median(-1, keepdim=True).values * (before / after).sqrt().unsqueeze(-1)
                tuning = replace(tuning, step=step.nan_to_num(0.02).clamp(0.02, 0.5), mass=mass)
                step_size = _StepSize(tuning.step, self._target)
                window = self._window(q, min([end for end in ends if end > t + 1], default=iterations) - t - 1)
        if iterations:
            tuning = replace(tuning, step=step_size.average, length=length.average)
        return point.q, tuning

    def sample(self, q: Tensor, tuning: Tuning, draws: int, *, thin: int = 1) -> Chains:
        """Keep every `thin`-th of ``draws * thin`` moves from `q` ``(C, D)``."""
        point = self._begin(q)
        kept, accepts, diverged = [], [], []
        for t in range(draws * thin):
            point, move = self._move(point, tuning, self._max_steps)
            if t % thin == thin - 1:
                kept.append(point.q)
            if not move.cautious:
                accepts.append(move.accept.mean(-1))
            diverged.append(move.diverged.double().mean(-1))
        return Chains(
            torch.stack(kept),
            tuning,
            float(torch.stack(accepts).mean(0).min()),
            float(torch.stack(diverged).mean(0).max()),
            self.steps,
        )
