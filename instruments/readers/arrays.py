"""Arrays with more axes than q: one curve for each I(q) that they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from instruments.readers.base import Columns


def split(
    q: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray | None,
    *,
    q_axis: int = -1,
    names: Sequence[str] = ("q", "I", "sigma"),
    units: tuple[str | None, str | None] = (None, None),
) -> Iterator[Columns]:
    """Yield curves.

    Parameters
    ----------
    q
        ``(k,)``, or of the shape of `intensity` where each curve has its own.
    intensity
        ``(..., k)``, or with k at `q_axis`.
    sigma
        Of the shape of `intensity` or ``(k,)``, or None.
    q_axis
        Which axis of `intensity` is q; the last one if it does not fit.
    names
        Of the three, for messages.
    units
        Of q and intensity.

    Raises
    ------
    ValueError
        If shapes do not agree.
    """
    shapes = [np.shape(values) for values in (q, intensity, sigma) if values is not None]
    own_q = q.ndim > 1 and q.shape == intensity.shape
    if own_q and len(np.unique(q.reshape(-1, q.shape[-1]), axis=0)) == 1:
        q, own_q = q.reshape(-1, q.shape[-1])[0], False
    if q.ndim > 1 and not own_q and q.size == q.shape[-1]:
        q = q.reshape(-1)
    if intensity.ndim > 1 and not own_q:
        if not (-intensity.ndim <= q_axis < intensity.ndim and intensity.shape[q_axis : q_axis + 1 or None] == q.shape):
            q_axis = -1
        intensity = np.moveaxis(intensity, q_axis, -1)
        if sigma is not None and sigma.ndim == intensity.ndim:
            sigma = np.moveaxis(sigma, q_axis, -1)
    points = intensity.shape[-1:]
    if (not own_q and points != q.shape) or (sigma is not None and sigma.shape not in (intensity.shape, points)):
        said = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=False))
        raise ValueError(f"shapes do not agree: {said}")
    k = points[0]
    errors = None if sigma is None else np.broadcast_to(sigma, intensity.shape).reshape(-1, k)
    every_q = np.broadcast_to(q, intensity.shape).reshape(-1, k)
    for row, own in enumerate(intensity.reshape(-1, k)):
        yield Columns(
            every_q[row], own, None if errors is None else errors[row], q_unit=units[0], intensity_unit=units[1]
        )
