"""Data sets of simulated curves: recipes, families with priors, counting noise, and writing by the million.

`Recipe` says what a data set is made of, `generate` writes it, `Dataset` reads it. `beamloop simulate` does the same
from the command line.
"""

from simulators.datasets.builtin import CLASSES, FAMILIES, MATRIX, NOVELTIES, STRANGERS
from simulators.datasets.errors import DatasetError
from simulators.datasets.families import Contribution, Family
from simulators.datasets.generate import generate, load_manifest
from simulators.datasets.noise import CountingModel, Measured, logarithmic_edges
from simulators.datasets.priors import Fixed, LogUniform, Normal, Uniform
from simulators.datasets.reading import Dataset
from simulators.datasets.recipe import Recipe

__all__ = [
    "CLASSES",
    "FAMILIES",
    "MATRIX",
    "NOVELTIES",
    "STRANGERS",
    "Contribution",
    "CountingModel",
    "Dataset",
    "DatasetError",
    "Family",
    "Fixed",
    "LogUniform",
    "Measured",
    "Normal",
    "Recipe",
    "Uniform",
    "generate",
    "load_manifest",
    "logarithmic_edges",
]
