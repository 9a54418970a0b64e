"""Curves in HDF5: NXcanSAS as Mantid, Nika, Irena and others write it, NXdata over q, and data sets with usual names.

NXcanSAS: every group of class SASdata is read; axes, uncertainties and units as the standard says
(https://manual.nexusformat.org/classes/applications/NXcanSAS.html). Of data with more axes than q, each I(q) is a
curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from instruments.readers.arrays import split
from instruments.readers.base import Columns, CurveFileError
from instruments.readers.names import curve_columns, kind_of, listed

_UNCERTAINTIES = ("uncertainties", "uncertainty")
_PICTURE = "it is a picture, not a curve; reduce it first"


def read_hdf5(path: Path, columns: Sequence[str] | None = None) -> list[tuple[str, Columns]]:
    """Read all curves of a file; the label of each begins with the path.

    Raises
    ------
    CurveFileError
        If it is no HDF5 file, or holds no curve.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            groups: list[Any] = [file]
            file.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
            curves, reasons = _curves(path, groups, columns)
            there = [] if curves else [name for group in groups for name in _datasets(group)]
    except (OSError, RuntimeError, KeyError) as error:
        what = " ".join(str(error).split())
        raise CurveFileError(f"{path}: is no HDF5 file, or a damaged one ({what[:120]})") from error
    if not curves:
        why = "; ".join(reasons[:1]) or (
            "expected SASdata groups of NXcanSAS, or data sets named q, I and sigma; there are "
            + listed(list(dict.fromkeys(there)))
        )
        raise CurveFileError(f"{path}: holds no curve I(q): {why}")
    names = [str(path)] if len(curves) == 1 else [f"{path}[{i}]" for i in range(len(curves))]
    return list(zip(names, curves, strict=True))


def _curves(path: Path, groups: Sequence[Any], columns: Sequence[str] | None) -> tuple[list[Columns], list[str]]:
    """Curves of the first kind of group that there is, and why some have none."""
    reasons: list[str] = []
    kinds = (_named,) if columns is not None else (_sasdata, _nxdata, _named)
    for kind in kinds:
        curves: list[Columns] = []
        for group in groups:
            try:
                curves += kind(group, columns)
            except ValueError as error:
                reasons.append(f"{group.name}: {error}")
        if curves or reasons:
            return curves, reasons
    return [], []


def _sasdata(group: Any, _: Sequence[str] | None) -> list[Columns]:
    if "SASdata" not in (_text(group.attrs.get("canSAS_class")), _text(group.attrs.get("NX_class"))):
        return []
    signal = _text(group.attrs.get("signal")) or "I"
    axes = _texts(group.attrs.get("I_axes"))
    q = next((name for name in (*axes, "Q") if name in group and kind_of(name)[0] == "q"), None)
    if signal not in group or q is None:
        why = f": {_PICTURE}" if "Qx" in group else ""
        raise ValueError(f"expected data sets {signal} and Q, got {listed(list(group))}{why}")
    error = next((_text(group[signal].attrs.get(key)) for key in _UNCERTAINTIES if key in group[signal].attrs), "")
    error = error or _text(group.attrs.get(f"{signal}_uncertainties")) or f"{signal}dev"
    dimension = np.ravel(group.attrs.get("Q_indices", [-1]))
    at = int(dimension[-1]) if len(dimension) == 1 and str(dimension[-1]).lstrip("-").isdigit() else -1
    return list(_split(group, q, signal, error, at))


def _nxdata(group: Any, _: Sequence[str] | None) -> list[Columns]:
    """NXdata whose last axis is q: what pyFAI and DAWN write."""
    signal, axes = _text(group.attrs.get("signal")), _texts(group.attrs.get("axes"))
    if _text(group.attrs.get("NX_class")) != "NXdata" or signal not in group or not axes:
        return []
    q = next((name for name in reversed(axes) if name in group and kind_of(name)[0] == "q"), None)
    if q is None:
        return []
    error = next((name for name in (f"{signal}_errors", "errors") if name in group), "")
    return list(_split(group, q, signal, error, axes.index(q) if q in axes else -1))


def _named(group: Any, columns: Sequence[str] | None) -> list[Columns]:
    there = _datasets(group)
    if columns is not None and not set(columns) <= set(there):
        return []
    return [
        curve
        for named in curve_columns(there, columns)
        for curve in _split(group, named.q, named.intensity, named.sigma or "", -1)
    ]


def _datasets(group: Any) -> list[str]:
    import h5py

    return [name for name in group if group.get(name, getclass=True) is h5py.Dataset]


def _split(group: Any, q_name: str, signal: str, error: str, q_at: int) -> Iterator[Columns]:
    """Yield one curve for each I(q) that the data hold."""
    q, intensity = _array(group[q_name]), _array(group[signal])
    sigma = _array(group[error]) if error and error in group else None
    if q.ndim > 1 and q.shape == intensity.shape and len(np.unique(q.reshape(-1, q.shape[-1]), axis=0)) > 1:
        raise ValueError(f"{q_name} has shape {q.shape}: {_PICTURE}")
    q_unit, unit = (_text(group[n].attrs.get("units", group[n].attrs.get("unit"))) or None for n in (q_name, signal))
    yield from split(q, intensity, sigma, q_axis=q_at, names=(q_name, signal, error), units=(q_unit, unit))


def _array(dataset: Any) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(dataset[()], dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{dataset.name} holds no numbers") from None


def _text(value: Any) -> str:
    """Return an attribute as text; of several the first."""
    if value is None:
        return ""
    first = np.ravel(np.asarray(value, dtype=object))
    if not len(first):
        return ""
    return first[0].decode("utf-8", "replace") if isinstance(first[0], bytes) else str(first[0])


def _texts(value: Any) -> list[str]:
    """Names of axes: an array, or one text with commas or colons between them."""
    if value is None:
        return []
    return [
        part.strip()
        for item in np.ravel(np.asarray(value, dtype=object))
        for part in _text(item).replace(":", ",").split(",")
    ]
