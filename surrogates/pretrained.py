"""Pretrained priors: networks trained on theory, with the scaling that they were trained in.

A network means nothing without its scaling: its inputs are a unit cube between physical bounds, its output standardised
targets, and a model that fits a few measurements has other bounds and another standardisation. Both are affine, so
both can be absorbed into the first and the last layer *exactly*: `PretrainedPrior.rescaled` and
`PretrainedPrior.standardised` give networks that compute the same physical function in another model's units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.likelihoods import Likelihood
from surrogates.networks import MLP, NetworkEnsemble, describe_architecture, make_architecture
from surrogates.storage import named_parameters, read_parameters, read_state, without_suffix, write_state

FORMAT = "beamloop-prior"
VERSION = 1
_BEYOND = 0.1
"""How far a space may reach beyond the bounds of pretraining, in parts of their distance."""
_ARRAYS = ("low", "high", "shift", "scale", "width", "noise_sd")


@dataclass(frozen=True, eq=False)
class PretrainedPrior:
    """An ensemble of pretrained networks; the prior of another model."""

    networks: NetworkEnsemble
    """``G = m * members`` networks of one head, float64, output-major; from the unit cube to standardised targets."""
    input_names: tuple[str, ...]
    """``(d,)``."""
    output_names: tuple[str, ...]
    """``(m,)``."""
    low: Tensor
    """``(d,)`` what the unit cube's lower faces stand for, in physical units."""
    high: Tensor
    """``(d,)``."""
    shift: Tensor
    """``(m,)`` targets are ``shift + scale * network``, in original units."""
    scale: Tensor
    """``(m,)``."""
    width: Tensor
    """``(m,)`` standard deviation of the function around the networks that the held-out part speaks for, original
    units."""
    noise_sd: Tensor
    """``(m,)`` what is left of the held-out part beside it, original units."""
    card: Mapping[str, Any]
    """What it was trained on and how well it does: plain data, for people."""

    def __post_init__(self) -> None:
        d, m = len(self.input_names), len(self.output_names)
        shapes = {"low": d, "high": d, "shift": m, "scale": m, "width": m, "noise_sd": m}
        for name, size in shapes.items():
            value = getattr(self, name)
            if value.shape != (size,) or not bool(torch.isfinite(value).all()):
                raise SurrogateError(f"a prior's {name} must be {size} finite numbers, got {value.tolist()}")
        if not bool((self.low < self.high).all()) or not bool((self.scale > 0).all()):
            raise SurrogateError("a prior needs low < high for every input and a positive scale for every output")
        architecture = self.networks.architecture
        if architecture.n_inputs != d or architecture.n_outputs != 1 or self.networks.members % m:
            raise SurrogateError(
                f"a prior of {d} inputs and {m} outputs needs networks with {d} inputs, one head and a multiple of {m} "
                f"members, got {architecture.n_inputs}, {architecture.n_outputs} and {self.networks.members}"
            )

    @property
    def members(self) -> int:
        """Networks per output."""
        return self.networks.members // len(self.output_names)

    @property
    def network(self) -> dict[str, Any]:
        """What `surrogates.networks.make_architecture` builds the architecture from."""
        return describe_architecture(self.networks.architecture)

    def function(self, X: Tensor) -> Tensor:
        """Compute every member's targets ``(members, n, m)`` in original units at physical ``X (n, d)``."""
        if X.ndim != 2 or X.shape[-1] != len(self.input_names):
            raise SurrogateError(
                f"the prior's inputs are {', '.join(self.input_names)}: expected (n, {len(self.input_names)}), got "
                f"{tuple(X.shape)}"
            )
        with torch.no_grad():
            cube = (X.to(self.low) - self.low) / (self.high - self.low)
            outputs = self.networks(cube).squeeze(-1).unflatten(0, (len(self.output_names), -1))
        return (self.shift[:, None, None] + self.scale[:, None, None] * outputs).movedim(0, -1)

    def rescaled(self, low: Tensor, high: Tensor) -> Self:
        """Return the same function of another unit cube, whose faces stand for `low` and `high` ``(d,)``.

        Raises
        ------
        SurrogateError
            If the cubes differ and the architecture does not begin with a layer that can take the difference (only
            an MLP does).
        """
        low, high = low.to(self.low), high.to(self.high)
        if low.shape != self.low.shape or high.shape != self.high.shape or not bool((low < high).all()):
            raise SurrogateError(
                f"bounds need low < high for each of {', '.join(self.input_names)}, got {low.tolist()} and "
                f"{high.tolist()}"
            )
        if torch.equal(low, self.low) and torch.equal(high, self.high):
            return self
        architecture = self.networks.architecture
        if not isinstance(architecture, MLP):
            raise SurrogateError(
                f"a pretrained network of kind {self.network['kind']!r} cannot change its inputs' bounds exactly: it "
                f"was trained between {self.low.tolist()} and {self.high.tolist()}, and needs the same bounds here"
            )
        # In [-1, 1]: old = ratio * new + offset.
        span = self.high - self.low
        ratio = (high - low) / span
        offset = (low + high - self.low - self.high) / span
        first = self.networks.parameters[0]
        weight = first["weight"]
        changed = {
            "weight": ratio[:, None] * weight,
            "bias": first["bias"] + (offset @ weight) * architecture.n_inputs**-0.5,
        }
        networks = replace(self.networks, parameters=(changed, *self.networks.parameters[1:]))
        return replace(self, networks=networks, low=low, high=high)

    def standardised(self, shift: Tensor, scale: Tensor) -> Self:
        """Return the same function for targets standardised by `shift` and `scale` ``(m,)``; exact for every kind."""
        shift, scale = shift.to(self.shift), scale.to(self.scale)
        if shift.shape != self.shift.shape or scale.shape != self.scale.shape or not bool((scale > 0).all()):
            raise SurrogateError(
                f"a standardisation needs one shift and one positive scale for each of {', '.join(self.output_names)}, "
                f"got {shift.tolist()} and {scale.tolist()}"
            )
        ratio = (self.scale / scale).repeat_interleave(self.members)
        offset = ((self.shift - shift) / scale).repeat_interleave(self.members)
        last = self.networks.parameters[-1]
        changed = {
            "weight": ratio[:, None, None] * last["weight"],
            "bias": ratio[:, None] * last["bias"] + offset[:, None],
        }
        networks = replace(self.networks, parameters=(*self.networks.parameters[:-1], changed))
        return replace(self, networks=networks, shift=shift, scale=scale)

    def select(self, outputs: Sequence[str]) -> Self:
        """Return the prior of some outputs, in that order."""
        missing = [name for name in outputs if name not in self.output_names]
        if missing or not outputs:
            raise SurrogateError(
                f"the prior is of {', '.join(self.output_names)}, and not of {', '.join(missing) or 'nothing'}"
            )
        rows = torch.tensor([self.output_names.index(name) for name in outputs])
        index = (rows[:, None] * self.members + torch.arange(self.members)).flatten()
        arrays = {name: getattr(self, name)[rows] for name in ("shift", "scale", "width", "noise_sd")}
        return replace(self, networks=self.networks.select(index), output_names=tuple(outputs), **arrays)

    def first(self, members: int) -> Self:
        """Return the prior with so many networks per output at most."""
        m = len(self.output_names)
        keep = torch.arange(self.networks.members).view(m, -1)[:, :members].flatten()
        return replace(self, networks=self.networks.select(keep))

    def fitted_to(self, names: Sequence[str], low: Sequence[float], high: Sequence[float]) -> Self:
        """Return the same function of a space: its inputs in the space's order, its cube that of the space's bounds.

        Raises
        ------
        SurrogateError
            If the inputs' names are not the space's, or the space reaches beyond what the prior was trained on by more
            than a tenth of that.
        """
        if sorted(names) != sorted(self.input_names):
            raise SurrogateError(
                f"the prior was trained on the inputs {', '.join(self.input_names)}, and the space has "
                f"{', '.join(names)}: they must be the same"
            )
        order = [self.input_names.index(name) for name in names]
        moved = self if order == list(range(len(order))) else self._reordered(order)
        lower, upper = torch.tensor(list(low), dtype=torch.float64), torch.tensor(list(high), dtype=torch.float64)
        slack = _BEYOND * (moved.high - moved.low)
        for i in torch.nonzero((lower < moved.low - slack) | (upper > moved.high + slack)).flatten().tolist():
            raise SurrogateError(
                f"the prior was trained on {names[i]} from {float(moved.low[i]):g} to {float(moved.high[i]):g}, and "
                f"the space goes from {float(lower[i]):g} to {float(upper[i]):g}: pretrain one for that range"
            )
        return moved.rescaled(lower, upper)

    def _reordered(self, order: Sequence[int]) -> Self:
        architecture = self.networks.architecture
        if not isinstance(architecture, MLP):
            raise SurrogateError(
                f"the inputs of a pretrained network of kind {self.network['kind']!r} cannot be reordered: name them "
                f"as it does: {', '.join(self.input_names)}"
            )
        rows = torch.tensor(order)
        first = self.networks.parameters[0]
        changed = {**first, "weight": first["weight"][:, rows]}
        return replace(
            self,
            networks=replace(self.networks, parameters=(changed, *self.networks.parameters[1:])),
            input_names=tuple(self.input_names[i] for i in order),
            low=self.low[rows],
            high=self.high[rows],
        )

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and the card ``path.json``."""
        tensors = {name: getattr(self, name) for name in _ARRAYS}
        tensors |= named_parameters("network", self.networks)
        settings = {
            "format": FORMAT,
            "version": VERSION,
            "input_names": list(self.input_names),
            "output_names": list(self.output_names),
            "network": self.network,
            "layers": [layer.name for layer in self.networks.architecture.layers],
            "scaling": {name: getattr(self, name).tolist() for name in _ARRAYS},
            "card": dict(self.card),
        }
        write_state(Path(path), tensors, settings)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; the suffix of either file may be left on.

        Raises
        ------
        SurrogateError
            If a file is missing, broken, or not a prior.
        """
        path = without_suffix(path)
        tensors, settings = read_state(path)
        if not isinstance(settings, dict) or settings.get("format") != FORMAT:
            raise SurrogateError(f"{path}.json is not the card of a pretrained prior (`beamloop pretrain` writes one)")
        if settings.get("version") != VERSION:
            raise SurrogateError(
                f"{path} is a prior of version {settings.get('version')!r}, and this program reads version {VERSION}: "
                "pretrain it again"
            )
        try:
            names, outputs = tuple(settings["input_names"]), tuple(settings["output_names"])
            architecture = make_architecture(settings["network"], len(names), 1)
            networks = read_parameters("network", architecture, tensors).map(lambda t: t.double())
            for layer, own in zip(architecture.layers, networks.parameters, strict=True):
                for name, shape in layer.shapes.items():
                    if own[name].shape[1:] != shape or not bool(torch.isfinite(own[name]).all()):
                        raise SurrogateError(
                            f"{path}.safetensors: {layer.name}.{name} must be (members, {', '.join(map(str, shape))}) "
                            f"finite numbers, got {tuple(own[name].shape)}"
                        )
            arrays = {name: tensors[name].double() for name in _ARRAYS}
            return cls(networks, names, outputs, card=dict(settings["card"]), **arrays)
        except (KeyError, TypeError, AttributeError) as error:
            raise SurrogateError(
                f"{path} is not a prior that this version wrote: {error!r} is missing or wrong"
            ) from error


def as_prior(
    given: str | Path | PretrainedPrior | None,
    inputs: int,
    outputs: int,
    network: Mapping[str, Any] | None,
    likelihood: Likelihood,
) -> PretrainedPrior | None:
    """Return the prior that a model of so many inputs and outputs was given, loaded if it is a path.

    Raises
    ------
    SurrogateError
        If it cannot be read or does not fit the model.
    """
    if given is None:
        return None
    prior = given if isinstance(given, PretrainedPrior) else PretrainedPrior.load(given)
    if (len(prior.input_names), len(prior.output_names)) != (inputs, outputs):
        raise SurrogateError(
            f"the prior maps {', '.join(prior.input_names)} to {', '.join(prior.output_names)}; the model has {inputs} "
            f"inputs and {outputs} outputs"
        )
    if likelihood.heads != 1:
        raise SurrogateError(f"a pretrained prior has one head, the likelihood {likelihood.kind!r} {likelihood.heads}")
    if network is not None and make_architecture(network, inputs, 1) != prior.networks.architecture:
        raise SurrogateError(
            f"the network of a pretrained prior is its own, {prior.network}: leave network out, got {dict(network)}"
        )
    return prior
