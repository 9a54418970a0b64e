"""A PBNN's state as files: tensors and settings, from which predictions are the same bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from surrogates.components import STATIONARY, Component, Kernel
from surrogates.errors import SurrogateError
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.inference.stationary import Matern
from surrogates.likelihoods import describe_likelihood, make_likelihood
from surrogates.model import NetworkEnsembleModel
from surrogates.networks import Architecture, describe_architecture, make_architecture
from surrogates.priors import LogGrid
from surrogates.storage import named_parameters, read_parameters, read_state, write_state
from surrogates.theory_function import TheoryFunction
from surrogates.theory_kernel import TheoryMatern

_THEORY = ("coefficients", "slope", "offset")


def _kernel(architecture: Architecture, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Kernel:
    """Rebuild a stationary group's kernel."""
    if "slope" not in tensors:
        return Matern(tensors["lengthscale"])
    networks = read_parameters("theory", architecture, tensors)
    theory = TheoryFunction(networks, *(tensors[name] for name in _THEORY))
    return TheoryMatern(tensors["lengthscale"], theory, settings["scaled"])


class SavedEnsembleModel(NetworkEnsembleModel):
    """An ensemble that can be written to files and read from them."""

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``; `load` gives bit-equal predictions."""
        if isinstance(self._posterior, ConditionedPosterior):
            raise SurrogateError("a model conditioned on fantasies cannot be saved: save the model, or use update()")
        tensors = {
            "X": self._X,
            "Y": self._Y,
            "shift": self._shift,
            "scale": self._scale,
            "reference": self._reference,
        }
        if self._Yvar is not None:
            tensors["Yvar"] = self._Yvar
        for i, component in enumerate(self._components):
            tensors |= {f"{i}.posterior.{k}": v for k, v in component.result.posterior.state().items()}
            tensors |= named_parameters(f"{i}.network", component.networks)
            if component.kernel is not None:
                tensors[f"{i}.lengthscale"] = component.kernel.lengthscale
            if component.theory is not None:
                tensors |= named_parameters(f"{i}.theory", component.theory.networks)
                tensors |= {f"{i}.{name}": getattr(component.theory, name) for name in _THEORY}
            if component.cost is not None:
                tensors[f"{i}.cost"] = component.cost
            if component.centre is not None:
                tensors |= named_parameters(f"{i}.centre", component.centre)
        settings = {
            "network": describe_architecture(self.networks.architecture),
            "likelihood": describe_likelihood(self._likelihood),
            "layers": self._layers,
            "inference": self._inference,
            "components": [component.describe() for component in self._components],
            "mixing": self._mixing,
            "seed": self._seed,
            "dtype": str(self._dtype).removeprefix("torch."),
            "prior_sd": asdict(self._grids[0]),
            "noise_sd": asdict(self._grids[1]),
            "fit_s": self._fit_s,
        }
        write_state(Path(path), tensors, settings)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        SurrogateError
            If the files are missing or not what `save` writes.
        """
        tensors, settings = read_state(Path(path))
        # As the allocator places them: where in memory numbers begin decides how sums over them are rounded.
        tensors = {name: t.clone() for name, t in tensors.items()}
        model = cls.__new__(cls)
        NetworkEnsembleModel.__init__(model)
        try:
            model._likelihood = make_likelihood(settings["likelihood"])
            architecture = make_architecture(settings["network"], tensors["X"].shape[-1], model._likelihood.heads)
            model._layers = tuple(settings["layers"])
            model._inference, model._mixing, model._seed = (settings[k] for k in ("inference", "mixing", "seed"))
            model._dtype = {"float32": torch.float32, "float64": torch.float64}[settings["dtype"]]
            model._grids = (LogGrid(**settings["prior_sd"]), LogGrid(**settings["noise_sd"]))
            model._fit_s = settings["fit_s"]
            model._batch_shape = torch.Size()
            model._set_data(tensors["X"], tensors["Y"], tensors.get("Yvar"))
            model._shift, model._scale = tensors["shift"], tensors["scale"]
            model._reference = tensors["reference"]
            components = []
            for i, own in enumerate(settings["components"]):
                mine = {k.removeprefix(f"{i}."): t for k, t in tensors.items() if k.startswith(f"{i}.")}
                component = Component(
                    own["kind"],
                    read_parameters("network", architecture, mine),
                    own["share"],
                    _kernel(architecture, mine, own) if own["kind"] == STATIONARY else None,
                    own["camp"],
                    read_parameters("centre", architecture, mine)
                    if any(k.startswith("centre.") for k in mine)
                    else None,
                    mine.get("cost"),
                )
                state = {k.removeprefix("posterior."): t for k, t in mine.items() if k.startswith("posterior.")}
                components.append(component.restored(model._problem_of(component), own, state))
            model._components = tuple(components)
            model._join()
        except (KeyError, TypeError, AttributeError) as error:
            raise SurrogateError(
                f"{path} is not a PBNN that this version wrote: {error!r} is missing or wrong"
            ) from error
        model.eval()
        return model
