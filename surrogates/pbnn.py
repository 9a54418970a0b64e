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
from typing import Any, Self, get_args

import torch
from torch import Tensor

from surrogates.checks import as_options, check_training_data
from surrogates.errors import SurrogateError
from surrogates.inference.choice import Inferred, describe_engine, make_engine
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.likelihoods import Categorical, describe_likelihood, make_likelihood
from surrogates.model import Mixing, NetworkEnsembleModel
from surrogates.networks import NetworkEnsemble, chosen_layers, describe_architecture, make_architecture, train_map
from surrogates.priors import LogGrid, WeightPrior
from surrogates.storage import named_parameters, read_parameters, read_state, write_state

PRIOR_SD = LogGrid(0.1, 10.0, 24)
"""Of the function, in standard deviations of the targets."""
NOISE_SD = LogGrid(0.02, 1.0, 24)
"""Of the model's own noise, in standard deviations of the targets, where it is all the noise there is."""
NOISE_SD_BESIDE_MEASURED = LogGrid(0.02, 1.0, 24, median=0.135)
"""The same where error bars were measured: what they leave out and what the networks cannot follow, both presumably
small (the log-normal prior of `GaussianProcess`). Without that presumption a sharp border passes for noise of more than
half the targets' spread as long as points are few, and a campaign measures the same place again and again."""


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
    network
        Architecture: its ``kind`` (``mlp`` by default) and options (`surrogates.networks.ARCHITECTURES`), for instance
        ``{"hidden": [64, 32], "activation": "relu"}``. The default is a perceptron of 64, 32, 16 and 8 tanh units.
    bayesian
        Layers that are inferred: ``"all"``, ``"first"``, ``"last"``, a layer's name, or several by index (0 is the
        first, -1 the output layer) or name.
    likelihood
        How values scatter: ``"gaussian"``, ``"heteroscedastic"``, ``"student_t"``, or a mapping with ``kind`` and
        options (`surrogates.likelihoods`). For class labels there is `surrogates.classifier.PBNNClassifier`.
    members
        Networks per output.
    epochs, lr, map_noise_sd
        Training of the trunks (`surrogates.networks.train_map`).
    weight_prior
        What trunks start from and are drawn back to (a mapping of the fields of `WeightPrior` does as well).
    prior_sd, noise_sd
        Grids over which the scale of the chosen layers' prior and of the noise are integrated, in standardised units.
        By default the noise is expected to be small where there are measured variances.
    inference
        ``"conjugate"`` (last layer, exact), ``"linearised"``, ``"hmc"``, ``"nuts"``, ``"svi"``, a mapping with ``kind``
        and options of the engine, or ``"auto"`` (`surrogates.inference.choice.automatic`).
    mixing
        ``"equal"``, or ``"evidence"``: members weighed by how probable they make the data (engines that know that).

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
        network: Mapping[str, Any] | None = None,
        bayesian: str | int | Sequence[int | str] = "all",
        likelihood: str | Mapping[str, Any] = "gaussian",
        members: int = 8,
        epochs: int = 100,
        lr: float = 0.03,
        map_noise_sd: float = 0.2,
        weight_prior: WeightPrior | Mapping[str, float] | None = None,
        prior_sd: LogGrid | Mapping[str, float] = PRIOR_SD,
        noise_sd: LogGrid | Mapping[str, float] | None = None,
        inference: str | Mapping[str, Any] = "auto",
        mixing: Mixing = "equal",
    ) -> None:
        super().__init__()
        began = time.perf_counter()
        check_training_data(train_X, train_Y, train_Yvar)
        if members < 1 or epochs < 0 or not lr > 0 or not map_noise_sd > 0:
            raise SurrogateError(
                "members must be at least 1, epochs at least 0, lr and map_noise_sd positive, got "
                f"members = {members}, epochs = {epochs}, lr = {lr}, map_noise_sd = {map_noise_sd}"
            )
        self._likelihood = make_likelihood(likelihood)
        if isinstance(self._likelihood, Categorical):
            raise SurrogateError("class labels are no values: use surrogates.classifier.PBNNClassifier for them")
        architecture = make_architecture(network or {}, train_X.shape[-1], self._likelihood.heads)
        self._layers = chosen_layers(bayesian, architecture.layers)
        if noise_sd is None:
            noise_sd = NOISE_SD if train_Yvar is None else NOISE_SD_BESIDE_MEASURED
        self._grids = (as_options(LogGrid, prior_sd), as_options(LogGrid, noise_sd))
        if mixing not in get_args(Mixing):
            raise SurrogateError(f'mixing must be "equal" or "evidence", got {mixing!r}')
        self._mixing, self._members, self._seed, self._inference = mixing, members, seed, inference
        self._dtype = train_X.dtype
        self._batch_shape = torch.Size()
        self._centre = None

        Y = train_Y.detach().double()
        spread = Y.std(0)
        self._shift, self._scale = Y.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread))
        self._reference = train_X.detach().double()
        self._set_data(train_X, train_Y, train_Yvar)

        prior = WeightPrior() if weight_prior is None else as_options(WeightPrior, weight_prior)
        start = NetworkEnsemble.draw(
            architecture,
            members * train_Y.shape[-1],
            prior=prior,
            generator=torch.Generator().manual_seed(seed),
        ).to(train_X.detach().float())
        self._networks = start.to(self._X)
        problem = self.problem()
        trained = train_map(
            start,
            self._X,
            problem.targets,
            likelihood=self._likelihood,
            variances=problem.variances,
            noise_sd=map_noise_sd,
            prior=prior,
            epochs=epochs,
            lr=lr,
        )
        self._networks = trained.to(self._X)
        self._infer()
        if mixing == "evidence" and "log_evidence" not in self._posterior.summary:
            raise SurrogateError(
                f'engine {self._inferred.engine.name!r} does not know the evidence: mixing must be "equal" with it'
            )
        self._fit_s = time.perf_counter() - began
        self.eval()

    @property
    def converged(self) -> bool:
        """Whether the inference can be trusted; False is also in `diagnostics`."""
        return self._posterior.converged

    def diagnostics(self) -> dict[str, float | str]:
        """Return what was inferred, and how, as plain numbers and words.

        Always ``engine``, ``converged`` (1 or 0), ``failed`` (engines that `auto` tried before and that did not
        converge), ``members`` and ``fit_s``; what the engine reports of itself (`MemberPosterior.report`); and of each
        output ``noise_sd`` and ``prior_sd`` (of the function) in original units, and where the engine knows it
        ``log_evidence`` (mean over members, standardised units) and ``member_spread`` (its sd over members). With
        several outputs these carry ``.0``, ``.1`` ...
        """
        found: dict[str, float | str] = {
            "engine": self._inferred.engine.name,
            "converged": float(self._posterior.converged),
            "failed": ", ".join(self._inferred.failed),
            "fit_s": self._fit_s,
            "members": float(self._members),
            **self._posterior.report,
        }
        weights = self.mixture_weights
        shape = (self.num_outputs, self._members)
        summary: Mapping[str, Tensor] = {k: v.view(shape) for k, v in self._posterior.summary.items()}
        for i in range(self.num_outputs):
            suffix = f".{i}" if self.num_outputs > 1 else ""
            for name in ("noise_sd", "prior_sd"):
                mean_square = (weights[i] * summary[name][i].square()).sum()
                found[f"{name}{suffix}"] = float(self._scale[i]) * math.sqrt(float(mean_square))
            if "log_evidence" in summary:
                evidence = summary["log_evidence"][i]
                found[f"log_evidence{suffix}"] = float(evidence.mean())
                found[f"member_spread{suffix}"] = float(evidence.std(correction=0))
        return found

    def pyro_model(
        self, X: Tensor, Y: Tensor | None = None, *, member: int = 0, output: int = 0, **scales: float
    ) -> Tensor:
        """Run the Pyro model of one network; see `surrogates.pyro_model.network_model`."""
        from surrogates.pyro_model import network_model

        return network_model(self, X, Y, member=member, output=output, **scales)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``; `load` gives bit-equal predictions."""
        if isinstance(self._posterior, ConditionedPosterior):
            raise SurrogateError("a model conditioned on fantasies cannot be saved: save the model, or use update()")
        tensors = {f"posterior.{k}": v for k, v in self._posterior.state().items()}
        tensors |= named_parameters("network", self._networks)
        if self._centre is not None:
            tensors |= named_parameters("centre", self._centre)
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
            "network": describe_architecture(self._networks.architecture),
            "likelihood": describe_likelihood(self._likelihood),
            "layers": self._layers,
            "inference": self._inference,
            "engine": describe_engine(self._inferred.engine),
            "failed": self._inferred.failed,
            "mixing": self._mixing,
            "members": self._members,
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
        model = cls.__new__(cls)
        NetworkEnsembleModel.__init__(model)
        try:
            model._likelihood = make_likelihood(settings["likelihood"])
            architecture = make_architecture(settings["network"], tensors["X"].shape[-1], model._likelihood.heads)
            model._networks = read_parameters("network", architecture, tensors)
            centred = any(name.startswith("centre.") for name in tensors)
            model._centre = read_parameters("centre", architecture, tensors) if centred else None
            model._layers = tuple(settings["layers"])
            model._inference, model._mixing = settings["inference"], settings["mixing"]
            model._members, model._seed = settings["members"], settings["seed"]
            model._dtype = {"float32": torch.float32, "float64": torch.float64}[settings["dtype"]]
            model._grids = (LogGrid(**settings["prior_sd"]), LogGrid(**settings["noise_sd"]))
            model._fit_s = settings["fit_s"]
            model._batch_shape = torch.Size()
            model._set_data(tensors["X"], tensors["Y"], tensors.get("Yvar"))
            model._shift, model._scale = tensors["shift"], tensors["scale"]
            model._reference = tensors["reference"]
            state = {k.removeprefix("posterior."): v for k, v in tensors.items() if k.startswith("posterior.")}
            engine = make_engine(settings["engine"])
            model._posterior = engine.restore(model.problem(), state)
            model._inferred = Inferred(engine, model._posterior, tuple(settings["failed"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise SurrogateError(
                f"{path} is not a PBNN that this version wrote: {error!r} is missing or wrong"
            ) from error
        model.eval()
        return model
