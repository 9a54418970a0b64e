"""How measured values scatter around a network's output.

Each likelihood reads the heads of a network, in standardised units. `noise_sd` is the model's own noise, one number a
network; measured variances of single points are added to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError

_MAX_LOG = 8.0
"""Bound of a head that is a logarithm: beyond it a wild starting point would overflow."""


class Likelihood(Protocol):
    """Implementations are frozen dataclasses whose fields are JSON."""

    kind: ClassVar[str]
    gaussian: ClassVar[bool]
    """Whether it is Gaussian with a noise that does not depend on the network: what the closed forms need."""
    has_noise: ClassVar[bool]
    """Whether `noise_sd` means anything."""

    @property
    def heads(self) -> int:
        """Outputs that the network must have."""
        ...

    def log_prob(self, f: Tensor, y: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Tensor:
        """Logarithm of the probability (density) of all values, ``(*L,)``.

        Parameters
        ----------
        f
            ``(*L, n, heads)``.
        y
            Values, broadcasting with ``(*L, n)``.
        noise_sd
            ``(*L,)``.
        variances
            Measured variances, broadcasting with ``(*L, n)``, or None.
        """
        ...

    def distribution(self, f: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Any:
        """Pyro distribution of the values, batch shape ``(*L, n)``; arguments as of `log_prob`."""
        ...

    def moments(self, f: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """Return the function and the variance of the own noise, ``(*L, n)`` each."""
        ...


def _total(noise_variance: Tensor, variances: Tensor | None) -> Tensor:
    return noise_variance if variances is None else noise_variance + variances


@dataclass(frozen=True)
class Gaussian:
    """Normal noise, the same everywhere, beside the measured variances."""

    kind: ClassVar[str] = "gaussian"
    gaussian: ClassVar[bool] = True
    has_noise: ClassVar[bool] = True

    @property
    def heads(self) -> int:
        """See `Likelihood`."""
        return 1

    def log_prob(self, f: Tensor, y: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Tensor:
        """See `Likelihood`."""
        residual = (y - f.squeeze(-1)).square()
        n = residual.shape[-1]
        if variances is None:
            return -0.5 * residual.sum(-1) / noise_sd.square() - n * (noise_sd.log() + 0.5 * math.log(2 * math.pi))
        total = noise_sd.square().unsqueeze(-1) + variances
        return -0.5 * (residual / total + total.log() + math.log(2 * math.pi)).sum(-1)

    def distribution(self, f: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Any:
        """See `Likelihood`."""
        from pyro.distributions import Normal

        return Normal(f.squeeze(-1), _total(noise_sd.square().unsqueeze(-1), variances).sqrt())

    def moments(self, f: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """See `Likelihood`."""
        mean = f.squeeze(-1)
        return mean, noise_sd.square().unsqueeze(-1).expand_as(mean)


@dataclass(frozen=True)
class Heteroscedastic:
    """Normal noise that varies over the space: a second head is the logarithm of its sd over `noise_sd`."""

    kind: ClassVar[str] = "heteroscedastic"
    gaussian: ClassVar[bool] = False
    has_noise: ClassVar[bool] = True

    @property
    def heads(self) -> int:
        """See `Likelihood`."""
        return 2

    def moments(self, f: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """See `Likelihood`."""
        mean, log_sd = f.unbind(-1)
        return mean, (noise_sd.unsqueeze(-1) * log_sd.clamp(-_MAX_LOG, _MAX_LOG).exp()).square()

    def log_prob(self, f: Tensor, y: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Tensor:
        """See `Likelihood`."""
        mean, own = self.moments(f, noise_sd)
        total = _total(own, variances)
        return -0.5 * ((y - mean).square() / total + total.log() + math.log(2 * math.pi)).sum(-1)

    def distribution(self, f: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Any:
        """See `Likelihood`."""
        from pyro.distributions import Normal

        mean, own = self.moments(f, noise_sd)
        return Normal(mean, _total(own, variances).sqrt())


@dataclass(frozen=True)
class StudentT:
    """Heavy tails: single values may lie far off without moving the function.

    Lange et al., 1989, doi:10.1080/01621459.1989.10478852.
    """

    kind: ClassVar[str] = "student_t"
    gaussian: ClassVar[bool] = False
    has_noise: ClassVar[bool] = True
    df: float = 4.0
    """Degrees of freedom; above 2, so that there is a variance."""

    def __post_init__(self) -> None:
        if not 2 < self.df < math.inf:
            raise SurrogateError(f"df must be finite and above 2 (there is no variance below), got {self.df}")

    @property
    def heads(self) -> int:
        """See `Likelihood`."""
        return 1

    def log_prob(self, f: Tensor, y: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Tensor:
        """See `Likelihood`."""
        df, total = self.df, _total(noise_sd.square().unsqueeze(-1), variances)
        residual = (y - f.squeeze(-1)).square() / total
        constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
        each = constant - 0.5 * total.log() - 0.5 * (df + 1) * torch.log1p(residual / df)
        return each.sum(-1)

    def distribution(self, f: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Any:
        """See `Likelihood`."""
        from pyro.distributions import StudentT as Distribution

        return Distribution(self.df, f.squeeze(-1), _total(noise_sd.square().unsqueeze(-1), variances).sqrt())

    def moments(self, f: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """See `Likelihood`."""
        mean = f.squeeze(-1)
        return mean, (noise_sd.square() * self.df / (self.df - 2)).unsqueeze(-1).expand_as(mean)


@dataclass(frozen=True)
class Categorical:
    """One of `classes` labels 0, 1 ...; the heads are the logits."""

    classes: int
    kind: ClassVar[str] = "categorical"
    gaussian: ClassVar[bool] = False
    has_noise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise SurrogateError(f"a classification needs at least two classes, got {self.classes}")

    @property
    def heads(self) -> int:
        """See `Likelihood`."""
        return self.classes

    def log_prob(self, f: Tensor, y: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Tensor:
        """See `Likelihood`."""
        labels = y.long().expand(f.shape[:-1])
        return functional.log_softmax(f, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1).sum(-1)

    def distribution(self, f: Tensor, noise_sd: Tensor, variances: Tensor | None) -> Any:
        """See `Likelihood`."""
        from pyro.distributions import Categorical as Distribution

        return Distribution(logits=f)

    def moments(self, f: Tensor, noise_sd: Tensor) -> tuple[Tensor, Tensor]:
        """Refuse: labels have no mean."""
        raise SurrogateError("class labels have no mean and variance: ask for the probabilities of the classes")


LIKELIHOODS: dict[str, type[Likelihood]] = {
    kind.kind: kind for kind in (Gaussian, Heteroscedastic, StudentT, Categorical)
}


def make_likelihood(spec: str | Mapping[str, Any]) -> Likelihood:
    """Build a likelihood from its kind, or from a mapping with ``kind`` and options.

    Raises
    ------
    SurrogateError
        On an unknown kind, option, or a value that makes no sense.
    """
    options = {"kind": spec} if isinstance(spec, str) else dict(spec)
    kind = options.pop("kind", None)
    if kind not in LIKELIHOODS:
        raise SurrogateError(f"unknown likelihood {kind!r}: choose one of {', '.join(LIKELIHOODS)}")
    try:
        return LIKELIHOODS[kind](**options)
    except TypeError as error:
        raise SurrogateError(f"likelihood {kind!r} cannot be built with {options}: {error}") from error


def describe_likelihood(likelihood: Likelihood) -> dict[str, Any]:
    """Return the mapping that `make_likelihood` builds the same from."""
    return {"kind": likelihood.kind, **asdict(likelihood)}  # type: ignore[call-overload]
