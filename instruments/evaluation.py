"""What became of one measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from instruments.curve import Curve


@dataclass(frozen=True)
class Evaluation:
    """Observables with error bars and the quality gate's verdict; satisfies the loop's `Evaluation` protocol."""

    accepted: bool
    reason: str = ""
    """Why it was not accepted, in words; empty when it was."""
    values: Mapping[str, float] = field(default_factory=dict)
    sds: Mapping[str, float] = field(default_factory=dict)
    curve: Curve | None = None
