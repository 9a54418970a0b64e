"""Partially Bayesian neural networks that tell classes apart, with probabilities that know what they do not know.

As in `surrogates.pbnn`, many trunks are trained in one batched program, the chosen layers of each are inferred, and
members and draws are mixed. What they agree to be ambiguous is the data's own (aleatoric) uncertainty; where they
disagree, nothing was learned (epistemic).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from surrogates.checks import as_options, check_points
from surrogates.class_model import ClassModel
from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.choice import Inferred, describe_engine, infer, make_engine
from surrogates.labels import check_labelled_data, class_names
from surrogates.likelihoods import Categorical
from surrogates.networks import NetworkEnsemble, chosen_layers, describe_architecture, make_architecture, train_map
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import named_parameters, read_parameters, read_state, write_state

MAP_PRIOR = WeightPrior(map_sd=2.0)
"""Logits are larger than standardised values: drawn back as those are, trunks learn too little."""
WEIGHT_SD = LogGrid.fixed(3.0)
"""Of the chosen layers' parameters, in units of ``1 / sqrt(fan_in)``: a priori most points belong to one class.

Fixed, since a variational posterior of the scale comes out too small and the probabilities too timid with it.
"""


class PBNNClassifier(ClassModel):
    """Ensemble of partially Bayesian networks for class labels, fitted when constructed.

    A BoTorch model whose outputs are the probabilities of the classes.

    Parameters
    ----------
    train_X
        ``(n, d)`` in the unit cube, n >= 2.
    labels
        ``(n,)`` integers from 0.
    classes
        Names of the classes, or their number; by default as many as the labels say.
    seed
        Of the networks' starting weights, the order of the points in training, and the engine's draws. The global
        generator is neither read nor changed.
    network
        Architecture: its ``kind`` (``mlp`` by default) and options (`surrogates.networks.ARCHITECTURES`); for curves
        ``{"kind": "convnet", "channels_in": 2}``.
    bayesian
        Layers that are inferred: ``"all"``, ``"first"``, ``"last"``, a layer's name, or several by index (0 is the
        first, -1 the output layer) or name.
    members
        Networks.
    epochs, lr, batch_size
        Training of the trunks (`surrogates.networks.train_map`). With a batch size of None every step sees all points.
    weight_prior
        What trunks start from and are drawn back to (a mapping of the fields of `WeightPrior` does as well).
    prior_sd
        Prior standard deviation of the chosen layers' parameters: known (`LogGrid.fixed`), or inferred over a grid.
    inference
        ``"hmc"``, ``"nuts"``, ``"svi"``, a mapping with ``kind`` and options of the engine, or ``"auto"``
        (`surrogates.inference.choice.automatic`: sampled while parameters times points are few, else variational).

    Raises
    ------
    SurrogateError
        If the data cannot be used (NaN, fewer than two points, labels that are no classes) or an option makes no
        sense.
    """

    def __init__(
        self,
        train_X: Tensor,
        labels: Tensor,
        *,
        classes: int | Sequence[str] | None = None,
        seed: int = 0,
        network: Mapping[str, Any] | None = None,
        bayesian: str | int | Sequence[int | str] = "last",
        members: int = 4,
        epochs: int = 40,
        lr: float = 0.03,
        batch_size: int | None = 64,
        weight_prior: WeightPrior | Mapping[str, float] | None = None,
        prior_sd: LogGrid | Mapping[str, float] = WEIGHT_SD,
        inference: str | Mapping[str, Any] = "auto",
    ) -> None:
        super().__init__()
        began = time.perf_counter()
        self._class_names = class_names(labels, classes)
        check_labelled_data(train_X, labels, len(self._class_names))
        if members < 1 or epochs < 0 or not lr > 0:
            raise SurrogateError(
                "members must be at least 1, epochs at least 0 and lr positive, got "
                f"members = {members}, epochs = {epochs}, lr = {lr}"
            )
        self._likelihood = Categorical(len(self._class_names))
        architecture = make_architecture(network or {}, train_X.shape[-1], self._likelihood.heads)
        self._layers = chosen_layers(bayesian, architecture.layers)
        self._prior_sd = as_options(LogGrid, prior_sd)
        self._seed, self._inference = seed, inference
        self._dtype = train_X.dtype
        self._X, self._labels = train_X.detach().double(), labels.detach().long()

        prior = MAP_PRIOR if weight_prior is None else as_options(WeightPrior, weight_prior)
        generator = torch.Generator().manual_seed(seed)
        start = NetworkEnsemble.draw(architecture, members, prior=prior, generator=generator)
        trained = train_map(
            start.to(train_X.detach().float()),
            self._X,
            self._labels.expand(members, -1),
            likelihood=self._likelihood,
            variances=None,
            noise_sd=1.0,
            prior=prior,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            generator=generator,
        )
        self._networks = trained.to(self._X)
        with torch.no_grad():
            self._set_posterior(infer(self._problem(), inference))
        self._fit_s = time.perf_counter() - began
        self.eval()

    def _problem(self) -> Problem:
        targets = self._labels.to(self._X).expand(self.members, -1)
        scales = (self._prior_sd, LogGrid.fixed(1.0))  # labels have no noise
        return Problem(
            self._networks, self._layers, self._X, targets, None, *scales, self._X, self._likelihood, seed=self._seed
        )

    @property
    def train_inputs(self) -> tuple[Tensor]:
        """``(n, d)`` points fitted."""
        return (self._X.to(self._dtype),)

    def diagnostics(self) -> dict[str, float | str]:
        """Return what was inferred, and how, as plain numbers and words.

        ``engine``, ``converged`` (1 or 0), ``failed`` (engines that `auto` tried before and that did not converge),
        ``members``, ``classes``, ``fit_s``, ``prior_sd`` (of the chosen parameters, root mean square over members),
        and what the engine reports of itself (`MemberPosterior.report`).
        """
        return {
            "engine": self._inferred.engine.name,
            "converged": float(self.converged),
            "failed": ", ".join(self._inferred.failed),
            "fit_s": self._fit_s,
            "members": float(self.members),
            "classes": float(self.num_outputs),
            "prior_sd": float(self._draws.summary["prior_sd"].square().mean().sqrt()),
            **self._draws.report,
        }

    def update(self, X: Tensor, labels: Tensor) -> Self:
        """Model with further points ``(k, d)`` and labels ``(k,)``; trunks are kept, `self` is unchanged."""
        if len(self._X) == 0:
            raise SurrogateError("this classifier was saved without its data: it can predict, and not be updated")
        check_labelled_data(X, labels, self.num_outputs, at_least=1)
        check_points(X, self._X.shape[-1])
        began = time.perf_counter()
        model = copy.copy(self)
        model._X = torch.cat([self._X, X.double()])
        model._labels = torch.cat([self._labels, labels.long()])
        with torch.no_grad():
            posterior = self._inferred.engine.update(self._draws, model._problem())
        model._set_posterior(replace(self._inferred, posterior=posterior))
        model._fit_s = time.perf_counter() - began
        return model

    def save(self, path: str | Path, *, data: bool = True) -> None:
        """Write ``path.safetensors`` and ``path.json``; `load` gives bit-equal predictions.

        Without the `data`, what is loaded can predict, and not be updated.
        """
        X, labels = (self._X, self._labels) if data else (self._X[:0], self._labels[:0])
        tensors = {f"posterior.{k}": v for k, v in self._draws.state().items()}
        tensors |= {**named_parameters("network", self._networks), "X": X, "labels": labels}
        settings = {
            "network": describe_architecture(self._networks.architecture),
            "classes": self._class_names,
            "layers": self._layers,
            "inference": self._inference,
            "engine": describe_engine(self._inferred.engine),
            "failed": self._inferred.failed,
            "seed": self._seed,
            "dtype": str(self._dtype).removeprefix("torch."),
            "prior_sd": asdict(self._prior_sd),
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
        ClassModel.__init__(model)
        try:
            model._class_names = tuple(settings["classes"])
            model._likelihood = Categorical(len(model._class_names))
            architecture = make_architecture(settings["network"], tensors["X"].shape[-1], model._likelihood.heads)
            model._networks = read_parameters("network", architecture, tensors)
            model._layers = tuple(settings["layers"])
            model._prior_sd = LogGrid(**settings["prior_sd"])
            model._seed, model._inference, model._fit_s = (settings[k] for k in ("seed", "inference", "fit_s"))
            model._dtype = {"float32": torch.float32, "float64": torch.float64}[settings["dtype"]]
            model._X, model._labels = tensors["X"], tensors["labels"]
            state = {k.removeprefix("posterior."): v for k, v in tensors.items() if k.startswith("posterior.")}
            engine = make_engine(settings["engine"])
            posterior = engine.restore(model._problem(), state)
            model._set_posterior(Inferred(engine, posterior, tuple(settings["failed"])))
        except (KeyError, TypeError, AttributeError) as error:
            raise SurrogateError(
                f"{path} is not a classifier that this version wrote: {error!r} is missing or wrong"
            ) from error
        model.eval()
        return model
