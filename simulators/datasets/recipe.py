"""A recipe: all that a data set of simulated curves is made from."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from simulators.datasets.base import Broken, Section, refuse
from simulators.datasets.builtin import FAMILIES, MATRIX
from simulators.datasets.errors import DatasetError
from simulators.datasets.families import Contribution, Family, StandAlone
from simulators.datasets.noise import CountingModel, logarithmic_edges
from simulators.datasets.priors import Fixed, Prior
from simulators.instrument import InstrumentModel
from simulators.scenarios.base import SampleProperties

FORMAT_VERSION = 1
"""Goes up when the same recipe gives other numbers."""

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Grid(Section):
    """The q of all curves: logarithmic."""

    low: Positive = 0.003
    """First q, 1/Å."""
    high: Positive = 0.5
    """Last q, 1/Å."""
    points: Annotated[int, Field(ge=2, le=10_000)] = 200
    """How many."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            refuse("q", [(("low",), self.low, f"a number less than high ({self.high:g})")])
        return self

    @property
    def values(self) -> NDArray[np.float64]:
        """The grid, ``(k,)`` 1/Å."""
        return np.geomspace(self.low, self.high, self.points)


class Camera(Section):
    """The instrument (`simulators.instrument`): by default a Pilatus 2M around the beam, 1.8 m from the sample."""

    distance_mm: Positive = 1800.0
    """Sample to detector, mm."""
    wavelength_A: Positive = 1.0  # noqa: N815 - Å
    """Wavelength, Å."""
    pixel_mm: Positive = 0.172
    """Edge of a pixel, mm."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] = Field(default=[1679, 1475])
    """Rows and columns of pixels."""
    beam_centre_px: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default=[846.3, 737.6])
    """Row and column of the direct beam."""
    beamstop_mm: NotNegative = 1.3
    """Diameter of the beamstop's shadow, mm."""
    flux_ph_s: Positive = 1e11
    """Incident photons per second: a bending magnet's."""
    flux_jitter: Annotated[float, Field(ge=0, le=0.2)] = 0.005
    """Relative standard deviation of the flux between exposures."""
    background_per_px_s: NotNegative = 0.05
    """Air and window scattering, counts per pixel and second on the axis."""
    parasitic_per_px_s: NotNegative = 0.5
    """Slit scattering at 0.01 1/Å, counts per pixel and second; falls as q⁻⁴."""
    dark_per_px_s: NotNegative = 1e-4
    """Counts per pixel and second without beam."""

    def model(self) -> InstrumentModel:
        """Return the instrument."""
        settings = self.model_dump()
        settings |= {"shape": tuple(self.shape), "beam_centre_px": tuple(self.beam_centre_px)}
        return InstrumentModel(**settings)


class Sample(Section):
    """What the beam passes: by default 10 µm of copper at 12.4 keV."""

    thickness_cm: Positive = 1e-3
    """Along the beam, cm."""
    transmission: Annotated[float, Field(gt=0, le=1)] = 0.336
    """Share of the beam that passes."""


class Matrix(Section):
    """What is in every curve. Left out: a copper-like metal (`simulators.datasets.builtin`)."""

    parameters: dict[str, Prior] = Field(default_factory=dict)
    """Priors: instead of the built-in ones of these names, or those of a matrix of your own."""
    contributions: list[Contribution] | None = None
    """Kernels of a matrix of your own."""


class Member(Section):
    """One family of the data set."""

    weight: NotNegative = 1.0
    """Its share of the curves, next to the other weights; 0 for a label without curves."""
    parameters: dict[str, Prior] = Field(default_factory=dict)
    """Priors: instead of the built-in ones of these names, or those of a family of your own."""
    contributions: list[Contribution] | None = None
    """Kernels of a family of your own; left out: the built-in family of this name."""


class Recipe(Section):
    """A file for `beamloop simulate`."""

    name: Annotated[str, Field(min_length=1)]
    """Names the data set."""
    description: str = ""
    """What it is for, and why the ranges are as they are."""
    seed: Annotated[int, Field(ge=0)]
    """Of everything that is drawn."""
    curves: Annotated[int, Field(ge=1, le=1_000_000_000)]
    """How many curves."""
    families: Annotated[dict[str, Member], Field(min_length=1)]
    """Name: weight and changes. Labels count from 0 in this order."""
    matrix: Matrix = Matrix()
    """What is in every curve."""
    widened: Annotated[float, Field(ge=0, le=1)] = 0.0
    """By which share all ranges of families and matrix are wider (0.1 for a test set that reaches beyond training)."""
    q: Grid = Grid()
    """Where the curves are given."""
    exposure_s: Prior = Fixed(kind="fixed", value=1.0)
    """Exposure of each curve, s: the dose, at the flux of `instrument`."""
    background_exposures: Positive = 4.0
    """Length of the background exposure over that with the sample."""
    sample: Sample = Sample()
    """Thickness and transmission."""
    instrument: Camera = Camera()
    """Geometry, flux, backgrounds."""
    format: Literal["zarr", "parquet"] = "zarr"
    """How the curves are written."""
    shard_curves: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Curves that are made and written at a time."""
    keep_truth: bool = False
    """Whether to write dΣ/dΩ without noise as well."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        found: list[Broken] = []
        for name, member in self.families.items():
            place = ("families", name)
            if not name.isidentifier() or name == "matrix":
                found.append((place, name, "a name of letters, digits and underscores, other than matrix"))
            if member.contributions is None and name not in FAMILIES:
                known = ", ".join(FAMILIES)
                found.append((place, name, f"a built-in family ({known}), or contributions of your own"))
            elif member.contributions is None and (strange := sorted(set(member.parameters) - _names(FAMILIES[name]))):
                known = ", ".join(sorted(_names(FAMILIES[name]))) or "it has none"
                found += [((*place, "parameters", key), key, f"a parameter of {name}: {known}") for key in strange]
        if self.matrix.contributions is None:
            for key in sorted(set(self.matrix.parameters) - _names(MATRIX)):
                known = ", ".join(sorted(_names(MATRIX)))
                found.append((("matrix", "parameters", key), key, f"a parameter of the matrix: {known}"))
        if not sum(member.weight for member in self.families.values()) > 0:
            found.append((("families",), "weights", "at least one weight greater than 0"))
        if self.exposure_s.range[0] <= 0:
            found.append((("exposure_s",), self.exposure_s.range[0], "exposures greater than 0"))
        refuse("recipe", found)
        # Only where names are right can what they stand for be looked at.
        matrix = _composed(self.matrix, MATRIX)
        found += [(("matrix", *where), value, text) for where, value, text in matrix.broken({})]
        for name, member in self.families.items():
            family = _composed(member, FAMILIES.get(name))
            found += [
                (("families", name, *where), value, text) for where, value, text in family.broken(matrix.parameters)
            ]
        refuse("recipe", found)
        return self

    @classmethod
    def from_yaml(cls, path: str | Path) -> Recipe:
        """Read a recipe; `beamloop simulate` says the line of each mistake as well.

        Raises
        ------
        DatasetError
            If the file cannot be read, or is no valid recipe.
        """
        try:
            return cls.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise DatasetError(f"{path}: no recipe that can be used: {error}") from error

    @property
    def shards(self) -> int:
        """How many shards there are; the last may be smaller."""
        return -(-self.curves // self.shard_curves)

    def rows(self, shard: int) -> int:
        """Curves of one shard."""
        return min(self.shard_curves, self.curves - shard * self.shard_curves)

    @cached_property
    def resolved_matrix(self) -> Family:
        """The matrix as it is drawn from."""
        matrix = _composed(self.matrix, MATRIX)
        if not self.widened:
            return matrix
        # Families may refer to the matrix's parameters: their kernels' ranges count, too.
        members = [_composed(member, FAMILIES.get(name)) for name, member in self.families.items()]
        return matrix.widened(self.widened, *members)

    @cached_property
    def resolved(self) -> dict[str, Family]:
        """The families as they are drawn from, in the order of their labels."""
        families = {name: _composed(member, FAMILIES.get(name)) for name, member in self.families.items()}
        return {name: family.widened(self.widened) for name, family in families.items()} if self.widened else families

    @property
    def columns(self) -> list[str]:
        """Names of all parameters: ``matrix.sld``, ``voids.radius``, ..."""
        named = {"matrix": self.resolved_matrix, **self.resolved}
        return [f"{name}.{parameter}" for name, family in named.items() for parameter in family.parameters]

    def counting_model(self) -> CountingModel:
        """Return the instrument as q bins.

        Raises
        ------
        InstrumentModelError
            If the camera does not cover q.
        """
        return CountingModel.from_instrument(
            self.instrument.model(),
            logarithmic_edges(self.q.values),
            sample=SampleProperties(self.sample.thickness_cm, self.sample.transmission),
            background_exposures=self.background_exposures,
        )

    def description_of_all(self) -> dict[str, Any]:
        """Return the recipe with everything that it takes from elsewhere, as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "recipe": self.model_dump(mode="json"),
            "drawn_from": {
                name: family.model_dump(mode="json")
                for name, family in {"matrix": self.resolved_matrix, **self.resolved}.items()
            },
        }

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that decides what is drawn, built-in priors included."""
        text = json.dumps(self.description_of_all(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _names(family: Family) -> set[str]:
    return set(family.parameters)


def _composed(member: Matrix | Member, known: Family | StandAlone | None) -> Family:
    """Return the family that a section stands for; `known` is the built-in one of its name."""
    if member.contributions is not None or known is None:
        return Family(parameters=member.parameters, contributions=member.contributions or [])
    return Family.model_validate(known.with_priors(member.parameters).model_dump())
