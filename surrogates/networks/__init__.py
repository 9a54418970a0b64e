"""Networks: architectures of layers, ensembles of them evaluated together, their tangent kernels and training."""

from __future__ import annotations

from typing import Any

from surrogates.networks.activations import ACTIVATIONS
from surrogates.networks.architecture import (
    MLP,
    Architecture,
    chosen_layers,
    describe_architecture,
    make_architecture,
)
from surrogates.networks.convnet import Conv1d, ConvNet1d
from surrogates.networks.ensemble import NetworkEnsemble, run
from surrogates.networks.layers import BIAS, Dense, Layer, Parameters
from surrogates.networks.tangent import DenseTangent, JacobianTangent, Tangent
from surrogates.networks.training import train_map
from surrogates.networks.transformer import ElementTransformer

ARCHITECTURES: dict[str, Any] = {"mlp": MLP, "convnet": ConvNet1d, "transformer": ElementTransformer}
"""Kind, as a campaign file names it -> class."""

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "BIAS",
    "MLP",
    "Architecture",
    "Conv1d",
    "ConvNet1d",
    "Dense",
    "DenseTangent",
    "ElementTransformer",
    "JacobianTangent",
    "Layer",
    "NetworkEnsemble",
    "Parameters",
    "Tangent",
    "chosen_layers",
    "describe_architecture",
    "make_architecture",
    "run",
    "train_map",
]
