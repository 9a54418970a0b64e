"""Labels of a few real curves, learnt on what a trained classifier sees in them.

The trunks stay as they are; a new last layer is inferred for the new classes: a multinomial regression on the trunks'
standardised features, with the prior that keeps weights small where curves are few.

Labels of real curves are seldom even, and two curves of a class hardly move weights that thirty of another hold. So all
classes have the same say: each is repeated until it has about as many curves as the largest, and the posterior is
widened to what the curves that there are can tell. What the repeats do to the frequencies of classes is taken out again
(Prentice & Pyke, 1979, doi:10.1093/biomet/66.3.403: sampling by label changes a regression's intercepts alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.draws import DrawsPosterior
from surrogates.networks import NetworkEnsemble
from surrogates.saxs.curves import Floats, GriddedCurves
from surrogates.saxs.laplace import last_layer_posterior
from surrogates.saxs.model import SaxsClassifier
from surrogates.saxs.readout import Readout

_MIN_SD = 1e-3


@dataclass(frozen=True, eq=False)
class FewShot:
    """Classes of one's own, told apart by the features of a `SaxsClassifier`."""

    classifier: SaxsClassifier
    classes: tuple[str, ...]
    mean: Tensor
    """``(G, 1, p)`` of the features of the labelled curves."""
    sd: Tensor
    posterior: DrawsPosterior
    """Of a last layer for the classes as they are repeated."""
    frequency: Floats
    """``(classes,)`` shares of the labels."""
    repeated: Floats
    """``(classes,)`` shares after repeating: nearly even."""

    @classmethod
    def fit(
        cls,
        classifier: SaxsClassifier,
        curves: GriddedCurves,
        labels: Sequence[str],
        *,
        prior_sd: float = 1.0,
        draws: int = 64,
        seed: int = 0,
    ) -> Self:
        """Learn from labelled curves.

        Parameters
        ----------
        curves
            On the classifier's grid.
        labels
            Name of the class of each.
        prior_sd
            Of the weights, for standardised features divided by the root of their number: the smaller, the more alike
            the probabilities of curves that are few.
        draws, seed
            As of `surrogates.saxs.laplace.last_layer_posterior`.

        Raises
        ------
        SurrogateError
            If there are fewer than two classes, or not one label for each curve.
        """
        classes = tuple(sorted(set(labels)))
        if len(labels) != len(curves) or len(classes) < 2:
            raise SurrogateError(
                f"few-shot learning needs one label for each curve and two classes at least, got {len(labels)} labels "
                f"of {len(classes)} classes for {len(curves)} curves"
            )
        if not prior_sd > 0:
            raise SurrogateError(f"prior_sd must be positive, got {prior_sd}")
        h = classifier.features(curves).double()
        mean, sd = h.mean(1, keepdim=True), h.std(1, keepdim=True).clamp_min(_MIN_SD)
        y = torch.tensor([classes.index(label) for label in labels])
        count = torch.bincount(y).double()
        times = (count.max() / count).round().long()
        rows = torch.arange(len(y)).repeat_interleave(times[y])
        excess = len(rows) / len(y)
        members, _, p = h.shape
        zeros = {"weight": h.new_zeros(members, p, len(classes)), "bias": h.new_zeros(members, len(classes))}
        readout = NetworkEnsemble(Readout(p, len(classes)), (zeros,))
        posterior = last_layer_posterior(
            readout,
            ((h - mean) / sd)[:, rows],
            y[rows],
            # Against so many times more curves the prior, too, must count so many times.
            prior_sd=prior_sd * excess**-0.5,
            draws=draws,
            seed=seed,
        )
        shares = (count / len(y)).numpy(), (count * times / len(rows)).numpy()
        return cls(classifier, classes, mean, sd, _widened(posterior, excess**0.5), *shares)

    def predict_proba(self, curves: GriddedCurves) -> Floats:
        """Posterior mean of the probabilities ``(n, classes)``, for classes as frequent as among the labels."""
        return self._weighed(curves, self.frequency)

    def predict(self, curves: GriddedCurves, *, balanced: bool = False) -> list[str]:
        """Most probable class of each curve; `balanced`, as if all classes were equally frequent."""
        p = self._weighed(curves, np.ones(len(self.classes))) if balanced else self.predict_proba(curves)
        return [self.classes[i] for i in np.argmax(p, axis=1)]

    @torch.no_grad()
    def _weighed(self, curves: GriddedCurves, frequency: Floats) -> Floats:
        h = (self.classifier.features(curves).double() - self.mean) / self.sd
        logits = self.posterior.networks.after(h[:, None, None], 0, self.posterior.parameters)
        shift = torch.from_numpy(np.log(frequency / self.repeated))
        found: Floats = (logits + shift).softmax(-1).mean((0, 1, 2)).numpy()
        return found


def _widened(posterior: DrawsPosterior, factor: float) -> DrawsPosterior:
    """Draws so many times as far from their mean, which is the mode."""
    wide = {}
    for layer, own in posterior.parameters.items():
        middle = {name: t.mean(2, keepdim=True) for name, t in own.items()}
        wide[layer] = {name: middle[name] + factor * (t - middle[name]) for name, t in own.items()}
    return replace(posterior, parameters=wide)
