"""Checking and broadcasting of kernel parameters, and the one unit conversion that all kernels share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from simulators.errors import ParameterError
from simulators.scattering.kernel import Parameter, Values

PER_CM = 1e8
"""1/Å expressed in 1/cm."""


def as_tensor(values: Values) -> Tensor:
    """Return a float64 tensor, but leave a float32 tensor as it is."""
    if isinstance(values, Tensor):
        return values if values.dtype == torch.float32 else values.to(torch.float64)
    return torch.tensor(np.asarray(values, dtype=np.float64))


def momentum_transfer(q: Values) -> Tensor:
    """Return q as ``(k,)``: float32 where q is a float32 tensor, else float64. The kernel's result follows it.

    Raises
    ------
    ParameterError
        If q is not one-dimensional, or not finite and positive everywhere.
    """
    tensor = as_tensor(q)
    if tensor.ndim != 1 or tensor.numel() == 0:
        raise ParameterError(f"q must be a non-empty array (k,) in 1/Å, got shape {tuple(tensor.shape)}")
    bad = ~(torch.isfinite(tensor) & (tensor > 0))
    if bad.any():
        index = int(bad.nonzero()[0, 0])
        raise ParameterError(f"q must be finite and above 0 1/Å, got {float(tensor[index])} at index {index}")
    return tensor


def columns(q: Tensor, parameters: Sequence[Parameter], **values: Values) -> list[Tensor]:
    """Bring parameters to columns ``(n, 1)`` of one length, checked against their ranges.

    Parameters
    ----------
    q
        From `momentum_transfer`: its dtype and device become the columns'.
    parameters
        Names, units and ranges of the kernel's parameters.
    **values
        For each name: a number or ``(n,)``.

    Returns
    -------
    list of Tensor
        ``(n, 1)`` each, in the order given; n = 1 where all are numbers.

    Raises
    ------
    ParameterError
        If a value is not finite or out of range, or lengths differ.
    """
    ranges = {parameter.name: parameter for parameter in parameters}
    arrays: dict[str, Tensor] = {}
    for name, value in values.items():
        # Checked in double precision: 0.7 in single precision is above 0.7.
        array = torch.atleast_1d(as_tensor(value).to(device=q.device))
        if array.ndim != 1 or array.numel() == 0:
            raise ParameterError(f"{name} must be a number or an array (n,), got shape {tuple(array.shape)}")
        low, high = ranges[name].low, ranges[name].high
        if array.dtype == torch.float32:
            low, high = low - 1e-6 * abs(low), high + 1e-6 * abs(high)
        bad = ~((array >= low) & (array <= high) & torch.isfinite(array))
        if bad.any():
            index = int(bad.nonzero()[0, 0])
            raise ParameterError(
                f"{name} must lie in [{ranges[name].low:g}, {ranges[name].high:g}] {ranges[name].unit}, "
                f"got {float(array[index]):g} at index {index}"
            )
        arrays[name] = array.to(q.dtype)
    lengths = {name: array.numel() for name, array in arrays.items() if array.numel() != 1}
    if len(set(lengths.values())) > 1:
        raise ParameterError(f"parameters must be numbers or arrays of one length, got lengths {lengths}")
    n = next(iter(lengths.values()), 1)
    return [array.expand(n)[:, None] for array in arrays.values()]
