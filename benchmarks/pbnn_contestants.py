"""The models that `pbnn_inference` compares, each as one function from data to a flat dict of scores and seconds."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import neurobayes_peer as peer
import torch
from botorch.exceptions import OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from botorch.models.utils.gpytorch_modules import get_matern_kernel_with_gamma_prior
from gpytorch.mlls import ExactMarginalLogLikelihood
from pbnn_tasks import Data, fingerprint, prediction_ess, scores, stopwatch, versions
from torch import Tensor

import surrogates
from surrogates.inference.choice import make_engine
from surrogates.inference.target import prior_unit
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid

GPS = ("gp_default", "gp_matern")
PEERS = {f"neurobayes_{variant}": variant for variant in ("last", "last2", "first", "full")}
SAMPLED = {"hmc_last2": "last2", "hmc_first": "first"}
"""Ours, sampled: measured for the effective sample size alone."""
MODELS = ("pbnn", *GPS, *SAMPLED, *PEERS)
CANDIDATES = 1000
REPEATS = 3


def moments(model: Model, X: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance ``(k,)`` of noisy values at ``X (k, d)``, point by point as acquisition functions ask."""
    with torch.no_grad():
        posterior = model.posterior(X.unsqueeze(-2), observation_noise=True)
        return posterior.mean.flatten(), posterior.variance.flatten()


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    """Medians of what was timed several times."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def fit_gp(data: Data, model: str) -> dict[str, Any]:
    """Fit and score one of the two Gaussian processes."""
    d = data.X.shape[-1]
    seconds: dict[str, float] = {}
    with stopwatch(seconds, "fit"), warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizationWarning)
        kernel = get_matern_kernel_with_gamma_prior(d) if model == "gp_matern" else None
        gp = SingleTaskGP(data.X, data.Y, covar_module=kernel)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(gp.likelihood, gp))
    with stopwatch(seconds, "predict"):
        mean, variance = moments(gp, data.X_test)
    return scores(mean, variance, data) | seconds


def fit_ours(data: Data, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Fit and score `PBNN`, and time refits, updates and decisions.

    ``fit`` and ``predict`` (at the test points) are medians of several; ``update`` adds one point, ``decision`` is an
    update and mean and variance at 1000 candidates, medians over a few points added one after the other.
    """
    runs: list[dict[str, float]] = []
    for _ in range(REPEATS):
        seconds: dict[str, float] = {}
        with stopwatch(seconds, "fit"):
            model = PBNN(data.X, data.Y, seed=seed, **options)
        with stopwatch(seconds, "predict"):
            mean, variance = moments(model, data.X_test)
        runs.append(seconds)
    found: dict[str, Any] = scores(mean, variance, data) | median_of(runs)
    found["engine"] = model.diagnostics()["engine"]

    generator = torch.Generator().manual_seed(seed)
    candidates = torch.rand(CANDIDATES, data.X.shape[-1], generator=generator, dtype=data.X.dtype)
    runs = []
    for x, y in zip(data.X_extra.split(1), data.Y_extra.split(1), strict=True):
        seconds = {}
        with stopwatch(seconds, "decision"):
            with stopwatch(seconds, "update"):
                model = model.update(x, y)
            moments(model, candidates)
        runs.append(seconds)
    return found | median_of(runs)


def standardised(data: Data) -> tuple[Tensor, float, float]:
    """Targets ``(n,)`` as NeuroBayes gets them, and what was subtracted and divided by."""
    shift, scale = float(data.Y.mean()), float(data.Y.std()) or 1.0
    return ((data.Y - shift) / scale).flatten(), shift, scale


def fit_peer(data: Data, variant: str, seed: int, steps: int) -> dict[str, Any]:
    """Fit and score one variant of NeuroBayes; `steps` of warm-up and as many draws."""
    peer.warm_up(variant, data.X.shape[-1])
    targets, shift, scale = standardised(data)
    fit = peer.fit_and_predict(
        variant,
        (2 * data.X - 1).numpy(),
        targets.numpy(),
        (2 * data.X_test - 1).numpy(),
        seed=seed,
        warmup=steps,
        samples=steps,
    )
    mean = torch.from_numpy(shift + scale * fit.mean)
    variance = torch.from_numpy(scale**2 * (fit.variance + fit.noise_variance))
    found = scores(mean, variance, data) | fit.seconds | fit.diagnostics
    for unit in ("s", "cpu_s"):
        found[f"fit_{unit}"] = found.get(f"map_{unit}", 0.0) + found[f"sample_{unit}"]
    found["noise_sd"] = scale * fit.noise_variance**0.5
    found["ess"] = prediction_ess(fit.draws)
    return found


def sample_ours(data: Data, variant: str, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Sample the layers that NeuroBayes samples, on the very trunk that it trained, with our HMC engine as it is.

    One network, so that the draws are of one posterior, and that of NeuroBayes as nearly as we can say it: the weights'
    prior is centred at the trunk's with width 1 (ours is one number for all chosen layers, in units of the root of a
    layer's inputs: the geometric mean over the layers; biases have it too). ``sample`` is the whole inference: warm-up,
    draws and the engine's own diagnostics.
    """
    layers = peer.LAYERS[variant]
    assert layers is not None, "all layers are sampled by no variant of ours here"
    targets, _, _ = standardised(data)
    trunk = peer.trunk_layers(peer.quiet_trunk((2 * data.X - 1).numpy(), targets.numpy()))
    blank = PBNN(data.X, data.Y, seed=seed, members=1, epochs=0, bayesian=layers, inference="linearised")
    problem = blank.problem()
    parameters = tuple(
        # Our layers divide their weights by the root of their inputs.
        {
            "weight": torch.tensor(w).to(data.X)[None] * w.shape[0] ** 0.5,
            "bias": torch.tensor(b).to(data.X)[None],
        }
        for w, b in trunk
    )
    problem = replace(problem, networks=replace(problem.networks, parameters=parameters))
    fan_in = math.exp(statistics.fmean(math.log(trunk[i][0].shape[0]) for i in problem.layers))
    width = math.sqrt(fan_in / float(prior_unit(problem)))
    problem = replace(problem, centre=problem.networks, prior_sd=LogGrid.fixed(width))
    engine = make_engine({"kind": "hmc", **options})
    seconds: dict[str, float] = {}
    with stopwatch(seconds, "sample"), torch.no_grad():
        posterior = engine.infer(problem)
    with torch.no_grad():
        draws = posterior.predictions(data.X_test)
    return seconds | {"ess": prediction_ess(draws.numpy()), "converged": posterior.converged, **posterior.report}


def identity(model: str, options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return what determines a model's result beside task, n and seed: for the keys of the result file."""
    if model in GPS:
        return {"versions": versions("botorch", "gpytorch", "torch")}
    if model in PEERS:
        settings = {"warmup": steps, "samples": steps} | peer.SETTINGS
        return {"settings": settings, "versions": versions("neurobayes", "numpyro", "jax", "flax", "optax")}
    code = fingerprint(Path(surrogates.__path__[0]))
    return {"settings": dict(options), "code": code, "versions": versions("botorch", "torch")}


def run(model: str, data: Data, seed: int, options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Fit and score any of `MODELS`."""
    if model in GPS:
        return fit_gp(data, model)
    if model in PEERS:
        return fit_peer(data, PEERS[model], seed, steps)
    if model in SAMPLED:
        return sample_ours(data, SAMPLED[model], seed, {})
    return fit_ours(data, seed, options)
