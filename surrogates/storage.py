"""A model's state as two files, tensors (safetensors) and settings (JSON): reading them never executes anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks import Architecture, NetworkEnsemble

_SUFFIXES = (".safetensors", ".json")


def versions() -> dict[str, str]:
    """Versions of what a model's numbers depend on."""
    return {name: version(name) for name in ("beamloop", "torch", "numpy")}


def without_suffix(path: str | Path) -> Path:
    """Return the path that was saved to, where one of its two files was named."""
    path = Path(path)
    return path.with_suffix("") if path.suffix in _SUFFIXES else path


def _paths(path: Path) -> tuple[Path, Path]:
    tensor_file, settings_file = (path.with_name(path.name + suffix) for suffix in _SUFFIXES)
    return tensor_file, settings_file


def write_state(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Write ``path.safetensors`` and ``path.json``, the latter last."""
    tensor_file, settings_file = _paths(path)
    save_file(
        {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()},
        tensor_file,
    )
    settings_file.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_state` wrote.

    Raises
    ------
    SurrogateError
        If a file is missing or broken.
    """
    tensor_file, settings_file = _paths(path)
    try:
        settings = json.loads(settings_file.read_text(encoding="utf-8"))
        tensors = load_file(tensor_file)
    except (OSError, ValueError, SafetensorError) as error:
        raise SurrogateError(
            f"no model can be read from {tensor_file} and {settings_file.name}: {error}. "
            "Give the path that was saved to, without a suffix"
        ) from error
    return tensors, settings


def named_parameters(prefix: str, networks: NetworkEnsemble) -> dict[str, Tensor]:
    """Name the parameters of an ensemble ``prefix.<layer>.<parameter>``."""
    layers = zip(networks.architecture.layers, networks.parameters, strict=True)
    return {f"{prefix}.{layer.name}.{name}": t for layer, own in layers for name, t in own.items()}


def read_parameters(prefix: str, architecture: Architecture, tensors: Mapping[str, Tensor]) -> NetworkEnsemble:
    """Rebuild an ensemble from what `named_parameters` named; a KeyError names what is missing."""
    return NetworkEnsemble(
        architecture,
        tuple(
            {name: tensors[f"{prefix}.{layer.name}.{name}"] for name in layer.shapes} for layer in architecture.layers
        ),
    )
