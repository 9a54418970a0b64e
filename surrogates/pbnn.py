"""Partially Bayesian neural networks as an ensemble of trunks.

The published recipe (Allec & Ziatdinov, Digital Discovery 2025, doi:10.1039/D5DD00027K) trains one deterministic trunk
and infers some layers on top of it; with few points its error bars are far too small, because the trunk's own
uncertainty is missing. Here many trunks are trained in one batched program, each with the posterior of the chosen
layers, and mixed: the disagreement of the trunks is the missing part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor

from surrogates.checks import check_training_data
from surrogates.errors import SurrogateError
from surrogates.inference import choose_engine
from surrogates.model import NetworkEnsembleModel
from surrogates.networks import NetworkEnsemble, train_map
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import read_state, write_state

PRIOR_SD = LogGrid(0.1, 10.0, 24)
"""Of the function, in standard deviations of the targets."""
NOISE_SD = LogGrid(0.02, 1.0, 24)
"""Of the model's own noise, in standard deviations of the targets, where it is all the noise there is."""
NOISE_SD_BESIDE_MEASURED = LogGrid(0.02, 1.0, 24, median=0.135)
"""The same where error bars were measured: what they leave out and what the networks cannot follow, both presumably
small (the log-normal prior of `GaussianProcess`). Without that presumption a sharp border passes for noise of more than
half the targets' spread as long as points are few, and a campaign measures the same place again and again."""


def chosen_layers(bayesian: str | Sequence[int], depth: int) -> tuple[int, ...]:
    """Return the indices of the Bayesian layers, ascending; `depth` counts the output layer."""
    named = {"all": tuple(range(depth)), "first": (0,), "last": (depth - 1,)}
    if isinstance(bayesian, str):
        if bayesian not in named:
            raise SurrogateError(f'bayesian must be "all", "first", "last" or layer indices, got {bayesian!r}')
        return named[bayesian]
    layers = sorted({layer + depth if layer < 0 else layer for layer in bayesian})
    if not layers or layers[0] < 0 or layers[-1] >= depth:
        raise SurrogateError(
            f"bayesian names layers {tuple(bayesian)}, but the network has {depth}: indices go from 0 to {depth - 1} "
            f"(or -{depth} to -1), and there must be at least one"
        )
    return tuple(layers)


class PBNN(NetworkEnsembleModel):
    """Ensemble of partially Bayesian networks, fitted when constructed: a BoTorch model with a joint posterior.

    Parameters
    ----------
    train_X
        ``(n, d)`` in the unit cube, n >= 2.
    train_Y
        ``(n, m)`` in original units; standardised inside. The outputs share nothing: each has its own networks.
    train_Yvar
        ``(n, m)`` measured variances, or None. The model's own noise is added to them, since measured error bars
        rarely hold everything.
    seed
        Of the networks' starting weights, the only random thing. The global generator is neither read nor changed.
    hidden, activation
        Widths of the hidden layers, and one of ``tanh relu silu gelu softplus sin``.
    bayesian
        Layers that are inferred: ``"all"``, ``"first"``, ``"last"``, or indices (0 is the first, -1 the output layer).
    members
        Networks per output.
    epochs, lr, map_noise_sd
        Training of the trunks (`surrogates.networks.train_map`).
    weight_prior
        What trunks start from and are drawn back to.
    prior_sd, noise_sd
        Grids over which the scale of the chosen layers' prior and of the noise are integrated, in standardised units.
        By default the noise is expected to be small where there are measured variances.
    inference
        ``"linearised"``, ``"conjugate"`` (last layer only), or ``"auto"``: the exact one where there is one.

    Notes
    -----
    The posterior that acquisition functions see is *one* Gaussian with the mixture's mean and covariance: mean of the
    members' covariances plus covariance of their means. BoTorch's other way, an ensemble posterior with a member
    dimension (`_is_ensemble`), averages acquisition values over members, so that the variance a mapping acquisition
    sees would be the average member's, without their disagreement; that is most of the uncertainty far from data.

    `condition_on_observations` and `fantasize` update every member exactly at the scales already inferred, in batches
    and with gradients; `update` also infers the scales anew, trunks kept. After conditioning, the posterior variance
    does depend on the values conditioned on, through the disagreement of the members: give
    `qNegIntegratedPosteriorVariance` a sampler with several draws where that matters.

    Raises
    ------
    SurrogateError
        If the data cannot be used (NaN, fewer than two points, mismatched shapes) or an option makes no sense.
    """

    def __init__(
        self,
        train_X: Tensor,
        train_Y: Tensor,
        train_Yvar: Tensor | None = None,
        *,
        seed: int = 0,
        hidden: Sequence[int] = (64, 32, 16, 8),
        activation: str = "tanh",
        bayesian: Literal["all", "first", "last"] | Sequence[int] = "all",
        members: int = 8,
        epochs: int = 100,
        lr: float = 0.03,
        map_noise_sd: float = 0.2,
        weight_prior: WeightPrior | None = None,
        prior_sd: LogGrid = PRIOR_SD,
        noise_sd: LogGrid | None = None,
        inference: Literal["auto", "linearised", "conjugate"] = "auto",
    ) -> None:
        super().__init__()
        began = time.perf_counter()
        check_training_data(train_X, train_Y, train_Yvar)
        if members < 1 or epochs < 0 or not hidden or min(hidden) < 1:
            raise SurrogateError(
                "members, hidden widths and their number must be at least 1 and epochs at least 0, got "
                f"members = {members}, hidden = {tuple(hidden)}, epochs = {epochs}"
            )
        self._layers = chosen_layers(bayesian, len(hidden) + 1)
        self._engine = choose_engine(inference, self._layers, len(hidden) + 1)
        if noise_sd is None:
            noise_sd = NOISE_SD if train_Yvar is None else NOISE_SD_BESIDE_MEASURED
        self._grids = (prior_sd, noise_sd)
        self._members = members
        self._dtype = train_X.dtype
        self._batch_shape = torch.Size()

        Y = train_Y.detach().double()
        spread = Y.std(0)
        self._shift, self._scale = Y.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread))
        self._reference = train_X.detach().double()
        self._set_data(train_X, train_Y, train_Yvar)

        weight_prior = WeightPrior() if weight_prior is None else weight_prior
        start = NetworkEnsemble.draw(
            train_X.shape[-1],
            hidden,
            members * train_Y.shape[-1],
            activation=activation,
            prior=weight_prior,
            generator=torch.Generator().manual_seed(seed),
        ).to(train_X.detach().float())
        targets, variances = self._standardised()
        trained = train_map(
            start,
            self._X,
            targets,
            variances=variances,
            noise_sd=map_noise_sd,
            prior=weight_prior,
            epochs=epochs,
            lr=lr,
        )
        self._networks = trained.to(self._X)
        self._posterior = self._infer()
        self._fit_s = time.perf_counter() - began
        self.eval()

    def diagnostics(self) -> dict[str, float | str]:
        """Return what was inferred, as plain numbers.

        ``log_evidence`` (mean over members, standardised units), ``noise_sd`` (original units), ``prior_sd`` (of the
        function, original units), ``member_spread`` (sd over members of the log evidence), ``fit_s``, ``engine``. With
        several outputs the first four carry ``.0``, ``.1`` ...
        """
        found: dict[str, float | str] = {
            "engine": self._engine.name,
            "fit_s": self._fit_s,
            "members": float(self._members),
        }
        for i in range(self.num_outputs):
            own = slice(i * self._members, (i + 1) * self._members)
            summary: Mapping[str, Tensor] = {k: v[own] for k, v in self._posterior.summary.items()}
            scale = float(self._scale[i])
            suffix = f".{i}" if self.num_outputs > 1 else ""
            evidence = summary["log_evidence"]
            found[f"log_evidence{suffix}"] = float(evidence.mean())
            found[f"member_spread{suffix}"] = float(evidence.std(correction=0))
            found[f"noise_sd{suffix}"] = scale * math.sqrt(float(summary["noise_sd"].square().mean()))
            found[f"prior_sd{suffix}"] = scale * math.sqrt(float(summary["prior_sd"].square().mean()))
        return found

    def pyro_model(
        self, X: Tensor, Y: Tensor | None = None, *, member: int = 0, output: int = 0, **scales: float
    ) -> Tensor:
        """Run the Pyro model of one network; see `surrogates.pyro_model.network_model`."""
        from surrogates.pyro_model import network_model

        return network_model(self, X, Y, member=member, output=output, **scales)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``; `load` gives bit-equal predictions."""
        tensors = {f"posterior.{k}": v for k, v in self._posterior.state().items()}
        for layer, (w, b) in enumerate(zip(self._networks.weights, self._networks.biases, strict=True)):
            tensors |= {f"weight.{layer}": w, f"bias.{layer}": b}
        tensors |= {
            "X": self._X,
            "Y": self._Y,
            "shift": self._shift,
            "scale": self._scale,
            "reference": self._reference,
        }
        if self._Yvar is not None:
            tensors["Yvar"] = self._Yvar
        settings = {
            "activation": self._networks.activation,
            "layers": self._layers,
            "engine": self._engine.name,
            "members": self._members,
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
        model = cls.__new__(cls)
        NetworkEnsembleModel.__init__(model)
        try:
            depth = sum(name.startswith("weight.") for name in tensors)
            model._networks = NetworkEnsemble(
                tuple(tensors[f"weight.{i}"] for i in range(depth)),
                tuple(tensors[f"bias.{i}"] for i in range(depth)),
                settings["activation"],
            )
            model._layers = tuple(settings["layers"])
            model._engine = choose_engine(settings["engine"], model._layers, depth)
            model._members = settings["members"]
            model._dtype = {"float32": torch.float32, "float64": torch.float64}[settings["dtype"]]
            model._grids = (LogGrid(**settings["prior_sd"]), LogGrid(**settings["noise_sd"]))
            model._fit_s = settings["fit_s"]
            model._batch_shape = torch.Size()
            model._set_data(tensors["X"], tensors["Y"], tensors.get("Yvar"))
            model._shift, model._scale = tensors["shift"], tensors["scale"]
            model._reference = tensors["reference"]
            state = {k.removeprefix("posterior."): v for k, v in tensors.items() if k.startswith("posterior.")}
            model._posterior = model._engine.restore(model._networks, model._layers, state)
        except (KeyError, TypeError) as error:
            raise SurrogateError(
                f"{path} is not a PBNN that this version wrote: {error!r} is missing or wrong"
            ) from error
        model.eval()
        return model
