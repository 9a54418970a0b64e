"""A pretrained prior brought to a campaign's space: the same inputs, in the campaign's order and between its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loop.errors import ConfigError
from loop.space import BoxSpace, PoolSpace

if TYPE_CHECKING:
    from surrogates.pretrained import PretrainedPrior


def fitted_prior(path: str, space: BoxSpace | PoolSpace, observables: Sequence[str]) -> PretrainedPrior:
    """Load a prior and fit it to a space.

    Parameters
    ----------
    path
        What `beamloop pretrain` wrote to, without a suffix.
    space
        Of the campaign; a box.
    observables
        Of the campaign, in order.

    Raises
    ------
    ConfigError
        If it cannot be read, or its inputs, outputs or bounds are not the campaign's.
    """
    from surrogates.errors import SurrogateError
    from surrogates.pretrained import PretrainedPrior

    if not isinstance(space, BoxSpace):
        raise ConfigError(
            f"surrogate.options.prior: found {path!r} with a pool, expected none: a prior's bounds belong to a box."
        )
    try:
        prior = PretrainedPrior.load(path)
        _check_units(prior.card, space)
        low = [parameter.low for parameter in space.parameters]
        high = [parameter.high for parameter in space.parameters]
        return prior.select(observables).fitted_to(space.names, low, high)
    except SurrogateError as error:
        raise ConfigError(
            f"surrogate.options.prior: found {path!r}, which does not fit the campaign: {error}."
        ) from None


def _check_units(card: Any, space: BoxSpace) -> None:
    units = card.get("units") or {}
    for name, unit in zip(space.names, space.units, strict=True):
        if units.get(name, unit) != unit:
            raise ConfigError(f"surrogate.options.prior: its input {name} is in {units[name]}, the space's in {unit}.")
