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
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from surrogates.checks import as_options, check_training_data
from surrogates.components import NETWORKS, NOTHING, THEORY, Component
from surrogates.errors import SurrogateError
from surrogates.likelihoods import Categorical, make_likelihood
from surrogates.model_parts import Mixing
from surrogates.networks import NetworkEnsemble, chosen_layers, make_architecture, train_map
from surrogates.pbnn_state import SavedEnsembleModel
from surrogates.pretrained import PretrainedPrior, as_prior
from surrogates.priors import LogGrid, WeightPrior
from surrogates.stationary_groups import informed_groups, stationary_group

PRIOR_SD = LogGrid(0.1, 10.0, 24)
"""Of the function, in standard deviations of the targets."""
PRIOR_SD_THEORY = LogGrid(0.02, 10.0, 32)
"""The same with a pretrained prior, from which the function may deviate little."""
NOISE_SD = LogGrid(0.02, 1.0, 24)
"""Of the model's own noise, in standard deviations of the targets, where it is all the noise there is."""
NOISE_SD_BESIDE_MEASURED = LogGrid(0.02, 1.0, 24, median=0.135)
"""The same where error bars were measured: what they leave out and what the networks cannot follow, both presumably
small (the log-normal prior of `GaussianProcess`). Without that presumption a sharp border passes for noise of more than
half the targets' spread as long as points are few, and a campaign measures the same place again and again."""


_STATIONARY = 0.7


class PBNN(SavedEnsembleModel):
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
    stationary
        Share of the mixture that a Matérn-5/2 kernel takes in the place of networks, its length scales fitted, all else
        as for the linearised networks. By default 0.7 with Gaussian noise of unknown size and `inference` ``"auto"``,
        else nothing: beside small measured error bars a stationary kernel takes a sharp border for noise.
    prior
        Theory: a `PretrainedPrior` for the unit cube of `train_X` (`PretrainedPrior.fitted_to`), or the path that one
        was saved to. Its networks are the prior means of the chosen layers, and their function that of the Matérn
        kernel; the scale of the deviation from them is integrated over the evidence. The members without theory stay:
        the two camps are weighed by their evidence, so that a theory that does not fit loses its weight.

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
        prior_sd: LogGrid | Mapping[str, float] | None = None,
        noise_sd: LogGrid | Mapping[str, float] | None = None,
        inference: str | Mapping[str, Any] = "auto",
        mixing: Mixing = "equal",
        stationary: float | None = None,
        prior: str | Path | PretrainedPrior | None = None,
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
        if mixing not in get_args(Mixing):
            raise SurrogateError(f'mixing must be "equal" or "evidence", got {mixing!r}')
        if stationary is None:
            wanted = self._likelihood.gaussian and inference == "auto" and train_Yvar is None
            stationary = _STATIONARY if wanted else 0.0
        if not 0 <= stationary < 1 or (stationary > 0 and not self._likelihood.gaussian):
            raise SurrogateError(
                f"stationary must be at least 0 and below 1, and 0 unless the noise is Gaussian, got {stationary} with "
                f"{self._likelihood.kind!r} noise"
            )
        d, m = train_X.shape[-1], train_Y.shape[-1]
        theory = as_prior(prior, d, m, network, self._likelihood)
        chosen = (network or {}) if theory is None else theory.network
        architecture = make_architecture(chosen, d, self._likelihood.heads)
        self._layers = chosen_layers(bayesian, architecture.layers)
        if prior_sd is None:
            prior_sd = PRIOR_SD if theory is None else PRIOR_SD_THEORY
        if noise_sd is None:
            noise_sd = NOISE_SD if train_Yvar is None else NOISE_SD_BESIDE_MEASURED
        self._grids = (as_options(LogGrid, prior_sd), as_options(LogGrid, noise_sd))
        self._mixing, self._seed, self._inference = mixing, seed, inference
        self._dtype = train_X.dtype
        self._batch_shape = torch.Size()

        Y = train_Y.detach().double()
        spread = Y.std(0)
        self._shift, self._scale = Y.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread))
        self._reference = train_X.detach().double()
        self._set_data(train_X, train_Y, train_Yvar)

        widths = WeightPrior() if weight_prior is None else as_options(WeightPrior, weight_prior)
        generator = torch.Generator().manual_seed(seed)
        start = NetworkEnsemble.draw(architecture, members * m, prior=widths, generator=generator)
        start = start.to(train_X.detach().float())
        problem = self._problem_of(Component(NETWORKS, start, 1.0))
        trained = train_map(
            start,
            self._X,
            problem.targets,
            likelihood=self._likelihood,
            variances=problem.variances,
            noise_sd=map_noise_sd,
            prior=widths,
            epochs=epochs,
            lr=lr,
        ).to(self._X)
        components = [Component(NETWORKS, trained, 1 - stationary)]
        values = self._problem_of(Component(NETWORKS, trained.select(slice(0, m)), 1.0))
        judged = theory is not None and self._likelihood.gaussian
        if stationary > 0 or judged:
            # With theory the stationary groups are the judges between the camps, even where they have no share.
            components.append(stationary_group(values, stationary))
        if theory is not None:
            known = theory.standardised(self._shift, self._scale).first(members).networks.to(self._X)
            share = min(1 - stationary, 0.5) if judged else 1.0
            components.append(Component(NETWORKS, known, share, camp=THEORY, centre=known))
            if judged:
                components += informed_groups(values, known, 1 - share, seed)
        self._components = tuple(c.infer(self._problem_of(c), inference) for c in components)
        if mixing == "evidence" and "log_evidence" not in self._components[0].result.posterior.summary:
            raise SurrogateError(
                f'engine {self._components[0].result.engine.name!r} does not know the evidence: mixing must be "equal" '
                "with it"
            )
        self._join()
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
        output ``noise_sd`` and ``prior_sd`` (of the function) in original units, the weights of the groups other than
        the networks trained on the data (``weight_stationary``, ``weight_networks_theory``,
        ``weight_stationary_theory``, and ``weight_theory``, the sum of these two), and where the engine knows it
        ``log_evidence`` of those networks (mean over members, standardised units) and ``member_spread`` (its sd over
        members). With several outputs these carry ``.0``, ``.1`` ...
        """
        first = self._components[0].result
        found: dict[str, float | str] = {
            "engine": first.engine.name,
            "converged": float(self._posterior.converged),
            "failed": ", ".join(dict.fromkeys(name for c in self._components for name in c.result.failed)),
            "fit_s": self._fit_s,
            "members": float(self.members),
            **self._posterior.report,
        }
        weights = self._weights
        summary = {name: t.view(weights.shape) for name, t in self._posterior.summary.items()}
        for i in range(self.num_outputs):
            suffix = f".{i}" if self.num_outputs > 1 else ""
            for name in ("noise_sd", "prior_sd"):
                mean_square = (weights[i] * summary[name][i].square()).sum()
                found[f"{name}{suffix}"] = float(self._scale[i]) * math.sqrt(float(mean_square))
            if "log_evidence" in summary:
                evidence = summary["log_evidence"][i][: self.members]
                found[f"log_evidence{suffix}"] = float(evidence.mean())
                found[f"member_spread{suffix}"] = float(evidence.std(correction=0))
            start = 0
            for component in self._components:
                stop = start + component.size // self.num_outputs
                weight = float(weights[i, start:stop].sum())
                if component.camp != NOTHING:
                    found[f"weight_{component.kind}_{component.camp}{suffix}"] = weight
                    found[f"weight_theory{suffix}"] = float(found.get(f"weight_theory{suffix}", 0.0)) + weight
                elif component.kernel is not None:
                    found[f"weight_{component.kind}{suffix}"] = weight
                start = stop
        return found

    def pyro_model(
        self, X: Tensor, Y: Tensor | None = None, *, member: int = 0, output: int = 0, **scales: float
    ) -> Tensor:
        """Run the Pyro model of one network; see `surrogates.pyro_model.network_model`."""
        from surrogates.pyro_model import network_model

        return network_model(self, X, Y, member=member, output=output, **scales)
