"""A pool of samples that exist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.quasirandom import SobolEngine

from loop.errors import SpaceError
from loop.records import Point
from loop.space._common import SAMPLE, check_names, number

Scale = Literal["linear", "log", "rank"]


class PoolSpace:
    """Samples that exist, each with its features; only they can be measured, each once.

    A point is ``{"sample": id, feature: value, ...}``. The id is the identity: rows with equal features are different
    samples (replicates).

    Parameters
    ----------
    ids
        One per sample, distinct.
    features
        ``(n, d)``, finite.
    names
        The ``d`` features' names.
    units
        The ``d`` features' units; empty strings when left out.
    scales
        What the model sees of each feature: ``"linear"`` (the number; the default), ``"log"``, or ``"rank"`` among the
        samples, which spreads a densely sampled stretch over as much of the axis as it has samples.

    Raises
    ------
    SpaceError
        Shapes that do not fit, an id or a name used twice, values that are not finite.
    """

    def __init__(
        self,
        ids: Sequence[str],
        features: NDArray[np.float64] | Sequence[Sequence[float]],
        names: Sequence[str],
        units: Sequence[str] = (),
        scales: Sequence[Scale] = (),
    ) -> None:
        self.ids = tuple(str(i) for i in ids)
        self.names: tuple[str, ...] = tuple(names)
        self.units: tuple[str, ...] = tuple(units) or ("",) * len(self.names)
        check_names(self.names)
        self.features = np.array(features, dtype=np.float64)
        if self.features.shape != (len(self.ids), len(self.names)) or not self.ids:
            raise SpaceError(
                f"pool: expected features of shape ({len(self.ids)}, {len(self.names)}) for {len(self.ids)} ids and "
                f"{len(self.names)} names, and at least one row; got {self.features.shape}"
            )
        if len(self.units) != len(self.names):
            raise SpaceError(f"pool: {len(self.units)} units for {len(self.names)} features {list(self.names)}")
        bad = np.argwhere(~np.isfinite(self.features))
        if len(bad):
            row, column = bad[0]
            raise SpaceError(
                f"pool: sample {self.ids[row]!r} has {self.names[column]!r} = {self.features[row, column]}; "
                "every feature must be a finite number: leave such samples out"
            )
        self._index = {identity: i for i, identity in enumerate(self.ids)}
        if len(self._index) != len(self.ids):
            twice = next(i for i in self.ids if self.ids.count(i) > 1)
            raise SpaceError(f"pool: the id {twice!r} is used {self.ids.count(twice)} times; ids must be distinct")
        self.features.flags.writeable = False
        self.scales: tuple[Scale, ...] = tuple(scales or ["linear"] * len(self.names))
        seen = self._as_seen()
        low, high = seen.min(axis=0), seen.max(axis=0)
        constant = high == low
        span = np.where(constant, 1.0, high - low)
        # A feature that never varies says nothing: the middle of its axis keeps it inside the cube.
        scaled = np.where(constant, 0.5, (seen - low) / span)
        self._rows = torch.from_numpy(scaled)
        self.candidates: Tensor | None = self._rows

    def _as_seen(self) -> NDArray[np.float64]:
        """Return the features on the scales that the model sees."""
        if len(self.scales) != len(self.names):
            raise SpaceError(f"pool: {len(self.scales)} scales for {len(self.names)} features {list(self.names)}")
        columns = []
        for name, scale, values in zip(self.names, self.scales, self.features.T, strict=True):
            if scale == "log" and values.min() <= 0:
                row = int(values.argmin())
                raise SpaceError(
                    f"pool: feature {name!r} is to be seen on a log scale, but sample {self.ids[row]!r} has "
                    f"{values[row]:g}"
                )
            columns.append({"linear": lambda v: v, "log": np.log, "rank": rankdata}[scale](values))
        return np.stack(columns, axis=1)

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, index: int) -> Point:
        """Return the point of row `index` of `candidates`."""
        row = self.features[index].tolist()
        return {SAMPLE: self.ids[index], **dict(zip(self.names, row, strict=True))}

    def index(self, point: Point) -> int:
        """Return the row of `candidates` that a point stands for.

        Raises
        ------
        SpaceError
            The point has no known id.
        """
        if SAMPLE not in point:
            raise SpaceError(f"point {dict(point)} has no {SAMPLE!r}: a pool's points are known by their sample's id")
        try:
            return self._index[str(point[SAMPLE])]
        except KeyError:
            raise SpaceError(
                f"sample {point[SAMPLE]!r} is not in the pool of {len(self)}: {self.ids[0]!r} .. {self.ids[-1]!r}"
            ) from None

    def encode(self, points: Sequence[Point]) -> Tensor:
        """Points to their rows of `candidates`, ``(n, d)``."""
        return self._rows[[self.index(p) for p in points]].clone()

    def decode(self, X: Tensor) -> list[Point]:
        """Rows of `candidates` back to points; of replicates, which share their row, the first one in the pool.

        Raises
        ------
        SpaceError
            A row that is not in the pool.
        """
        X = X.detach().to(torch.float64)
        distance = torch.cdist(X, self._rows, p=math.inf)
        nearest = distance.argmin(dim=1)
        for row, i in enumerate(nearest.tolist()):
            if float(distance[row, i]) > 1e-9:
                raise SpaceError(
                    f"{X[row].tolist()} is no row of the pool; the nearest is sample {self.ids[i]!r} "
                    f"at {self._rows[i].tolist()}"
                )
        return [self.at(i) for i in nearest.tolist()]

    def initial(self, n: int, *, seed: int) -> list[Point]:
        """`n` distinct samples spread over the pool; replicates of a chosen one come last.

        A scrambled Sobol sequence is matched to the nearest sample left, distances taken between ranks, so that the
        points follow the pool's own density however skewed its features are. The first points do not depend on `n`.

        Raises
        ------
        SpaceError
            More points than samples.
        """
        self._check_count(n)
        ranks = torch.from_numpy((rankdata(self.features, axis=0) - 0.5) / len(self))
        engine = SobolEngine(len(self.names), scramble=True, seed=seed)
        targets = engine.draw(n, dtype=torch.float64) if n else torch.empty(0, len(self.names), dtype=torch.float64)
        cost = torch.zeros(len(self), dtype=torch.float64)
        chosen: list[int] = []
        for target in targets:
            i = int((((ranks - target) ** 2).sum(dim=1) + cost).numpy().argmin())
            chosen.append(i)
            # A replicate only when nothing else is left, the same sample never.
            cost[(self._rows == self._rows[i]).all(dim=1)] += 1e6
            cost[i] = math.inf
        return [self.at(i) for i in chosen]

    def random(self, n: int, *, seed: int) -> list[Point]:
        """`n` distinct samples, each equally likely."""
        self._check_count(n)
        return [self.at(int(i)) for i in np.random.default_rng(seed).permutation(len(self))[:n]]

    def validate(self, point: Point) -> Point:
        """Return the sample's full point; features may be left out, but may not contradict the pool.

        Raises
        ------
        SpaceError
            An unknown sample or feature, or a feature that is not the sample's.
        """
        canonical = self.at(self.index(point))
        for name, value in point.items():
            if name not in canonical:
                raise SpaceError(f"point {dict(point)} has {name!r}; the pool's features are {list(self.names)}")
            if name != SAMPLE and not math.isclose(number(point, name, ""), float(canonical[name]), rel_tol=1e-9):
                raise SpaceError(
                    f"sample {canonical[SAMPLE]!r}: {name!r} = {value} contradicts the pool's {canonical[name]}"
                )
        return canonical

    def _check_count(self, n: int) -> None:
        if n > len(self):
            raise SpaceError(f"{n} points asked of a pool of {len(self)} samples: ask for at most {len(self)}")

    def __repr__(self) -> str:
        return f"PoolSpace({len(self)} samples, features {list(self.names)})"
