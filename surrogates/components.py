"""The groups of a PBNN's mixture: what each computes with, how much it counts, and what was inferred for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.choice import Inferred, describe_engine, infer, make_engine
from surrogates.inference.stationary import Matern
from surrogates.networks import NetworkEnsemble
from surrogates.theory_function import TheoryFunction
from surrogates.theory_kernel import TheoryMatern

NETWORKS, STATIONARY = "networks", "stationary"
"""Kinds of groups."""
NOTHING, THEORY, SCALED, MOVED = "nothing", "theory", "scaled", "moved"
"""Camps, by what their groups know: nothing; a theory as it is; its shape, slope and offset integrated; a theory whose
inputs, slope and offset were fitted (`surrogates.recalibration`)."""

Kernel = Matern | TheoryMatern


@dataclass(frozen=True, eq=False)
class Component:
    """One group of members that were inferred together."""

    kind: str
    """`NETWORKS`, or `STATIONARY` for a Matérn kernel in their place."""
    networks: NetworkEnsemble
    """``m * members`` networks, output-major; of no account in a stationary group."""
    share: float
    """Of the mixture, beside the other groups of the same camp."""
    kernel: Kernel | None = None
    """Of a stationary group."""
    camp: str = NOTHING
    centre: NetworkEnsemble | None = None
    """Theory of networks: see `Problem.centre`."""
    cost: Tensor | None = None
    """``(m,)`` of what was fitted to the theory beforehand, see `recalibrate`; part of the log evidence."""
    inferred: Inferred | None = None

    @property
    def theory(self) -> TheoryFunction | None:
        """Prior mean function of a stationary group that knows a theory."""
        return self.kernel.theory if isinstance(self.kernel, TheoryMatern) else None

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
            mean=self.theory,
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
        found = {"kind": self.kind, "share": self.share, "camp": self.camp, "engine": engine, "failed": failed}
        return found | {"scaled": isinstance(self.kernel, TheoryMatern) and self.kernel.scaled}

    def restored(self, problem: Problem, settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> Component:
        """Rebuild what was inferred."""
        engine = make_engine(settings["engine"])
        return replace(self, inferred=Inferred(engine, engine.restore(problem, state), tuple(settings["failed"])))


def mixture_weights(components: tuple[Component, ...], outputs: int, by_evidence: bool) -> Tensor:
    """Weights ``(outputs, members)`` of all members, in the components' order, summing to 1.

    Camps are weighed by how probable they make the data. Within a camp groups have their shares, and members of a group
    equal parts, or with `by_evidence` parts by their evidence.
    """
    camps = camp_weights(components, outputs)
    found = []
    for component in components:
        fellows = [c for c in components if c.camp == component.camp]
        share = component.share / sum(c.share for c in fellows) * camps[component.camp]
        shape = (outputs, component.size // outputs)
        parts = share.new_full(shape, 1 / shape[1])
        if by_evidence:
            parts = torch.softmax(component.result.posterior.summary["log_evidence"].view(shape), -1)
        found.append(share.unsqueeze(-1) * parts)
    return torch.cat(found, -1)


def camp_weights(components: tuple[Component, ...], outputs: int) -> dict[str, Tensor]:
    """Posterior probability ``(outputs,)`` of each camp; half of the prior's is that of knowing nothing.

    A camp is judged by its stationary group. Where that has no share, and with it no part in what the mixture predicts,
    knowing nothing is judged by all its groups: networks that were trained on the values look better by them than they
    are, so that every doubt counts against the theory. Where an engine does not know its evidence, the prior
    probabilities stay.
    """
    names = list(dict.fromkeys(c.camp for c in components))
    known = all("log_evidence" in c.result.posterior.summary for c in components)
    scores = []
    for name in names:
        prior = math.log(0.5 if name == NOTHING else 0.5 / max(len(names) - 1, 1))
        camp = [c for c in components if c.camp == name]
        judges = [c for c in camp if c.kind == STATIONARY and (c.share > 0 or name != NOTHING)] or camp
        # A group without a share is there to be asked.
        parts = torch.stack([_log_evidence(c, outputs) + math.log(c.share or 1.0) for c in judges])
        scores.append(parts.logsumexp(0) * known + prior)
    return dict(zip(names, torch.softmax(torch.stack(scores), 0), strict=True))


def _log_evidence(component: Component, outputs: int) -> Tensor:
    """Logarithm ``(outputs,)`` of a group's evidence; zero where its engine does not know it."""
    like = component.result.posterior.noise_variance
    own = component.result.posterior.summary.get("log_evidence", torch.zeros_like(like)).view(outputs, -1)
    # The cost of what was fitted is that of the best version, which is the first.
    return own.logsumexp(-1) - math.log(own.shape[-1]) if component.cost is None else own[:, 0] + component.cost
