r"""Curves of no particular physics: what a detector of the unknown is trained against.

The local exponent :math:`s(q) = -d\ln I/d\ln q` is a broken line over :math:`\ln q` with five corners, and one peak or
dip stands on the curve:

.. math:: I(q) = L \exp\Bigl(-\int_{\ln q_3}^{\ln q} s\,d\ln q'\Bigr)
    \Bigl(1 + b\,e^{-\ln^2(q/q_b)/2w^2}\Bigr)

Corners at q = 0.005, 0.015, 0.045, 0.135 and 0.405 1/Å; beyond the first and last the exponent stays as it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_CORNERS = (0.005, 0.015, 0.045, 0.135, 0.405)
_PARAMETERS = (
    Parameter("level", "1/cm", 0.0, 1e12, 1.0, "cross section at q = 0.045 1/Å, without the peak"),
    *(
        Parameter(f"exponent_{i + 1}", "(1)", -6.0, 8.0, 2.0, f"minus the slope of ln I over ln q at {q:g} 1/Å")
        for i, q in enumerate(_CORNERS)
    ),
    Parameter("peak", "(1)", -1.0, 1e6, 0.0, "height of the peak over the curve below it; a dip where negative"),
    Parameter("peak_q", "1/Å", 1e-4, 10.0, 0.05, "where the peak is"),
    Parameter("peak_width", "(1)", 0.01, 10.0, 0.2, "standard deviation of the peak in ln q"),
)


def irregular(
    q: Values,
    *,
    level: Values,
    exponent_1: Values,
    exponent_2: Values,
    exponent_3: Values,
    exponent_4: Values,
    exponent_5: Values,
    peak: Values,
    peak_q: Values,
    peak_width: Values,
) -> Tensor:
    """Curve whose local exponent is a broken line, with a peak.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    level, exponent_1, exponent_2, exponent_3, exponent_4, exponent_5, peak, peak_q, peak_width
        Numbers or ``(n,)``; units and ranges in `KERNELS`.

    Returns
    -------
    Tensor
        ``(n, k)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If a parameter is out of its range.
    """
    q = momentum_transfer(q)
    height, *exponents, bump, centre, width = columns(
        q,
        _PARAMETERS,
        level=level,
        exponent_1=exponent_1,
        exponent_2=exponent_2,
        exponent_3=exponent_3,
        exponent_4=exponent_4,
        exponent_5=exponent_5,
        peak=peak,
        peak_q=peak_q,
        peak_width=peak_width,
    )
    log_q = torch.log(q)
    fall = torch.cat(exponents, 1) @ _integrals(log_q)
    standing = 1 + bump * torch.exp(-0.5 * ((log_q - torch.log(centre)) / width).square())
    return height * torch.exp(-fall) * standing


def _integrals(log_q: Tensor) -> Tensor:
    """Integral of each corner's share of the exponent from the middle corner to ln q, ``(corners, k)``."""
    corners = torch.tensor([math.log(q) for q in _CORNERS], dtype=torch.float64)
    x = torch.cat([log_q.double(), corners[len(_CORNERS) // 2][None]])
    inside = x.clamp(corners[0], corners[-1])
    step = float(corners[1] - corners[0])
    rows = []
    for i, corner in enumerate(corners):
        t = ((inside - corner) / step).clamp(-1.0, 1.0)
        rising = (t.clamp_max(0.0) + 1).square() / 2 + t.clamp_min(0.0) - t.clamp_min(0.0).square() / 2
        row = step * rising
        if i == 0:
            row = row + (x - corners[0]).clamp_max(0.0)
        if i == len(corners) - 1:
            row = row + (x - corners[-1]).clamp_min(0.0)
        rows.append(row)
    table = torch.stack(rows)
    return (table[:, :-1] - table[:, -1:]).to(log_q.dtype)


KERNELS = (
    Kernel(
        name="irregular",
        function=irregular,
        parameters=_PARAMETERS,
        source="a broken line; no physics",
        valid="all q > 0",
        tests=(
            SelfTest(
                {
                    "level": 2.0,
                    **{f"exponent_{i}": 3.0 for i in range(1, 6)},
                    "peak": 0.0,
                    "peak_q": 0.05,
                    "peak_width": 0.2,
                },
                (0.001, 0.0225, 0.045, 0.9),
                (2.0 * 45.0**3, 16.0, 2.0, 2.0 / 20.0**3),
                "a power law where all exponents are the same",
            ),
            SelfTest(
                {
                    "level": 1.0,
                    "exponent_1": 0.0,
                    "exponent_2": 0.0,
                    "exponent_3": 0.0,
                    "exponent_4": 2.0,
                    "exponent_5": 4.0,
                    "peak": 1.0,
                    "peak_q": 0.015,
                    "peak_width": 0.01,
                },
                (0.005, 0.015, 0.135, 0.405, 1.215),
                (1.0, 2.0, 1.0 / 3.0, 1.0 / 81.0, 1.0 / 6561.0),
                "integrals of a line: ln 3, 4 ln 3, 8 ln 3 down from the middle corner; the peak doubles",
            ),
        ),
    ),
)
