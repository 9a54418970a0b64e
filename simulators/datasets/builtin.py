"""The families that recipes have by name: a matrix alone, three defects in it, six never seen, and one of no physics.

Matrix: copper-like, 12.4 keV, scattering-length density 6.7e-5 1/Å² with some spread of composition and density.
Smooth internal surfaces and a few coarse pores (300 to 800 Å: a steep rise at the lowest q, of one shape in every
family), thermal density fluctuations, and a flat rest of unrejected fluorescence.

Lower ends of the defect densities. A defect that is weaker than the noise is no class of its own: nobody could tell it
from the matrix. The lower ends are set so that at the reference dose (1 s at 1e11 photons/s through 10 µm of copper)
the weakest are at the limit of what counting statistics hides (beyond any matrix their χ² is some 5 to 15), and at a
hundredth of it a fifth has sunk; the upper ends are what metals hold (1e16 1/m² after heavy rolling, half a percent of
voids). Sources of magnitudes: Zinkle 1987, doi:10.1016/0022-3115(87)90070-5 (vacancy clusters in copper); Wilkens 1970,
doi:10.1002/pssa.19700020224 (screening of dislocations).
"""

from __future__ import annotations

from simulators.datasets.families import Contribution, Family, StandAlone
from simulators.datasets.priors import Fixed, LogUniform, Normal, Uniform


def _log(low: float, high: float) -> LogUniform:
    return LogUniform(kind="loguniform", low=low, high=high)


def _flat(low: float, high: float) -> Uniform:
    return Uniform(kind="uniform", low=low, high=high)


def _one(kernel: str, *same: str, **others: float | str) -> list[Contribution]:
    """One kernel; `same` are parameters of its that the family has by the same name."""
    return [Contribution(kernel=kernel, parameters={**dict(zip(same, same, strict=True)), **others})]


MATRIX = StandAlone(
    description="copper-like metal: internal surfaces, coarse pores, thermal diffuse scattering, fluorescence",
    parameters={
        "sld": Normal(kind="normal", mean=6.7e-5, sd=2e-6, low=6.1e-5, high=7.3e-5),
        "surface": _log(0.2, 5.0),
        "coarse_radius": _flat(300.0, 800.0),
        "coarse_fraction": _log(1e-8, 1e-6),
        "temperature": Fixed(kind="fixed", value=25.0),
        "compressibility": Fixed(kind="fixed", value=7.3e-12),
        "flat": _log(0.01, 0.1),
    },
    contributions=[
        *_one("porod_surface", specific_surface="surface", contrast="sld"),
        *_one("spheres", radius="coarse_radius", volume_fraction="coarse_fraction", contrast="sld", polydispersity=0.3),
        *_one("thermal_diffuse", "sld", "temperature", "compressibility"),
        *_one("flat_background", level="flat"),
    ],
)

_NONE = Family(description="the matrix alone")
_VOIDS = Family(
    description="voids or vacancy clusters: empty spheres of many sizes",
    parameters={
        "radius": _log(12.0, 100.0),
        "polydispersity": _flat(0.1, 0.4),
        "volume_fraction": _log(3e-7, 5e-3),
    },
    contributions=_one("spheres", "radius", "polydispersity", "volume_fraction", contrast="sld"),
)
_EDGES = Family(
    description="edge dislocations in random directions",
    parameters={"density": _log(1e14, 1e16), "outer_cutoff": _log(300.0, 1500.0), "core_radius": _flat(2.0, 5.0)},
    contributions=_one(
        "edge_dislocations", "density", "sld", "outer_cutoff", "core_radius", burgers=2.55, poisson_ratio=0.34
    ),
)
_POINTS = Family(
    description="point defects: heavier, smaller solutes (the size effect adds) in clusters of a few atoms",
    parameters={
        "concentration": _flat(0.03, 0.15),
        "delta_b": _flat(8e-5, 2.5e-4),
        "size_effect": _flat(-0.1, 0.0),
        "cluster_strength": _log(1.0, 100.0),
        "correlation_length": _flat(3.0, 10.0),
    },
    contributions=_one(
        "point_defects",
        "concentration",
        "delta_b",
        "size_effect",
        "cluster_strength",
        "correlation_length",
        number_density=0.086,
        mean_b=0.00079,
    ),
)

CLASSES = {"none": _NONE, "voids": _VOIDS, "edge_dislocations": _EDGES, "point_defects": _POINTS}
"""What a classifier is to tell apart."""

_CRACKS = Family(
    description="cracks: thin, empty, oblate spheroids",
    parameters={
        "radius": _log(100.0, 1000.0),
        "aspect_ratio": _log(0.02, 0.1),
        "polydispersity": _flat(0.2, 0.5),
        "volume_fraction": _log(3e-7, 1e-3),
    },
    contributions=_one("cracks", "radius", "aspect_ratio", "polydispersity", "volume_fraction", contrast="sld"),
)
_PRECIPITATES = Family(
    description="precipitates inside zones that have given up their solute",
    parameters={
        "radius": _log(15.0, 60.0),
        "polydispersity": _flat(0.1, 0.4),
        "zone_ratio": _flat(1.3, 2.5),
        "depletion": _flat(0.5, 1.0),
        "volume_fraction": _log(1e-4, 1e-2),
        "excess": _log(8e-6, 2e-5),
    },
    contributions=_one(
        "precipitates", "radius", "polydispersity", "zone_ratio", "depletion", "volume_fraction", contrast="excess"
    ),
)
_LOOPS = Family(
    description="prismatic dislocation loops in random directions",
    parameters={
        "number_density": _log(3e21, 1e23),
        "radius": _log(40.0, 120.0),
        "polydispersity": _flat(0.15, 0.5),
        "core_radius": _flat(2.0, 5.0),
    },
    contributions=_one(
        "dislocation_loops",
        "number_density",
        "radius",
        "polydispersity",
        "sld",
        "core_radius",
        burgers=2.087,
        poisson_ratio=0.34,
    ),
)
_LATTICE = Family(
    description="cavities on a body-centred lattice, as irradiation leaves them in some metals",
    parameters={
        "radius": _log(10.0, 40.0),
        "polydispersity": _flat(0.05, 0.25),
        "spacing_ratio": _flat(2.5, 5.0),
        "displacement": _flat(0.06, 0.15),
        "domain_size": _flat(3.0, 10.0),
        "occupancy": _flat(0.7, 1.0),
    },
    contributions=_one(
        "cavity_lattice",
        "radius",
        "polydispersity",
        "spacing_ratio",
        "displacement",
        "domain_size",
        "occupancy",
        contrast="sld",
    ),
)
_FILMS = Family(
    description="films of another phase on grain boundaries",
    parameters={
        "specific_area": _log(3e2, 3e4),
        "thickness": _log(8.0, 30.0),
        "polydispersity": _flat(0.1, 0.5),
        "facet_radius": _log(500.0, 5000.0),
        "excess": _log(1e-5, 5e-5),
    },
    contributions=_one(
        "grain_boundary_films", "specific_area", "thickness", "polydispersity", "facet_radius", contrast="excess"
    ),
)
_FRACTAL = Family(
    description="hierarchical pores: small ones in mass-fractal clusters",
    parameters={
        "radius": _log(6.0, 20.0),
        "polydispersity": _flat(0.1, 0.4),
        "fractal_dimension": _flat(1.6, 2.7),
        "cluster_size": _log(100.0, 600.0),
        "volume_fraction": _log(1e-6, 1e-2),
    },
    contributions=_one(
        "fractal_pores",
        "radius",
        "polydispersity",
        "fractal_dimension",
        "cluster_size",
        "volume_fraction",
        contrast="sld",
    ),
)

NOVELTIES = {
    "cracks": _CRACKS,
    "precipitates": _PRECIPITATES,
    "dislocation_loops": _LOOPS,
    "cavity_lattice": _LATTICE,
    "grain_boundary_films": _FILMS,
    "fractal_pores": _FRACTAL,
}
"""What a classifier has never seen."""

_IRREGULAR = Family(
    description="whatever falls with q somehow: broken lines on a logarithmic plot, with a peak or a dip",
    parameters={
        "level": _log(3e-3, 300.0),
        **{f"exponent_{i}": _flat(-1.0, 5.0) for i in range(1, 6)},
        "peak": _flat(-0.7, 2.0),
        "peak_q": _log(0.01, 0.5),
        "peak_width": _log(0.08, 0.8),
    },
    contributions=_one("irregular", "level", *(f"exponent_{i}" for i in range(1, 6)), "peak", "peak_q", "peak_width"),
)

STRANGERS = {"irregular": _IRREGULAR}
"""No physics: what a classifier is shown of the unknown, so that it learns the border of the known (Hendrycks et al.,
2019, arXiv:1812.04606)."""

FAMILIES = {**CLASSES, **NOVELTIES, **STRANGERS}
"""All of them by name."""
