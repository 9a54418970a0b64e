"""Networks of a PBNN as Pyro models, so that Pyro's own samplers and guides can be run on them.

The model that all engines share: parameters of the chosen layers ``theta ~ N(centre, w²)`` with ``w = s sqrt(unit)``,
``s`` from the prior of the function's standard deviation, the noise from its own, and values from the likelihood of the
network's outputs. `unit` gives ``s`` its meaning (`surrogates.inference.target.prior_unit`).

Sample sites: ``<layer>.<parameter>`` (``dense0.weight``, ``output.bias``), ``log_prior_sd`` and ``log_noise_sd`` where
they are not fixed, ``y``; the outputs are recorded as ``f``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import AffineTransform

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.target import prior_unit
from surrogates.networks import NetworkEnsemble
from surrogates.pyro_scales import draw_scale

if TYPE_CHECKING:
    from surrogates.pbnn import PBNN

Model = Callable[..., Tensor]

FLAT = "parameters_decentered"
"""The one site that a flat model has in place of all parameters': (theta - centre) / w of all sites in a row."""


def sites(problem: Problem) -> Iterator[tuple[str, int, str]]:
    """Names of the chosen layers' sites, with the layer and the parameter that they stand for."""
    for i in problem.layers:
        layer = problem.networks.architecture.layers[i]
        for name in layer.shapes:
            yield f"{layer.name}.{name}", i, name


@dataclass(frozen=True)
class _Program:
    """What the model of one network and that of all of them share."""

    problem: Problem
    networks: NetworkEnsemble
    """Those that the program draws, G of them."""
    plated: bool
    """Whether there is a plate for networks; else there is but one."""
    centre: dict[str, Tensor]
    """Site -> ``(*shape)``, or ``(G, 1, *shape)`` with a plate."""
    root_unit: Tensor
    """``()``, or ``(G, 1)`` with a plate."""
    trunk: Tensor
    """First chosen layer's input at the points of the problem."""

    @classmethod
    def of(cls, problem: Problem, chosen: slice | None) -> _Program:
        plated = chosen is None
        own = slice(None) if chosen is None else chosen
        networks = problem.networks.select(own)
        with torch.no_grad():
            root_unit = prior_unit(replace(problem, networks=networks)).sqrt()
            trunk = networks.before(problem.X, problem.layers[0])
        centre = {}
        for site, layer, name in sites(problem):
            if problem.centre is None:
                mean = torch.zeros_like(networks.parameters[layer][name])
            else:
                mean = problem.centre.parameters[layer][name][own]
            centre[site] = mean.unsqueeze(1) if plated else mean[0]
        return cls(problem, networks, plated, centre, root_unit.unsqueeze(-1) if plated else root_unit[0], trunk)

    def draw(
        self,
        h: Tensor | None = None,
        *,
        prior_sd: Tensor | None = None,
        noise_sd: Tensor | None = None,
        plate: AbstractContextManager[object] | None = None,
        flat: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Sample everything but the values, at the first chosen layer's input `h` (that of the problem's points).

        Returns the outputs ``(*L, n, heads)`` and the noise ``(*L)``. ``L`` is ``(G,)`` with a plate of networks and
        empty without one, after the dimensions of plates around the model.
        """
        problem, like = self.problem, self.root_unit
        with nullcontext() if plate is None else plate:
            if prior_sd is None:
                prior_sd = draw_scale("prior_sd", problem.prior_sd, like)
            if noise_sd is None:
                noise_sd = (
                    draw_scale("noise_sd", problem.noise_sd, like)
                    if problem.likelihood.has_noise
                    else like.new_ones(())
                )
            w = prior_sd * self.root_unit
            drawn = self._flat(w) if flat else self._sites(w)
        batch = torch.broadcast_shapes(*[t.shape[: t.ndim - self._event_ndim(site)] for site, t in drawn.items()])
        chosen: dict[int, dict[str, Tensor]] = {}
        for site, layer, name in sites(problem):
            shape = drawn[site].shape[drawn[site].ndim - self._event_ndim(site) :]
            value = drawn[site].expand(*batch, *shape)
            # Networks come first where layers are evaluated, and last among the batch dimensions here.
            value = value.movedim(len(batch) - 1, 0) if self.plated else value.unsqueeze(0)
            chosen.setdefault(layer, {})[name] = value
        h = self.trunk if h is None else h
        extra = len(batch) - 1 if self.plated else len(batch)
        h = h.reshape(h.shape[0], *[1] * extra, *h.shape[1:])
        f = self.networks.after(h, problem.layers[0], chosen)
        return f.movedim(0, -3) if self.plated else f[0], _without_data(noise_sd, 0)

    def _sites(self, w: Tensor) -> dict[str, Tensor]:
        """Parameters of each site, batch ``(*L)``, at prior standard deviation `w`."""
        drawn = {}
        for site, mean in self.centre.items():
            ndim = self._event_ndim(site)
            sd = w.reshape(*w.shape, *[1] * ndim)
            drawn[site] = _without_data(pyro.sample(site, dist.Normal(mean, sd).to_event(ndim)), ndim)
        return drawn

    def _flat(self, w: Tensor) -> dict[str, Tensor]:
        """Compute the same from one site for all, unit normal."""
        shapes = {site: mean.shape[mean.ndim - self._event_ndim(site) :] for site, mean in self.centre.items()}
        width = sum(shape.numel() for shape in shapes.values())
        z = _without_data(pyro.sample(FLAT, dist.Normal(w.new_zeros(width), 1.0).to_event(1)), 1)
        w = _without_data(w, 0)
        drawn, at = {}, 0
        for site, shape in shapes.items():
            own = z[..., at : at + shape.numel()].unflatten(-1, shape)
            mean = self.centre[site].squeeze(1) if self.plated else self.centre[site]
            drawn[site] = mean + w.reshape(*w.shape, *[1] * len(shape)) * own
            at += shape.numel()
        return drawn

    def _event_ndim(self, site: str) -> int:
        return self.centre[site].ndim - (2 if self.plated else 0)


def _without_data(t: Tensor, event_ndim: int) -> Tensor:
    """Drop the dimension that a plate of data would have."""
    at = -1 - event_ndim
    return t.squeeze(at) if t.ndim > event_ndim and t.shape[at] == 1 else t


def problem_model(problem: Problem, network: int, *, flat: bool = False) -> Model:
    """Pyro model of one network of a problem.

    Parameters
    ----------
    flat
        Draw all parameters as one vector, in units of their prior (`FLAT`), in place of a site for each. Pyro takes
        most of a millisecond for every few sites, whatever their size.

    Returns
    -------
    callable
        ``model(X=None, y=None, variances=None)``, the outputs ``(n, heads)``. Without arguments the problem's points
        and targets are observed, which is what a sampler or a guide wants; with points ``X (n, d)`` alone the values
        are drawn, which is what `pyro.infer.Predictive` wants; ``y (n,)`` are values to be observed at X and
        `variances` their measured variances.

    Raises
    ------
    SurrogateError
        If there is no such network.
    """
    members = problem.networks.members
    if not 0 <= network < members:
        raise SurrogateError(f"no network {network}: the problem has {members}, counted from 0")
    program = _Program.of(problem, slice(network, network + 1))

    def model(X: Tensor | None = None, y: Tensor | None = None, variances: Tensor | None = None) -> Tensor:
        if X is None:
            h, y = None, problem.targets[network]
            variances = None if problem.variances is None else problem.variances[network]
        else:
            h = program.networks.before(X.double(), problem.layers[0])
        f, noise_sd = program.draw(h, flat=flat)
        f = pyro.deterministic("f", f)
        with pyro.plate("data", f.shape[-2], dim=-1):
            pyro.sample("y", problem.likelihood.distribution(f, noise_sd, variances), obs=y)
        return f

    return model


def ensemble_model(problem: Problem, batch_size: int | None = None, *, flat: bool = False) -> Model:
    """Pyro model of all networks of a problem in one plate, conditioned on its targets.

    Sites carry a batch ``(G, 1)``, ``y`` one of ``(G, n)``.

    Parameters
    ----------
    batch_size
        Where it is below n every run sees that many of the points, drawn anew and the same for all networks, and weighs
        them with ``n / batch_size``.
    flat
        See `problem_model`.

    Returns
    -------
    callable
        ``model()``, the outputs ``(G, n or batch_size, heads)``.
    """
    program = _Program.of(problem, None)
    n = len(problem.X)
    size = n if batch_size is None else min(batch_size, n)

    def model() -> Tensor:
        index = torch.randperm(n, device=problem.X.device)[:size] if size < n else slice(None)
        networks = pyro.plate("networks", program.networks.members, dim=-2)
        f, noise_sd = program.draw(program.trunk[:, index], plate=networks, flat=flat)
        variances = None if problem.variances is None else problem.variances[:, index]
        subsample = index if isinstance(index, Tensor) else None
        f = pyro.deterministic("f", f)
        with networks, pyro.plate("data", n, subsample=subsample, dim=-1):
            pyro.sample("y", problem.likelihood.distribution(f, noise_sd, variances), obs=problem.targets[:, index])
        return f

    return model


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
    """Run one network with its Bayesian layers drawn, in original units: the exact network, where `PBNN` linearises.

    The sites are those of `problem_model`; for samplers that run it thousands of times take
    ``problem_model(model.problem(), output * model.members + member)``, which prepares once what does not change.

    Parameters
    ----------
    X
        ``(n, d)`` in the unit cube. At the points fitted, the measured variances are added to the noise.
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
        ``(n,)`` the function in original units, or ``(n, classes)`` logits.
    """
    if not (0 <= member < model.members and 0 <= output < model.num_outputs):
        raise SurrogateError(
            f"no network (member {member}, output {output}): there are {model.members} members of "
            f"{model.num_outputs} outputs"
        )
    problem, network = model.problem(), output * model.members + member
    program = _Program.of(problem, slice(network, network + 1))
    root_unit = program.root_unit
    prior_sd = None if weight_sd is None else torch.as_tensor(weight_sd).to(root_unit) / root_unit
    fixed = None if noise_sd is None else torch.as_tensor(noise_sd).to(root_unit)
    X = X.double()
    h = program.networks.before(X, problem.layers[0])
    heads, noise = program.draw(h, prior_sd=prior_sd, noise_sd=fixed)
    variances = None
    if problem.variances is not None and torch.equal(X, problem.X):
        variances = problem.variances[network]
    values = problem.likelihood.distribution(heads, noise, variances)
    if problem.likelihood.has_noise:
        shift, scale = model.standardisation(output)
        f = shift + scale * heads[..., 0]
        values = dist.TransformedDistribution(values, [AffineTransform(shift, scale)])
    else:
        f = heads
    f = pyro.deterministic("f", f)
    with pyro.plate("data", len(X), dim=-1):
        pyro.sample("y", values, obs=None if Y is None else Y.double().squeeze(-1))
    return f
