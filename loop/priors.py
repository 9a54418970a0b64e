"""A pretrained prior brought to a campaign's space: the same inputs, in the campaign's order and between its bounds."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.errors import ConfigError
from loop.space import BoxSpace, PoolSpace

if TYPE_CHECKING:
    from surrogates.pretrained import PretrainedPrior


SUFFIXES = (".safetensors", ".json")
_KEPT = "prior"


def prior_files(path: str | Path) -> list[Path]:
    """Return the two files of a prior, whichever of them, or neither suffix, was named."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in SUFFIXES else path
    return [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]


def prior_of(path: str, folder: Path) -> Path:
    """Return the campaign's own copy of a prior, or `path` as long as there is none."""
    kept = folder / _KEPT
    return kept if all(file.exists() for file in prior_files(kept)) else Path(path)


def keep_prior(path: str, folder: Path) -> None:
    """Copy a prior into the campaign's folder, so that the campaign can be taken up again whatever happens to it."""
    for source, target in zip(prior_files(path), prior_files(folder / _KEPT), strict=True):
        shutil.copyfile(source, target)


def prior_hash(path: str | Path) -> str:
    """SHA-256 (hex) of a prior's tensors."""
    return hashlib.sha256(prior_files(path)[0].read_bytes()).hexdigest()


def fitted_prior(path: str | Path, space: BoxSpace | PoolSpace, observables: Sequence[str]) -> PretrainedPrior:
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
            f"surrogate.prior: found {str(path)!r} with a pool, expected none: a prior's bounds belong to a box."
        )
    try:
        prior = PretrainedPrior.load(path)
        _check_units(prior.card, space)
        low = [parameter.low for parameter in space.parameters]
        high = [parameter.high for parameter in space.parameters]
        return prior.select(observables).fitted_to(space.names, low, high)
    except SurrogateError as error:
        raise ConfigError(f"surrogate.prior: found {str(path)!r}, which does not fit the campaign: {error}.") from None


def _check_units(card: Any, space: BoxSpace) -> None:
    units = card.get("units") or {}
    for name, unit in zip(space.names, space.units, strict=True):
        if units.get(name, unit) != unit:
            raise ConfigError(f"surrogate.prior: its input {name} is in {units[name]}, the space's in {unit}.")
