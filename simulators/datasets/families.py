"""A family of curves: named parameters with priors, and the scattering kernels that they go into.

The parameters of a family are drawn once for each curve; its contributions refer to them by name, so that two kernels
can share one (the matrix's scattering-length density, say). Contributions add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from simulators.datasets.base import Broken, Section, refuse
from simulators.datasets.priors import Prior
from simulators.scattering.kernel import Kernel
from simulators.scattering.registry import kernels

_KERNELS = kernels()


class Contribution(Section):
    """One kernel, with where each of its parameters comes from."""

    kernel: Annotated[str, Field(min_length=1)]
    """Name in the registry of kernels (`simulators.scattering.registry`)."""
    parameters: dict[str, float | str] = Field(default_factory=dict)
    """Parameter of the kernel: a number, or the name of a parameter of the family or of the matrix. What is left out
    has the kernel's default."""
    options: dict[str, str] = Field(default_factory=dict)
    """Options of the kernel that are words (`distribution: lognormal`)."""


class Family(Section):
    """A composition of kernels with priors."""

    description: str = ""
    """What it is, for people."""
    parameters: dict[str, Prior] = Field(default_factory=dict)
    """Name: how it is drawn."""
    contributions: list[Contribution] = Field(default_factory=list)
    """What scatters. None: nothing but the matrix."""

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
        """Draw the parameters of n curves, ``(n,)`` each."""
        return {name: prior.quantile(rng.random(n)) for name, prior in self.parameters.items()}

    def cross_section(self, q: Tensor, values: Mapping[str, NDArray[np.float64]]) -> Tensor | None:
        """Sum the contributions.

        Parameters
        ----------
        q
            ``(k,)`` 1/Å; float32 for speed, float64 for the last digits.
        values
            Parameters of the family and of the matrix, ``(n,)`` each.

        Returns
        -------
        Tensor or None
            ``(n, k)`` dΣ/dΩ in 1/cm; None where there is no contribution.

        Raises
        ------
        ParameterError
            If a value is out of its kernel's range.
        """
        total: Tensor | None = None
        for contribution in self.contributions:
            arguments = {
                name: torch.from_numpy(np.asarray(values[value])).to(q.dtype) if isinstance(value, str) else value
                for name, value in contribution.parameters.items()
            }
            part = _KERNELS[contribution.kernel](q, **arguments, **contribution.options)
            total = part if total is None else total + part
        return total

    def with_priors(self, priors: Mapping[str, Prior]) -> Self:
        """Return the family with some priors replaced."""
        return self.model_copy(update={"parameters": {**self.parameters, **priors}})

    def limits(self, name: str) -> tuple[float, float]:
        """Return the range that every kernel allows which the parameter goes into."""
        low, high = -np.inf, np.inf
        for contribution in self.contributions:
            for parameter in _KERNELS[contribution.kernel].parameters:
                if contribution.parameters.get(parameter.name) == name:
                    low, high = max(low, parameter.low), min(high, parameter.high)
        return low, high

    def widened(self, share: float, *others: Family) -> Self:
        """Return the family with all ranges wider by this share (0.1: ten percent, half of it at each end).

        Ranges stop where a kernel does, one of the family's own or of `others` that refer to its parameters.
        """
        wide = {}
        for name, prior in self.parameters.items():
            limits = [self.limits(name), *(family.limits(name) for family in others)]
            wide[name] = prior.widened(share).clipped(max(low for low, _ in limits), min(high for _, high in limits))
        return self.with_priors(wide)

    def broken(self, shared: Mapping[str, Prior]) -> list[Broken]:
        """Return what does not fit between parameters, kernels and the matrix's parameters."""
        found: list[Broken] = []
        clash = sorted(set(self.parameters) & set(shared))
        found += [(("parameters", name), name, "a name that the matrix does not have") for name in clash]
        priors = {**shared, **self.parameters}
        for index, contribution in enumerate(self.contributions):
            place = ("contributions", index)
            kernel = _KERNELS.get(contribution.kernel)
            if kernel is None or kernel.unit != "1/cm":
                names = ", ".join(sorted(name for name, known in _KERNELS.items() if known.unit == "1/cm"))
                found.append(((*place, "kernel"), contribution.kernel, f"one of {names}"))
                continue
            found += [((*place, *where), value, text) for where, value, text in _misfits(contribution, kernel, priors)]
        return found


class StandAlone(Family):
    """A family that needs no matrix: all its references are to parameters of its own."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse("family", self.broken({}))
        return self


def _misfits(contribution: Contribution, kernel: Kernel, priors: Mapping[str, Prior]) -> list[Broken]:
    """Return what does not fit between one contribution and its kernel."""
    found: list[Broken] = []
    known = {parameter.name: parameter for parameter in kernel.parameters}
    for name, value in contribution.parameters.items():
        if name not in known:
            found.append((("parameters", name), value, f"a parameter of {kernel.name}: {', '.join(known)}"))
            continue
        if isinstance(value, str) and value not in priors:
            text = f"a number, or the name of a parameter: {', '.join(priors) or 'there are none'}"
            found.append((("parameters", name), value, text))
            continue
        low, high = priors[value].range if isinstance(value, str) else (value, value)
        allowed = known[name]
        if not (allowed.low <= low and high <= allowed.high):
            text = f"values in [{allowed.low:g}, {allowed.high:g}] {allowed.unit}, where {kernel.name} holds"
            found.append((("parameters", name), value, f"{text}, not {low:g} to {high:g}"))
    for name, word in contribution.options.items():
        words = kernel.options.get(name)
        if words is None or word not in words:
            text = f"one of {', '.join(words)}" if words else f"an option of {kernel.name}: {', '.join(kernel.options)}"
            found.append((("options", name), word, text))
    return found
