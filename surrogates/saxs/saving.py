"""A classifier as two files: tensors (safetensors), and its settings and card (JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from surrogates.errors import SurrogateError
from surrogates.inference.draws import DrawsPosterior
from surrogates.likelihoods import Categorical
from surrogates.networks import describe_architecture, make_architecture
from surrogates.networks.layers import BIAS
from surrogates.saxs.curves import QGrid
from surrogates.saxs.features import CHANNELS, Encoder
from surrogates.saxs.instrument import InstrumentReference
from surrogates.saxs.novelty import NoveltyDetector
from surrogates.storage import named_parameters, read_parameters, read_state, without_suffix, write_state

if TYPE_CHECKING:
    from surrogates.saxs.model import SaxsClassifier

FORMAT = 1
LIMITS = [
    "Classes are those of the training data alone: whatever else a curve shows is put among them, with a small p-value "
    "where it is seen to be new.",
    "Probabilities presume that classes are as frequent as in training, and samples like those that were simulated.",
    "With absolute scale, intensities must be 1/cm.",
    "Nothing outside the range of q in training is looked at.",
]


def plain(settings: Any) -> dict[str, Any]:
    """Return a dataclass as JSON values."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}


def write(model: SaxsClassifier, path: Path) -> None:
    """Write ``path.safetensors`` and ``path.json``."""
    path = without_suffix(path)
    networks = model.posterior.networks
    last = model.posterior.parameters[networks.depth - 1]
    tensors = {
        **named_parameters("network", networks),
        "posterior.weight": last["weight"],
        "posterior.bias": last[BIAS],
        "encoder.mean": torch.from_numpy(model.encoder.mean),
        "encoder.sd": torch.from_numpy(model.encoder.sd),
        **{f"novelty.{name}": t for name, t in model.detector.state().items()},
    }
    if model.reference is not None:
        tensors |= {f"reference.{name}": t for name, t in model.reference.state().items()}
    settings = {
        "format": FORMAT,
        "kind": "saxs classifier",
        "classes": list(model.classes),
        "grid": asdict(model.grid),
        "scale": model.encoder.scale,
        "network": describe_architecture(networks.architecture),
        "prior_sd": float(model.posterior.prior_sd.flatten()[0]),
        "temperature": model.temperature,
        "card": dict(model.card),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_state(path, tensors, settings)
    except OSError as error:
        raise SurrogateError(f"{path}: cannot be written ({error.strerror})") from error


def read(path: Path) -> dict[str, Any]:
    """Read the fields of a classifier."""
    path = without_suffix(path)
    tensors, settings = read_state(path)
    try:
        if settings["kind"] != "saxs classifier" or settings["format"] != FORMAT:
            raise SurrogateError(f"{path}.json: is no SAXS classifier of format {FORMAT}")
        classes, grid = tuple(settings["classes"]), QGrid(**settings["grid"])
        weight, bias = tensors["posterior.weight"], tensors["posterior.bias"]
        # One output more than classes, if the networks know of strangers.
        architecture = make_architecture(settings["network"], CHANNELS * grid.points, weight.shape[-1])
        networks = read_parameters("network", architecture, tensors)
        ones = torch.ones(weight.shape[:3], dtype=weight.dtype)
        last = networks.depth - 1
        posterior = DrawsPosterior(
            networks,
            (last,),
            Categorical(weight.shape[-1]),
            {last: {"weight": weight, BIAS: bias}},
            ones,
            settings["prior_sd"] * ones,
            {},
            True,
        )
        scale = settings["scale"]
        encoder = Encoder(scale, tensors["encoder.mean"].numpy(), tensors["encoder.sd"].numpy())
        reference = _part(tensors, "reference.")
        return {
            "classes": classes,
            "grid": grid,
            "encoder": encoder,
            "posterior": posterior,
            "temperature": settings["temperature"],
            "detector": NoveltyDetector.restore(_part(tensors, "novelty."), encoder),
            "card": settings["card"],
            "reference": InstrumentReference.restore(reference, scale) if reference else None,
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SurrogateError(
            f"{path}: is not a SAXS classifier that this version wrote: {error!r} is missing or wrong"
        ) from error


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
