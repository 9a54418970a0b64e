"""Checking and broadcasting of kernel parameters, and the one unit conversion that all kernels share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import ParameterError

PER_CM = 1e8
"""1/Å expressed in 1/cm."""


def momentum_transfer(q: ArrayLike) -> np.ndarray:
    """Return q as ``(k,)`` float64.

    Raises
    ------
    ParameterError
        If q is not one-dimensional, or not finite and positive everywhere.
    """
    array = np.asarray(q, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ParameterError(f"q must be a non-empty array (k,) in 1/Å, got shape {array.shape}")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise ParameterError(f"q must be finite and above 0 1/Å, got {array[index]} at index {index}")
    return array


def columns(**parameters: tuple[ArrayLike, float, float, str]) -> list[np.ndarray]:
    """Bring parameters to columns ``(n, 1)`` of one length, checked against their ranges.

    Parameters
    ----------
    **parameters
        For each name: value (number or ``(n,)``), lowest and highest allowed value (both included), unit.

    Returns
    -------
    list of ndarray
        ``(n, 1)`` float64 each, in the order given; n = 1 where all are numbers.

    Raises
    ------
    ParameterError
        If a value is not finite or out of range, or lengths differ.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, (value, low, high, unit) in parameters.items():
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if array.ndim != 1:
            raise ParameterError(f"{name} must be a number or an array (n,), got shape {array.shape}")
        bad = ~((array >= low) & (array <= high) & np.isfinite(array))
        if bad.any():
            index = int(np.flatnonzero(bad)[0])
            raise ParameterError(
                f"{name} must lie in [{low:g}, {high:g}] {unit}, got {array[index]:g} at index {index}"
            )
        arrays[name] = array
    lengths = {name: array.size for name, array in arrays.items() if array.size != 1}
    if len(set(lengths.values())) > 1:
        raise ParameterError(f"parameters must be numbers or arrays of one length, got lengths {lengths}")
    n = next(iter(lengths.values()), 1)
    return [np.broadcast_to(array, (n,))[:, None] for array in arrays.values()]
