"""Stochastic variational inference with Pyro's guides, all networks in one program: for data too large to sample.

The guide is a Gaussian of the parameters in units of their prior. What is found is the one nearest to the posterior
from inside. Independent normals know no correlation: every parameter's sd is that which the others leave it, and what
becomes of the predictions' is anybody's guess (Blei et al., 2017, doi:10.1080/01621459.2017.1285773). Convergence says
that the best guide was found, not that it is a good one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import pyro
import torch
from pyro.infer import Predictive, Trace_ELBO
from pyro.infer.autoguide.initialization import init_to_value
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import MemberPosterior, Problem
from surrogates.inference.draws import DrawsPosterior
from surrogates.inference.guides import GUIDES
from surrogates.inference.latent import read_samples, seeded
from surrogates.inference.target import prior_unit
from surrogates.priors import LogGrid
from surrogates.pyro_model import FLAT, ensemble_model, sites

_PLATES = 2
"""Dimensions of plates in the model: networks and data."""
_TOLERANCE = 0.5
"""Rise of the ELBO per network, in nats, over the last part of the run that is of no account."""
_GUIDE = "guide."


@dataclass(frozen=True)
class SVIPosterior(DrawsPosterior):
    """Draws from a guide, and the guide itself."""

    guide: Mapping[str, Tensor] = field(default_factory=dict)
    """Its parameters, from which `SVIEngine.update` goes on."""

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        return super().state() | {f"{_GUIDE}{name}": t for name, t in self.guide.items()}

    @classmethod
    def restore(cls, problem: Problem, state: Mapping[str, Tensor]) -> Self:
        """See `Engine`."""
        guide = {k.removeprefix(_GUIDE): t for k, t in state.items() if k.startswith(_GUIDE)}
        return replace(super().restore(problem, state), guide=guide)


@dataclass(frozen=True)
class SVIEngine:
    """Any layers, any likelihood; cost of a step independent of n with minibatches."""

    name = "svi"
    guide: Literal["normal", "low_rank", "multivariate"] = "normal"
    """Independent normals, or one Gaussian of each network with a covariance of low rank or any."""
    rank: int | None = None
    """Of a low-rank guide; by default the root of the number of its variables, at most 20."""
    steps: int = 1500
    """Of Adam; over the last third of them the learning rate falls to zero."""
    update_steps: int = 300
    """The same when new data come to an old guide."""
    lr: float = 0.05
    particles: int = 8
    """Draws of the guide that a step averages over."""
    batch_size: int = 256
    """Points that a step sees, where there are more."""
    draws: int = 256
    """Taken from the guide at the end."""
    init_scale: float = 0.05
    """Standard deviation of the guide at the start, where the prior's is 1."""

    def __post_init__(self) -> None:
        counts = (self.particles, self.batch_size)
        if self.guide not in GUIDES:
            raise SurrogateError(f"unknown guide {self.guide!r}: choose one of {', '.join(GUIDES)}")
        if (self.rank or 1) < 1 or min(counts) < 1 or min(self.steps, self.update_steps) < 30 or self.draws < 4:
            raise SurrogateError(
                f"SVI needs at least 30 steps (a trend cannot be judged from fewer), 4 draws and 1 of all else: {self}"
            )
        if not (self.lr > 0 and self.init_scale > 0):
            raise SurrogateError(f"lr and init_scale must be positive, got {self.lr} and {self.init_scale}")

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        return self._fit(problem, self.steps, None)

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """Go on from the old guide with all data: see `Engine`."""
        warm = posterior.guide if isinstance(posterior, SVIPosterior) else None
        return self._fit(problem, self.steps if warm is None else self.update_steps, warm)

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """See `Engine`."""
        return SVIPosterior.restore(problem, state)

    def _fit(self, problem: Problem, steps: int, warm: Mapping[str, Tensor] | None) -> MemberPosterior:
        model = ensemble_model(problem, self.batch_size, flat=True)
        options: dict[str, Any] = {"rank": self.rank} if self.guide == "low_rank" else {}
        guide = GUIDES[self.guide](
            model, init_loc_fn=init_to_value(values=_start(problem)), init_scale=float(self.init_scale), **options
        )
        elbo = Trace_ELBO(num_particles=self.particles, vectorize_particles=True, max_plate_nesting=_PLATES)
        trace = torch.empty(steps, dtype=torch.float64)
        # A store of its own, so that parameters of programs that run beside this one are neither seen nor changed.
        with (
            pyro.get_param_store().scope(),
            pyro.validation_enabled(False),
            seeded(problem.seed, problem.X),
            torch.enable_grad(),
        ):
            guide()
            if warm is not None and {k: t.shape for k, t in warm.items()} == _shapes(guide):
                guide.load_state_dict(warm)
            optimiser = torch.optim.Adam(guide.parameters(), lr=self.lr)
            for step in range(steps):
                optimiser.param_groups[0]["lr"] = self.lr * min(1.0, 3 * (steps - step) / steps)
                optimiser.zero_grad()
                loss = elbo.differentiable_loss(model, guide)
                loss.backward()
                optimiser.step()
                trace[step] = -loss.detach()
            drawn = Predictive(guide, num_samples=self.draws, parallel=True)()
            state = {name: t.detach().clone() for name, t in guide.state_dict().items()}
        if not torch.isfinite(trace).all():
            raise SurrogateError(
                f"SVI diverged (lr = {self.lr}, guide = {self.guide!r}): use a smaller learning rate, and check that "
                "the measured variances are not many orders of magnitude apart"
            )
        # (draws, G, 1, *shape) -> (G, 1 chain, draws, *shape)
        latent = {k: v.detach().movedim(0, 2) for k, v in drawn.items() if not k.startswith("_")}
        parameters, prior_sd, noise_sd = read_samples(problem, latent)
        # Judged before the learning rate falls: a fit that is being slowed down must not pass for one that has arrived.
        rise, error = trend(trace[steps // 3 : 2 * steps // 3] / problem.networks.members)
        last = trace[2 * steps // 3 :].mean() / problem.networks.members
        return SVIPosterior(
            problem.networks,
            problem.layers,
            problem.likelihood,
            parameters,
            noise_sd,
            prior_sd,
            {"elbo": float(last), "elbo_slope": rise, "elbo_slope_error": error},
            rise <= max(_TOLERANCE, 2 * error),
            state,
        )


def _shapes(guide: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: t.shape for name, t in guide.state_dict().items()}


def trend(values: Tensor) -> tuple[float, float]:
    """Rise of the straight line through `values (k,)` from the first to the last, and its standard error."""
    k = len(values)
    x = torch.linspace(-0.5, 0.5, k, dtype=values.dtype)
    spread = x.square().sum()
    rise = (x @ values) / spread
    residual = values - values.mean() - rise * x
    return float(rise), float((residual.square().sum() / (k - 2) / spread).sqrt())


def _start(problem: Problem) -> dict[str, Tensor]:
    """Where the networks were trained to, in terms of the latent variables, batch ``(G, 1)``."""
    away = []
    for _, layer, name in sites(problem):
        theta = problem.networks.parameters[layer][name]
        away.append((theta if problem.centre is None else theta - problem.centre.parameters[layer][name]).flatten(1))
    flat = torch.cat(away, -1)
    root_unit = prior_unit(problem).sqrt()
    prior_sd = _inside(flat.square().mean(-1).sqrt() / root_unit, problem.prior_sd)
    grid = problem.noise_sd
    noise_sd = _inside(torch.full_like(root_unit, grid.median or math.sqrt(grid.low * grid.high)), grid)
    start = {
        FLAT: flat / (prior_sd * root_unit).unsqueeze(-1),
        "log_prior_sd": prior_sd.log(),
        "log_noise_sd": noise_sd.log(),
    }
    return {site: t.unsqueeze(1) for site, t in start.items()}


def _inside(value: Tensor, grid: LogGrid) -> Tensor:
    """Clamp to what is not at the edge of a prior, where the guide's variable would be infinite."""
    edge = (grid.high / grid.low) ** 0.1
    return value.clamp(grid.low * edge, grid.high / edge)
