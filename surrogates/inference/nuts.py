"""Pyro's No-U-Turn sampler on the Pyro model itself: the reference that the other engines are held against.

It shares no code with them but the networks and the likelihood. One network and one chain after the other, at about a
millisecond a leapfrog step: for small problems and for checks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pyro.infer import MCMC, NUTS
from pyro.infer.autoguide.initialization import init_to_sample
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import MemberPosterior, Problem
from surrogates.inference.diagnose import judged
from surrogates.inference.draws import DrawsPosterior
from surrogates.inference.latent import read_samples, seeded
from surrogates.pyro_model import problem_model


@dataclass(frozen=True)
class NUTSEngine:
    """Any layers, any likelihood (Hoffman & Gelman, 2014, arXiv:1111.4246)."""

    name = "nuts"
    chains: int = 4
    """Each started from a draw of the prior."""
    warmup: int = 300
    draws: int = 300
    """Kept of each chain."""
    target_accept: float = 0.8
    max_tree_depth: int = 8
    """At most ``2^depth - 1`` leapfrog steps a draw."""
    jit: bool = False
    """Trace the density with `torch.jit` once for each chain: two to three times faster for small networks."""

    def __post_init__(self) -> None:
        if min(self.chains, self.warmup, self.max_tree_depth) < 1 or self.draws < 4 or not 0 < self.target_accept < 1:
            raise SurrogateError(
                "NUTS needs chains, warmup and max_tree_depth of at least 1, 4 draws and target_accept between 0 and "
                f"1, got {self}"
            )

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        members = problem.networks.members
        generator = torch.Generator().manual_seed(problem.seed)
        seeds = torch.randint(2**62, (members, self.chains), generator=generator)
        samples: dict[str, list[Tensor]] = {}
        divergences, acceptance = 0, 0.0
        for g in range(members):
            model = problem_model(problem, g, flat=True)
            for seed in seeds[g].tolist():
                kernel = NUTS(
                    model,
                    target_accept_prob=self.target_accept,
                    max_tree_depth=self.max_tree_depth,
                    init_strategy=init_to_sample,
                    jit_compile=self.jit,
                    ignore_jit_warnings=True,
                )
                chain = MCMC(kernel, num_samples=self.draws, warmup_steps=self.warmup, disable_progbar=True)
                with seeded(seed, problem.X), torch.enable_grad(), warnings.catch_warnings():
                    # torch recommends a compiler that takes minutes for what `torch.jit` does in a second.
                    warnings.filterwarnings("ignore", "`torch.jit.trace", DeprecationWarning)
                    chain.run()
                for site, drawn in chain.get_samples().items():
                    samples.setdefault(site, []).append(drawn.detach())
                found = chain.diagnostics()
                divergences += len(found["divergences"]["chain 0"])
                acceptance += found["acceptance rate"]["chain 0"]
        runs = members * self.chains
        together = {k: torch.stack(v).unflatten(0, (members, self.chains)) for k, v in samples.items()}
        parameters, prior_sd, noise_sd = read_samples(problem, together)
        return judged(
            problem,
            parameters,
            prior_sd=prior_sd,
            noise_sd=noise_sd,
            divergences=divergences / (runs * self.draws),
            acceptance=acceptance / runs,
        )

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """Run anew: see `Engine`."""
        return self.infer(problem)

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """See `Engine`."""
        return DrawsPosterior.restore(problem, state)
