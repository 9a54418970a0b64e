"""Hamiltonian Monte Carlo over the chosen layers of all networks in one program: any layers, any likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import MemberPosterior, Problem
from surrogates.inference.diagnose import judged
from surrogates.inference.draws import DrawsPosterior
from surrogates.inference.mass import Mass
from surrogates.inference.sampler import Chains, Sampler, Tuning
from surrogates.inference.target import Drawn, Target
from surrogates.networks import Dense, Parameters

_CHAINS = "chains."
_FREE = 2**17
"""Activations, of all chains and points, up to which a leapfrog step takes hardly longer than that of one chain."""
_FEWEST, _MOST = 8, 32
_MIN_WEIGHED = 0.3
"""Kish's efficiency of reweighed draws below which an update samples anew."""


@dataclass(frozen=True)
class HMCPosterior(DrawsPosterior):
    """Draws, and where and how the chains go on."""

    chains: Mapping[str, Tensor] = field(default_factory=dict)
    """``position`` ``(G * chains, D)``, ``step`` ``(G, 1)``, ``scale`` ``(G, D)``, ``directions`` ``(G, D, k)``,
    ``stretch`` ``(G, k)``, ``length`` ``()``, and ``n`` ``()``: the number of points seen."""

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        return super().state() | {f"{_CHAINS}{name}": t for name, t in self.chains.items()}

    @classmethod
    def restore(cls, problem: Problem, state: Mapping[str, Tensor]) -> Self:
        """See `Engine`."""
        chains = {k.removeprefix(_CHAINS): t for k, t in state.items() if k.startswith(_CHAINS)}
        return replace(super().restore(problem, state), chains=chains)

    @property
    def tuning(self) -> Tuning:
        """As warm-up left it."""
        # States of before there were directions have none.
        mass = Mass.diagonal(self.chains["scale"])
        directions = self.chains.get("directions", mass.directions)
        mass = replace(mass, directions=directions, stretch=self.chains.get("stretch", mass.stretch))
        return Tuning(self.chains["step"], mass, float(self.chains["length"]))


@dataclass(frozen=True)
class HMCEngine:
    """Vectorised Hamiltonian Monte Carlo; see `surrogates.inference.target` and `surrogates.inference.sampler`.

    Chains start between the trained network and draws of the prior, far more spread out than the posterior, so that
    their agreement says something. Trajectories are computed in single precision, the draws are stored in double.

    An update weighs the draws that it has by the likelihood of the new points and resamples each chain's; then it
    moves every chain on by `moves` trajectories under all data and puts their ends in the place of the oldest draws.
    Where the weights are too uneven (a surprising point), or where what comes of it is not converged any more (draws
    too much alike after many updates), it infers anew.
    """

    name = "hmc"
    chains: int | None = None
    """Of each network; by default between 8 and 32, as many as cost about as much as one (few layers and points)."""
    warmup: int = 150
    """Iterations that adapt."""
    draws: int = 200
    """Kept of each chain."""
    thin: int = 1
    """Trajectories per kept draw."""
    max_steps: int = 32
    """Leapfrog steps of the longest trajectory."""
    target_accept: float = 0.8
    spread: float = 0.7
    """Of the starting points: 0 at the trained parameters, 1 draws of the prior."""
    moves: int = 6
    """Trajectories of an update."""

    def __post_init__(self) -> None:
        chains = 1 if self.chains is None else self.chains
        enough = min(chains, self.thin, self.max_steps, self.moves) >= 1 and self.draws >= max(4, self.moves)
        if not enough or self.warmup < 20 or not 0 < self.target_accept < 1:
            raise SurrogateError(
                "HMC needs chains, thin, max_steps and moves of at least 1, 20 iterations of warm-up, 4 draws and as "
                f"many as moves, and target_accept between 0 and 1, got {self}"
            )
        if not 0 <= self.spread <= 1:
            raise SurrogateError(f"spread of the starting points must be between 0 and 1, got {self.spread}")

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        with torch.no_grad():
            generator = torch.Generator().manual_seed(problem.seed)
            target = Target(problem, _cheap(problem) if self.chains is None else self.chains)
            sampler = self._sampler(target, generator)
            position, tuning = sampler.warm_up(target.start(generator, self.spread), self.warmup)
            found = sampler.sample(position, tuning, self.draws, thin=self.thin)
            return self._judged(problem, target.draw(found.draws, generator), found)

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """See `Engine`; agrees with `infer` within Monte Carlo error."""
        if not isinstance(posterior, HMCPosterior) or len(problem.X) < int(posterior.chains["n"]):
            return self.infer(problem)
        seen = int(posterior.chains["n"])
        if len(problem.X) == seen:
            return posterior
        with torch.no_grad():
            generator = torch.Generator().manual_seed(problem.seed + 7919 * len(problem.X))
            kept = self._resampled(posterior, problem, seen, generator)
            if kept is None:
                return self.infer(problem)
            target = Target(problem, posterior.noise_sd.shape[1])
            sampler = self._sampler(target, generator)
            position = posterior.chains["position"].to(target.dtype)
            chains = sampler.sample(position, posterior.tuning, self.moves)
            found = self._judged(problem, _joined(kept, target.draw(chains.draws, generator)), chains)
        return found if found.converged or not posterior.converged else self.infer(problem)

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """See `Engine`."""
        return HMCPosterior.restore(problem, state)

    def _sampler(self, target: Target, generator: torch.Generator) -> Sampler:
        return Sampler(target, generator, max_steps=self.max_steps, target_accept=self.target_accept)

    def _judged(self, problem: Problem, drawn: Drawn, chains: Chains) -> HMCPosterior:
        found = judged(
            problem,
            drawn.parameters,
            prior_sd=drawn.prior_sd,
            noise_sd=drawn.noise_sd,
            divergences=chains.divergences,
            acceptance=chains.acceptance,
        )
        state = {
            "position": chains.draws[-1].clone(),
            "step": chains.tuning.step,
            "scale": chains.tuning.mass.scale,
            "directions": chains.tuning.mass.directions,
            "stretch": chains.tuning.mass.stretch,
            "length": torch.tensor(chains.tuning.length, dtype=torch.float64),
            "n": torch.tensor(len(problem.X)),
        }
        return HMCPosterior(**{f.name: getattr(found, f.name) for f in fields(found)}, chains=state)

    def _resampled(
        self, posterior: HMCPosterior, problem: Problem, seen: int, generator: torch.Generator
    ) -> Drawn | None:
        """Draws of every chain given the points after the first `seen`, or None where too few would be left."""
        f = posterior.predictions(problem.X[seen:])
        y = problem.targets[:, None, None, seen:]
        variances = None if problem.variances is None else problem.variances[:, None, None, seen:]
        weight = problem.likelihood.log_prob(f, y, posterior.noise_sd, variances).softmax(-1)
        draws = weight.shape[-1]
        if float((1 / (draws * weight.square().sum(-1))).mean(1).min()) < _MIN_WEIGHED:
            return None
        # Systematic resampling: in order, every draw as often as its weight says, up to less than one.
        shift = torch.rand(*weight.shape[:2], 1, generator=generator, dtype=torch.float64).to(weight)
        steps = (torch.arange(draws, device=weight.device) + shift) / draws
        index = torch.searchsorted(weight.cumsum(-1), steps).clamp_max(draws - 1)

        def pick(t: Tensor) -> Tensor:
            wide = index.reshape(*index.shape, *[1] * (t.ndim - 3)).expand(*index.shape, *t.shape[3:])
            return t.gather(2, wide)

        parameters: dict[int, Parameters] = {
            i: {name: pick(t) for name, t in own.items()} for i, own in posterior.parameters.items()
        }
        return Drawn(parameters, pick(posterior.prior_sd), pick(posterior.noise_sd))


def _cheap(problem: Problem) -> int:
    """Chains of each network that a step takes hardly longer for."""
    tail = problem.networks.architecture.layers[min(problem.layers) :]
    if not all(isinstance(layer, Dense) for layer in tail):
        return _FEWEST
    width = sum(layer.fan_out for layer in tail if isinstance(layer, Dense))
    return min(max(_FREE // (width * problem.targets.numel()), _FEWEST), _MOST)


def _joined(old: Drawn, new: Drawn) -> Drawn:
    """Put `new` draws in the place of as many of the oldest."""
    k = new.prior_sd.shape[2]

    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a[:, :, k:], b], 2)

    parameters: dict[int, Parameters] = {
        i: {name: join(t, new.parameters[i][name]) for name, t in own.items()} for i, own in old.parameters.items()
    }
    return Drawn(parameters, join(old.prior_sd, new.prior_sd), join(old.noise_sd, new.noise_sd))
