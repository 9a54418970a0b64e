"""Observables that a trained classifier of SAXS curves takes from a curve: class probabilities, novelty, uncertainty.

They are offered under the entry-point group ``beamloop.reduction``, so that campaign files name them as `kind`. Error
bars hold the curve's counting noise (`loop.classified`); those of a probability also how far the posterior's draws
differ.

All of them depend on the exposure: a class that noise hides shows with more counts, and so does what is strange. So
`sees_noise` is set: where the truth is known, it is asked as the campaign exposes.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from loop.classified import CurveClassifier, CurveLike, Floats, opened
from loop.classifier import NoClassifierError, classifier_path
from loop.errors import ConfigError
from surrogates.errors import SurrogateError
from surrogates.saxs.model import Classification

LEAST_SD = 0.01
"""Smallest error bar. A probability of 0.9999 hardly moves with noise, and yet is not known to four digits: calibration
ends at about 1 %. (Surrogates could not be fitted to numbers without noise, either.)"""


@dataclass(frozen=True)
class _Classified(ABC):
    """What the observables share."""

    model: str | None = field(default=None, kw_only=True)
    """Classifier (`beamloop train saxs`), without suffix, relative to where the command runs; left out: that of the
    environment variable BEAMLOOP_CLASSIFIER, or the one that comes with the project."""
    scale: Literal["absolute", "relative"] = field(default="absolute", kw_only=True)
    """Of the campaign's curves: ``absolute`` in 1/cm, ``relative`` up to a factor. The classifier must suit it."""
    sees_noise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.scale not in ("absolute", "relative"):
            raise ConfigError(f'scale: found {self.scale!r}, expected "absolute" or "relative".')
        if self.model is not None and not isinstance(self.model, str):
            raise ConfigError(f"model: found {self.model!r}, expected the path of a classifier, without suffix.")
        needed = self.classifier.model.encoder.scale
        if needed == "absolute" and self.scale == "relative":
            raise ConfigError(
                f'scale: found "relative", but the classifier {self.classifier.path} was trained on intensities in '
                "1/cm; expected one trained with scale: relative."
            )

    @cached_property
    def classifier(self) -> CurveClassifier:
        """Loaded once for all observables that name it."""
        try:
            return opened(classifier_path(self.model, "the option model"))
        except (NoClassifierError, SurrogateError) as error:
            raise ConfigError(f"model: {error}") from error

    @property
    def unit(self) -> str:
        """None unless said otherwise."""
        return "1"

    @property
    def description(self) -> str:
        """What it is, and whose word."""
        return f"{self._what()} (SAXS classifier {self.classifier.path.name}, {self.classifier.digest})"

    def __call__(self, curve: CurveLike) -> tuple[float, float]:
        """Return the value and its standard deviation.

        Raises
        ------
        UnusableCurveError
            If the classifier cannot look at the curve.
        """
        found = self.classifier.read(curve)
        values = self._values(found)
        parts = (values[1:].std(), self._posterior_sd(found), LEAST_SD)
        return float(values[0]), float(np.linalg.norm(parts))

    def values(self, curves: Sequence[CurveLike]) -> Floats:
        """Return the values of many curves at once, ``(n,)``; NaN where a curve cannot be used."""
        found, rows = self.classifier.probe(curves)
        result = np.full(len(curves), np.nan)
        if found is not None:
            result[rows] = self._values(found)
        return result

    @abstractmethod
    def _what(self) -> str:
        """Say what it is."""

    @abstractmethod
    def _values(self, found: Classification) -> Floats:
        """Take it from what was found of `n` curves, ``(n,)``."""

    def _posterior_sd(self, found: Classification) -> float:
        """Return how far the posterior's draws differ on the first curve."""
        return 0.0


@dataclass(frozen=True)
class ClassProbability(_Classified):
    """Probability that a curve shows one of the classes of a trained classifier."""

    of: str
    """Name of the class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        classes = self.classifier.model.classes
        if self.of not in classes:
            close = difflib.get_close_matches(str(self.of), classes, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise ConfigError(f'of: found "{self.of}", expected one of {", ".join(classes)}{hint}')

    def _what(self) -> str:
        return f"probability of {self.of}"

    def _values(self, found: Classification) -> Floats:
        return found.probability[:, found.classes.index(self.of)]

    def _posterior_sd(self, found: Classification) -> float:
        return float(found.probability_sd[0, found.classes.index(self.of)])


@dataclass(frozen=True)
class Novelty(_Classified):
    """How strange a curve is to a trained classifier: small for the kinds of its training, without a practical limit.

    The sum, over the classifier's scores, of minus the natural logarithm of the share of known curves with as large a
    score.
    """

    @property
    def unit(self) -> str:
        """Natural logarithm of a share."""
        return "nat"

    def _what(self) -> str:
        return "novelty: how unlike the classifier's training"

    def _values(self, found: Classification) -> Floats:
        return found.novelty


@dataclass(frozen=True)
class NoveltyP(_Classified):
    """Share of curves of known kinds that are at least as strange to a trained classifier; small means novel."""

    def _what(self) -> str:
        return "p-value of novelty: share of known curves that are as strange"

    def _values(self, found: Classification) -> Floats:
        return found.p_value


@dataclass(frozen=True)
class ClassEntropy(_Classified):
    """How unsure a trained classifier is of a curve's class: entropy of the probabilities."""

    @property
    def unit(self) -> str:
        """Natural logarithm."""
        return "nat"

    def _what(self) -> str:
        return "entropy of the class probabilities"

    def _values(self, found: Classification) -> Floats:
        return found.epistemic + found.aleatoric
