"""What all descriptors share: scikit-learn transformers of rows to named columns, parallel, cached, with progress.

A descriptor of its own says what its columns are (`Descriptor.feature_table`), computes a block of rows
(`Descriptor._compute`), and says in bytes what a row is (`Descriptor._content`); all else is here.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NoReturn, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from surrogates.descriptors.cache import DescriptorCache, content_key
from surrogates.errors import SurrogateError

Progress = Callable[[int, int], object]
"""Called with the number of rows that are done, and of all."""


class BadRowError(SurrogateError, ValueError):
    """A row that cannot be described: no formula, say. Says which row, what it is, why, and what to do."""


@dataclass(frozen=True)
class Feature:
    """A column of a descriptor."""

    name: str
    unit: str
    """``"1"`` where there is none."""
    meaning: str
    """One sentence without a full stop."""


@dataclass(frozen=True, eq=False)
class Block:
    """What was computed of some rows."""

    values: np.ndarray
    """``(n, p)`` float64, finite where there is no error."""
    errors: Mapping[int, str]
    """Why a row (counted from 0 within the block) could not be computed."""


class Descriptor(TransformerMixin, BaseEstimator, ABC):
    """Base of all descriptors: a stateless scikit-learn transformer.

    Parameters
    ----------
    n_jobs
        Processes; -1 stands for all cores, as in scikit-learn.
    cache
        Folder where numbers once computed are kept and looked up, by content; see `DescriptorCache`. None: no cache.
    progress
        Called with ``(rows done, rows in all)`` after each block of rows.
    on_error
        What a row that cannot be described does. ``"raise"``: the first one raises `BadRowError`. ``"nan"``: all its
        columns are NaN, and `errors_` says why.

    Attributes
    ----------
    errors_ : dict[int, str]
        Rows (from 0) that the last `transform` could not describe, and why.
    """

    version: ClassVar[int] = 1
    """To be raised whenever numbers change: what is cached of an older version is not used."""
    rows_per_block: ClassVar[int] = 1024
    """Rows that are computed, and kept in one file of the cache, together."""
    accepted: ClassVar[str]
    """What a row may be, in words."""

    errors_: dict[int, str]

    def __init__(
        self,
        *,
        n_jobs: int | None = 1,
        cache: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.n_jobs = n_jobs
        self.cache = cache
        self.progress = progress
        self.on_error = on_error

    @abstractmethod
    def feature_table(self) -> list[Feature]:
        """Return name, unit and meaning of each column."""

    @abstractmethod
    def _compute(self, rows: Sequence[Any]) -> Block:
        """Compute the columns of some rows; runs in a worker if there are any."""

    @abstractmethod
    def _content(self, row: Any) -> bytes:
        """Return bytes that are the same for rows with the same numbers only; raise where this is no row at all."""

    @abstractmethod
    def _token(self) -> str:
        """Return what the numbers hang on beside the row: settings, tables, versions of libraries."""

    def _label(self, row: Any) -> str:
        """Return a row for messages, short."""
        text = repr(row)
        return text if len(text) <= 100 else text[:97] + "..."

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the settings; there is nothing to learn."""
        self._check_settings()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the columns of each row.

        Parameters
        ----------
        X
            ``n`` rows: a list, array, pandas Series or DataFrame of one column.

        Returns
        -------
        ndarray
            ``(n, p)`` float64.

        Raises
        ------
        BadRowError
            If a row cannot be described and `on_error` is ``"raise"``.
        SurrogateError
            If a setting is wrong, or X is not a sequence of rows.
        """
        self._check_settings()
        rows = self._rows(X)
        values = np.empty((len(rows), len(self.feature_table())))
        self.errors_ = {}
        store = None if self.cache is None else DescriptorCache(self.cache, self._namespace())
        keys = [] if store is None else [self._key(row) for row in rows]
        todo = np.arange(len(rows)) if store is None else np.flatnonzero(~store.read(keys, values))
        done = len(rows) - len(todo)
        if done and self.progress is not None:
            self.progress(done, len(rows))
        parts = [todo[i : i + self.rows_per_block] for i in range(0, len(todo), self.rows_per_block)]
        with closing(self._blocks([[rows[i] for i in part] for part in parts])) as blocks:
            for part, block in zip(parts, blocks, strict=True):
                errors = self._errors(block)
                block.values[list(errors)] = np.nan
                values[part] = block.values
                if store is not None:
                    good = [i for i in range(len(part)) if i not in errors]
                    store.write([keys[part[i]] for i in good], block.values[good])
                self.errors_ |= {int(part[i]): errors[i] for i in sorted(errors)}
                if self.errors_ and self.on_error == "raise":
                    self._refuse(rows)
                done += len(part)
                if self.progress is not None:
                    self.progress(done, len(rows))
        return values

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, ``(p,)``; what goes in has no names that matter."""
        return np.array([feature.name for feature in self.feature_table()], dtype=object)

    def _errors(self, block: Block) -> dict[int, str]:
        """Why rows of a block have no numbers; whatever is not finite has none."""
        strange = np.flatnonzero(~np.isfinite(block.values.sum(1))).tolist()
        return dict.fromkeys(strange, f"{type(self).__name__} computed a number that is not finite") | dict(
            block.errors
        )

    def _refuse(self, rows: Sequence[Any]) -> NoReturn:
        row, why = next(iter(self.errors_.items()))
        raise BadRowError(
            f'row {row} ({self._label(rows[row])}): {why}. Leave the row out, or set on_error="nan": its numbers are '
            "NaN then, and errors_ says why"
        )

    def _blocks(self, parts: list[list[Any]]) -> Generator[Block, None, None]:
        """Compute one after the other, in order, here or in workers."""
        if self.n_jobs in (1, None) or len(parts) < 2:
            for part in parts:
                yield self._compute(part)
            return
        from joblib import Parallel, delayed

        plain = {**self.get_params(deep=False), "n_jobs": 1, "cache": None, "progress": None}
        worker = type(self)(**plain)
        parallel = Parallel(n_jobs=self.n_jobs, return_as="generator")
        found = parallel(delayed(worker._compute)(part) for part in parts)
        try:
            for block in found:  # noqa: UP028 - `yield from` would close it first
                yield block
        finally:
            with warnings.catch_warnings():
                # Where a bad row ends it all, joblib warns of work that was lost.
                warnings.simplefilter("ignore", UserWarning)
                found.close()

    def _namespace(self) -> str:
        """Name the folder within the cache: what was computed in another way is in another one."""
        return f"{type(self).__name__}-{content_key(f'{self.version} {self._token()}'.encode()).hex()}"

    def _key(self, row: Any) -> bytes | None:
        try:
            return content_key(self._content(row))
        except Exception:  # no row at all: `_compute` says so
            return None

    def _check_settings(self) -> None:
        if self.on_error not in ("raise", "nan"):
            raise SurrogateError(f'on_error must be "raise" or "nan", got {self.on_error!r}')
        if not isinstance(self.n_jobs, int | np.integer | None) or self.n_jobs == 0:
            raise SurrogateError(f"n_jobs must be a number of processes, or -1 for all cores, got {self.n_jobs!r}")

    def _rows(self, X: Any) -> list[Any]:
        if isinstance(X, str | bytes | Mapping) or hasattr(X, "sites"):
            raise SurrogateError(f"expected a sequence of rows ({self.accepted}), got one alone: put it into a list")
        if shape := getattr(X, "shape", None):
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise SurrogateError(f"expected one column of rows ({self.accepted}), got an array {tuple(shape)}")
            return list(np.asarray(X, dtype=object).ravel())
        try:
            return list(X)
        except TypeError as error:
            raise SurrogateError(f"expected a sequence of rows ({self.accepted}), got {type(X).__name__}") from error

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags


def one_by_one(function: Callable[[Any], np.ndarray], rows: Sequence[Any], p: int) -> Block:
    """Compute rows ``(p,)`` one at a time; whatever one raises becomes the reason why it is NaN."""
    values, errors = np.full((len(rows), p), np.nan), {}
    for i, row in enumerate(rows):
        try:
            values[i] = function(row)
        except SurrogateError as error:
            errors[i] = str(error)
        except Exception as error:  # an error of a library that we call: named, and shown with its row
            errors[i] = f"{type(error).__name__}: {error}"
    return Block(values, errors)
