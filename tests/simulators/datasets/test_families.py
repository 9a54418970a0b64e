"""The built-in families: their curves, what they need to be seen, and how they are changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from simulators.datasets import CLASSES, FAMILIES, MATRIX, NOVELTIES, STRANGERS, Family, Recipe
from simulators.datasets.shard import Maker
from simulators.scattering import edge_dislocations, flat_background, porod_surface, spheres, thermal_diffuse

Q = torch.logspace(-2.5, -0.31, 60, dtype=torch.float64)


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"name": "t", "seed": 1, "curves": 1, "families": {"none": {}}, **changes})


def test_four_classes_and_six_novelties() -> None:
    assert list(CLASSES) == ["none", "voids", "edge_dislocations", "point_defects"]
    assert len(NOVELTIES) == 6
    assert not set(CLASSES) & set(NOVELTIES)
    # What stands for the unknown in training is no physics, least of all that of the six.
    kernels = {name: {c.kernel for c in family.contributions} for name, family in FAMILIES.items()}
    assert all(not kernels[stranger] & kernels[name] for stranger in STRANGERS for name in {**CLASSES, **NOVELTIES})


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_draws_positive_curves(name: str) -> None:
    rng = np.random.default_rng(0)
    family = recipe(families={name: {}}, widened=0.1)
    values = family.resolved_matrix.draw(40, rng) | family.resolved[name].draw(40, rng)
    defect = family.resolved[name].cross_section(Q, values)
    if name == "none":
        assert defect is None
        return
    assert defect is not None
    assert defect.shape == (40, 60)
    assert bool(torch.isfinite(defect).all())
    assert bool((defect >= 0).all())
    # Data sets are made in single precision.
    single = family.resolved[name].cross_section(Q.float(), values)
    matrix = family.resolved_matrix.cross_section(Q, values)
    assert single is not None
    assert matrix is not None
    assert float(((single - defect) / (matrix + defect)).abs().max()) < 1e-4


def test_a_curve_is_the_sum_of_its_kernels() -> None:
    values = {name: np.array([sum(prior.range) / 2]) for name, prior in MATRIX.parameters.items()}
    sld, flat = values["sld"][0], values["flat"][0]
    expected = (
        porod_surface(Q, specific_surface=values["surface"][0], contrast=sld)
        + spheres(
            Q,
            radius=values["coarse_radius"][0],
            volume_fraction=values["coarse_fraction"][0],
            contrast=sld,
            polydispersity=0.3,
        )
        + thermal_diffuse(Q, sld=sld, temperature=25.0, compressibility=7.3e-12)
        + flat_background(Q, level=flat)
    )
    assert torch.allclose(MATRIX.cross_section(Q, values), expected)
    own = {"density": np.array([1e15]), "outer_cutoff": np.array([600.0]), "core_radius": np.array([3.0])}
    lines = edge_dislocations(
        Q, density=1e15, sld=sld, burgers=2.55, poisson_ratio=0.34, outer_cutoff=600.0, core_radius=3.0
    )
    assert torch.allclose(CLASSES["edge_dislocations"].cross_section(Q, values | own), lines)


def test_widening_stops_where_a_kernel_does() -> None:
    wide = recipe(
        families={
            "dislocation_loops": {"parameters": {"polydispersity": {"kind": "uniform", "low": 0.1, "high": 0.5}}}
        },
        widened=0.1,
    ).resolved["dislocation_loops"]
    assert wide.parameters["polydispersity"].range == pytest.approx((0.1, 0.52))
    low, high = CLASSES["voids"].parameters["radius"].range
    assert recipe(families={"voids": {}}, widened=0.1).resolved["voids"].parameters["radius"].range == pytest.approx(
        (low * (high / low) ** -0.05, high * (high / low) ** 0.05)
    )


def _excess(names: object, exposure_s: float) -> tuple[np.ndarray, np.ndarray]:
    """χ² of the noise-free defects beyond any matrix (linear fit of its shapes to each curve), and labels."""
    made = recipe(
        families={name: {} for name in names},  # type: ignore[attr-defined]
        curves=400,
        keep_truth=True,
        exposure_s={"kind": "fixed", "value": exposure_s},
    )
    arrays, q = Maker.of(made).arrays(0), made.q.values
    coarse = spheres(
        q, radius=np.array([300.0, 420, 550, 800]), volume_fraction=1e-7, contrast=6.7e-5, polydispersity=0.3
    )
    shapes = np.column_stack([q**-4.0, np.ones_like(q), *coarse.numpy()])
    result = []
    for truth, sigma in zip(arrays["truth"].astype(float), arrays["sigma"].astype(float), strict=True):
        weighted = shapes / sigma[:, None]
        weighted /= np.linalg.norm(weighted, axis=0)
        rest = truth / sigma - weighted @ np.linalg.lstsq(weighted, truth / sigma, rcond=None)[0]
        result.append(rest @ rest)
    return np.array(result), arrays["label"]


def test_defects_can_be_seen_at_the_reference_dose_and_some_not_at_a_hundredth() -> None:
    excess, label = _excess(CLASSES, 1.0)
    assert excess[label == 0].max() < 1
    seen = [np.mean(excess[label == index] > 12) for index in (1, 2, 3)]
    assert min(seen) > 0.9
    # The strongest are obvious.
    assert min(np.quantile(excess[label == index], 0.9) for index in (1, 2, 3)) > 1000
    dim, label = _excess(CLASSES, 0.01)
    hidden = [np.mean(dim[label == index] < 12) for index in (1, 2, 3)]
    assert min(hidden) > 0.05


def test_a_family_of_ones_own() -> None:
    own = recipe(
        families={
            "needles": {
                "parameters": {"length": {"kind": "uniform", "low": 100.0, "high": 200.0}},
                "contributions": [{"kernel": "flat_background", "parameters": {"level": 0.5}}],
            }
        },
        matrix={"contributions": []},
    )
    curve = own.resolved["needles"].cross_section(Q, {})
    assert curve is not None
    assert torch.all(curve == 0.5)
    assert own.columns == ["needles.length"]
    assert isinstance(own.resolved_matrix, Family)
