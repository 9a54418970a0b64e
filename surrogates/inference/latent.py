"""The Pyro model in terms of what samplers and guides can follow, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from pyro.infer.reparam import LocScaleReparam
from pyro.poutine import reparam
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.target import prior_unit
from surrogates.priors import LogGrid
from surrogates.pyro_model import FLAT, Model, sites


def noncentred(problem: Problem, model: Model) -> Model:
    """Write the same model in terms of ``<site>_decentered`` = (theta - centre) / w, whose prior is a unit normal.

    Without it the prior's scale and the parameters form a funnel that neither samplers nor guides follow
    (Papaspiliopoulos et al., 2007, doi:10.1214/088342307000000014).
    """
    reparametrised: Model = reparam(model, config={site: LocScaleReparam(0.0) for site, _, _ in sites(problem)})
    return reparametrised


@contextmanager
def seeded(seed: int, like: Tensor) -> Iterator[None]:
    """Seed torch's global generators, from which Pyro draws, and leave them as they were."""
    devices = [like.device] if like.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def read_samples(
    problem: Problem, samples: Mapping[str, Tensor]
) -> tuple[dict[int, dict[str, Tensor]], Tensor, Tensor]:
    """Parameters and scales from samples of the `noncentred` model of every network, or of a flat one.

    Parameters
    ----------
    samples
        Site -> ``(G, *draws, *shape)``, draws with any number of dimensions.

    Returns
    -------
    parameters
        Layer -> name -> ``(G, *draws, *shape)``.
    prior_sd, noise_sd
        ``(G, *draws)`` each; the noise is 1 where the likelihood has none.
    """
    names = list(sites(problem))
    shapes = [problem.networks.architecture.layers[layer].shapes[name] for _, layer, name in names]
    if FLAT in samples:
        parts = samples[FLAT].split([math.prod(shape) for shape in shapes], -1)
        latent = [part.unflatten(-1, shape) for part, shape in zip(parts, shapes, strict=True)]
    else:
        latent = [samples[f"{site}_decentered"] for site, _, _ in names]
    batch = latent[0].shape[: latent[0].ndim - len(shapes[0])]

    def scale(kind: str, grid: LogGrid, used: bool = True) -> Tensor:
        if f"log_{kind}" in samples:
            return samples[f"log_{kind}"].exp()
        return latent[0].new_tensor(grid.low if used else 1.0).expand(batch)

    prior_sd = scale("prior_sd", problem.prior_sd)
    w = prior_sd * prior_unit(problem).sqrt().view(-1, *[1] * (len(batch) - 1))
    parameters: dict[int, dict[str, Tensor]] = {}
    for (_, layer, name), shape, z in zip(names, shapes, latent, strict=True):
        theta = w.reshape(*batch, *[1] * len(shape)) * z
        if problem.centre is not None:
            theta = theta + problem.centre.parameters[layer][name].reshape(-1, *[1] * (len(batch) - 1), *shape)
        parameters.setdefault(layer, {})[name] = theta
    return parameters, prior_sd, scale("noise_sd", problem.noise_sd, problem.likelihood.has_noise)
