"""Which trained classifier of SAXS curves is meant, where a person need not name one."""

from __future__ import annotations

import os
from pathlib import Path

from loop.errors import BeamloopError

VARIABLE = "BEAMLOOP_CLASSIFIER"
"""Environment variable that names the classifier to use where no option does."""
SHIPPED = Path(__file__).parents[1] / "surrogates" / "saxs" / "trained" / "saxs"
"""The one that comes with the project, without suffix."""


class NoClassifierError(BeamloopError):
    """No classifier is named, and none came with the project."""


def classifier_path(named: str | Path | None, option: str) -> Path:
    """Return the path of a classifier, without suffix.

    Parameters
    ----------
    named
        What `option` says; if it says nothing, `VARIABLE` is asked, then `SHIPPED` is taken.
    option
        How a person would name one, for the message.

    Raises
    ------
    NoClassifierError
        If nothing is named and there is no `SHIPPED` one. Whether a named one exists, loading it tells.
    """
    chosen = named or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    if not SHIPPED.with_name(SHIPPED.name + ".json").exists():
        raise NoClassifierError(
            f"there is no trained classifier at {SHIPPED}: train one (beamloop train saxs CONFIG) and name it with "
            f"{option} or {VARIABLE}."
        )
    return SHIPPED
