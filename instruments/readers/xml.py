"""Curves in canSAS XML, 1.0 and 1.1: every SASdata of every SASentry.

Format: https://www.cansas.org/formats/canSAS1d/1.1/doc/
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from instruments.readers.base import Columns, CurveFileError


def read_cansas(
    path: Path, content: bytes, *, skip_bad_rows: bool = False
) -> list[tuple[str, Columns | CurveFileError]]:
    """Read all curves of a file; the label of each begins with the path.

    Instead of a curve with a value that is no number comes the error, with its row (the point of the curve, from 1).

    Raises
    ------
    CurveFileError
        If it is not canSAS XML.
    """
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - expat limits what entities expand to
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise CurveFileError(f"{path}: is no XML, or a damaged one ({error})") from error
    data = [element for element in root.iter() if _tag(element) == "SASdata"]
    if not data:
        raise CurveFileError(f"{path}: holds no SASdata: expected canSAS XML, got <{_tag(root)}>")
    names = [str(path)] if len(data) == 1 else [f"{path}[{i}]" for i in range(len(data))]
    return [(name, _tried(name, element, skip_bad_rows)) for name, element in zip(names, data, strict=True)]


def _tried(name: str, data: ElementTree.Element, skip: bool) -> Columns | CurveFileError:
    try:
        return _curve(name, data, skip)
    except CurveFileError as error:
        return error


def _curve(name: str, data: ElementTree.Element, skip: bool) -> Columns:
    columns: dict[str, list[float]] = {"Q": [], "I": [], "Idev": []}
    units: dict[str, str | None] = {}
    has_error = False
    points = [element for element in data.iter() if _tag(element) == "Idata"]
    for row, point in enumerate(points, start=1):
        found = {_tag(element): element for element in point}
        has_error |= "Idev" in found
        for key, values in columns.items():
            element = found.get(key)
            if element is None:
                if key != "Idev" and not skip:
                    raise CurveFileError(f"{name}: row {row}: has no {key}; --skip-bad-rows leaves such rows out")
                values.append(np.nan)
                continue
            units.setdefault(key, element.get("unit"))
            values.append(_number(name, row, key, element.text or "", skip))
    q, intensity, sigma = (np.array(columns[key], dtype=np.float64) for key in columns)
    return Columns(q, intensity, sigma if has_error else None, q_unit=units.get("Q"), intensity_unit=units.get("I"))


def _number(name: str, row: int, key: str, text: str, skip: bool) -> float:
    try:
        return float(text)
    except ValueError:
        if skip:
            return np.nan
        raise CurveFileError(
            f"{name}: row {row}: expected a number for {key}, got {text.strip()[:40]!r}; --skip-bad-rows leaves such "
            "rows out"
        ) from None


def _tag(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]
