"""What every run of a campaign says of its origin."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from loop.config import CampaignConfig, config_hash
from loop.priors import prior_hash, prior_of
from loop.protocols import Experiment

PACKAGES = (
    "beamloop",
    "bluesky",
    "ophyd",
    "event-model",
    "tiled",
    "torch",
    "botorch",
    "gpytorch",
    "pyro-ppl",
    "pyFAI",
    "pymatgen",
    "numpy",
    "scipy",
)
"""Whose versions are recorded."""


def metadata(config: CampaignConfig, experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Return what goes into start documents: names, seed, hash and text of the configuration, versions, instrument.

    With a pretrained prior its hash too, of the copy in the campaign's folder.
    """
    prior = config.surrogate.prior
    known = {} if prior is None else {"prior_hash": prior_hash(prior_of(prior, folder))}
    return {
        **known,
        "campaign": config.name,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "config": config.model_dump(mode="json"),
        "experiment": dict(experiment.describe()),
        "observables": list(experiment.observables),
    }
