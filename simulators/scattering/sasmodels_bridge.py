"""Every model of sasmodels as a kernel, by its name: what we do not vectorise ourselves.

Conventions carried over: ``scale`` multiplies <F²>/<V> and is the volume fraction where a model has no ``volfraction``
of its own; V is the volume that the model counts (the whole particle, shells included). Changed: scattering-length
densities are in 1/Å² (sasmodels: 1e-6/Å²), and there is no ``background``, add `flat_background`. Every size that
sasmodels lets vary has its relative width ``<name>_pd``, all of one ``distribution``, summed over 80 points and 8 sd.

Models written in C are compiled by sasmodels on first use (a C compiler must be there; ``SAS_DLL_PATH`` says where the
results are kept). One call computes one curve: slow beside our own kernels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulators.errors import ParameterError
from simulators.scattering.arguments import columns, momentum_transfer
from simulators.scattering.averages import DISTRIBUTIONS
from simulators.scattering.kernel import Kernel, Parameter, SelfTest, Values

_POINTS, _SIGMAS = 80, 8.0
_BACKGROUND = 1e-3
"""What sasmodels' own tests add where they do not say."""


def sasmodels_names() -> tuple[str, ...]:
    """Return the names of all models that sasmodels brings."""
    from sasmodels.core import list_models

    return tuple(sorted(list_models()))


@cache
def sasmodels_kernel(name: str) -> Kernel:
    """Return a model of sasmodels as a kernel.

    Parameters
    ----------
    name
        As sasmodels knows it; products such as ``sphere@hardsphere`` too.

    Raises
    ------
    ParameterError
        If there is no such model, or it cannot be compiled.
    """
    from sasmodels.core import load_model

    try:
        model = load_model(name, dtype="double", platform="dll")
    except Exception as error:  # sasmodels lets pass whatever its importer or the compiler raises
        raise ParameterError(
            f"sasmodels cannot load the model {name!r}: {error}; sasmodels_names() lists the models, "
            "and those written in C need a C compiler"
        ) from error
    info = model.info
    table = info.parameters
    factors: dict[str, float] = {}
    parameters = []
    for entry in table.call_parameters:
        if entry.name == "background" or entry.type in ("orientation", "magnetic") or entry.name in _MAGNETIC:
            continue
        unit, factor = _UNITS.get(entry.units, (entry.units or "(1)", 1.0))
        factors[entry.name] = factor
        low, high = (float(limit) * factor for limit in entry.limits)
        default = float(np.clip(entry.default * factor, low, high))
        parameters.append(Parameter(entry.name, unit, low, high, default, entry.description or entry.name))
        if entry.name in table.pd_1d:
            words = f"relative width of the distribution of {entry.name}"
            parameters.append(Parameter(f"{entry.name}_pd", "(ratio)", 0.0, 1.0, 0.0, words))
    frozen = tuple(parameters)

    def function(q: Values, *, distribution: str = "gaussian", **values: Values) -> Tensor:
        return _curves(name, model, frozen, factors, q, distribution, values)

    return Kernel(
        name=name,
        function=function,
        parameters=frozen,
        source=f"sasmodels, model {name}: {info.title}",
        valid="as the documentation of sasmodels says",
        tests=_self_tests(info.tests, factors, frozen),
        options={"distribution": DISTRIBUTIONS},
        unit="(1)" if info.structure_factor else "1/cm",
    )


_UNITS = {
    "Ang": ("Å", 1.0),
    "1/Ang": ("1/Å", 1.0),
    "Ang^2": ("Å²", 1.0),
    "Ang^3": ("Å³", 1.0),
    "1e-6/Ang^2": ("1/Å²", 1e-6),
    "": ("(1)", 1.0),
}
"""sasmodels' unit -> ours, and ours per theirs."""
_MAGNETIC = ("up_frac_i", "up_frac_f", "up_theta", "up_phi")


def _curves(
    name: str,
    model: Any,
    parameters: tuple[Parameter, ...],
    factors: dict[str, float],
    q: Values,
    distribution: str,
    values: dict[str, Values],
) -> Tensor:
    """Evaluate row by row."""
    from sasmodels.direct_model import call_kernel

    if distribution not in DISTRIBUTIONS:
        raise ParameterError(f"distribution must be one of {list(DISTRIBUTIONS)}, got {distribution!r}")
    unknown = sorted(set(values) - {parameter.name for parameter in parameters})
    if unknown:
        raise ParameterError(f"{name} has no parameter {unknown}; it has {[p.name for p in parameters]}")
    q = momentum_transfer(q)
    given = columns(q.double(), parameters, **values) if values else []
    names = list(values)
    calculator = model.make_kernel([q.double().numpy()])
    rows = max((column.shape[0] for column in given), default=1)
    result = np.empty((rows, q.numel()))
    for row in range(rows):
        call: dict[str, Any] = {"background": 0.0}
        for key, column in zip(names, given, strict=True):
            value = float(column[row, 0])
            if not key.endswith("_pd"):
                call[key] = value / factors[key]
            elif value > 0:
                call.update({key: value, f"{key}_n": _POINTS, f"{key}_nsigma": _SIGMAS, f"{key}_type": distribution})
        result[row] = call_kernel(calculator, call)
    return torch.from_numpy(result).to(q.dtype)


def _self_tests(tests: Any, factors: dict[str, float], parameters: tuple[Parameter, ...]) -> tuple[SelfTest, ...]:
    """Turn those of sasmodels' own tests that are plain curves into ours."""
    known = {parameter.name for parameter in parameters if not parameter.name.endswith("_pd")}
    found = []
    for test in tests or ():
        if len(test) != 3 or not isinstance(test[0], dict):
            continue
        values = {key: value for key, value in test[0].items() if key != "background"}
        q, expected = np.atleast_1d(test[1]), np.atleast_1d(test[2])
        plain = set(values) <= known and q.dtype.kind == "f" and expected.dtype.kind == "f" and q.ndim == 1
        background = float(test[0].get("background", _BACKGROUND))
        if not plain or q.shape != expected.shape or not (q > 0).all() or not (expected > 10 * background).all():
            continue
        found.append(
            SelfTest(
                {key: float(value) * factors[key] for key, value in values.items()},
                tuple(q.tolist()),
                tuple((expected - background).tolist()),
                "sasmodels' own test",
                rtol=1e-3,
            )
        )
    return tuple(found)
