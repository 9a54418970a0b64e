"""The groups of a PBNN's mixture: what each computes with, how much it counts, and what was inferred for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.choice import Inferred, describe_engine, infer, make_engine
from surrogates.inference.stationary import Matern
from surrogates.networks import NetworkEnsemble

NETWORKS, STATIONARY = "networks", "stationary"
"""Kinds of groups."""


@dataclass(frozen=True, eq=False)
class Component:
    """One group of members that were inferred together."""

    kind: str
    """`NETWORKS`, or `STATIONARY` for a Matérn kernel in their place."""
    networks: NetworkEnsemble
    """``m * members`` networks, output-major; of no account in a stationary group."""
    share: float
    """Of the mixture, beside the other groups that know the same."""
    kernel: Matern | None = None
    centre: NetworkEnsemble | None = None
    """Theory: see `Problem.centre`. A group without is ignorant of it."""
    inferred: Inferred | None = None

    @property
    def size(self) -> int:
        """Networks or kernels, of all outputs."""
        return self.networks.members if self.kernel is None else self.kernel.members

    @property
    def result(self) -> Inferred:
        """What was inferred; there must be something."""
        if self.inferred is None:
            raise RuntimeError("nothing was inferred for this component yet")
        return self.inferred

    def problem(self, base: Problem, outputs: int) -> Problem:
        """Turn a problem whose targets and variances are ``(outputs, n)`` into this group's."""

        def spread(t: Tensor) -> Tensor:
            return t.repeat_interleave(self.size // outputs, 0)

        return replace(
            base,
            networks=self.networks,
            kernel=self.kernel,
            centre=self.centre,
            targets=spread(base.targets),
            variances=None if base.variances is None else spread(base.variances),
        )

    def infer(self, problem: Problem, spec: str | Mapping[str, Any]) -> Component:
        """Infer from this group's problem; kernels are linear, whatever the networks are inferred with."""
        with torch.no_grad():
            return replace(self, inferred=infer(problem, "linearised" if self.kernel is not None else spec))

    def update(self, problem: Problem) -> Component:
        """Learn from this group's problem, which has further points."""
        with torch.no_grad():
            posterior = self.result.engine.update(self.result.posterior, problem)
        return replace(self, inferred=replace(self.result, posterior=posterior))

    def describe(self) -> dict[str, Any]:
        """Return the settings that `restored` needs."""
        engine, failed = describe_engine(self.result.engine), self.result.failed
        return {"kind": self.kind, "share": self.share, "engine": engine, "failed": failed}

    def restored(self, problem: Problem, settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> Component:
        """Rebuild what was inferred."""
        engine = make_engine(settings["engine"])
        return replace(self, inferred=Inferred(engine, engine.restore(problem, state), tuple(settings["failed"])))


def mixture_weights(components: tuple[Component, ...], outputs: int, by_evidence: bool) -> Tensor:
    """Weights ``(outputs, members)`` of all members, in the components' order, summing to 1.

    The groups that know a theory and those that do not are weighed by how probable they make the data: by the evidence
    of the stationary groups, whose kernels were not trained on the values as the networks were, where there are any.
    Within these two camps groups have their shares, and members of a group equal parts, or with `by_evidence` parts
    by their evidence.
    """
    like = components[0].result.posterior.noise_variance
    found = []
    camps = _camps(components, outputs, like)
    for component in components:
        camp = [c for c in components if (c.centre is None) == (component.centre is None)]
        share = component.share / sum(c.share for c in camp) * camps[component.centre is not None]
        shape = (outputs, component.size // outputs)
        parts = like.new_full(shape, 1 / shape[1])
        if by_evidence:
            parts = torch.softmax(component.result.posterior.summary["log_evidence"].view(shape), -1)
        found.append(share.unsqueeze(-1) * parts)
    return torch.cat(found, -1)


def _camps(components: tuple[Component, ...], outputs: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``(outputs,)`` of the camp without theory and of the camp with it."""
    everything, nothing = like.new_ones(outputs), like.new_zeros(outputs)
    if all(c.centre is None for c in components):
        return everything, nothing
    if all(c.centre is not None for c in components):
        return nothing, everything
    kinds = {c.kind for c in components}
    judges = [c for c in components if c.kind == (STATIONARY if STATIONARY in kinds else NETWORKS)]
    evidence = {c.centre is not None: c.result.posterior.summary.get("log_evidence") for c in judges}
    ignorant, informed = evidence[False], evidence[True]
    if ignorant is None or informed is None:
        return 0.5 * everything, 0.5 * everything
    both = torch.stack([t.view(outputs, -1).mean(-1) for t in (ignorant, informed)], -1)
    without, within = torch.softmax(both, -1).unbind(-1)
    return without, within
