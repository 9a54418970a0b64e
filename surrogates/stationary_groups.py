"""The stationary groups of a PBNN's mixture: Matérn kernels that know nothing, or a theory."""

from __future__ import annotations

import torch
from torch import Tensor

from surrogates.components import MOVED, SCALED, STATIONARY, THEORY, Component
from surrogates.inference.base import Problem
from surrogates.inference.stationary import Matern
from surrogates.lengthscales import fit_lengthscales
from surrogates.networks import NetworkEnsemble
from surrogates.recalibration import recalibrate
from surrogates.theory_function import TheoryFunction, exponents
from surrogates.theory_kernel import TheoryMatern, with_theory

_DRAWS = 4
"""Versions of a moved theory: draws from the posterior of what is fitted for that."""
_NETWORKS = 4
"""Pretrained networks of an output whose average is moved: evaluating them is most of the time that the fit takes."""
_NETWORKS = 4
"""Pretrained networks of an output whose average is moved: evaluating them is most of the time that the fit takes."""


def stationary_group(values: Problem, share: float) -> Component:
    """Return a Matérn kernel for each output.

    Parameters
    ----------
    values
        Data, with the ``(m, n)`` targets and variances of the outputs.
    share
        Of its camp.
    """
    variances = None if values.variances is None else values.variances.mT
    kernel = Matern(fit_lengthscales(values.X, values.targets.mT, variances))
    return Component(STATIONARY, values.networks, share, kernel)


def informed_groups(values: Problem, known: NetworkEnsemble, share: float, seed: int) -> list[Component]:
    """Return Matérn kernels over the inputs and a theory's value: three groups, of three camps.

    Around the theory as it is; the same with slope and offset integrated; around the theory moved, where there are few
    enough inputs for that.

    Parameters
    ----------
    values
        See `stationary_group`.
    known
        ``m * members`` pretrained networks in the same standardised units.
    share
        Of the first one's camp, where the pretrained networks have the rest.
    seed
        Of the moved theory's versions.
    """
    plain = TheoryFunction.plain(known, len(values.targets), values.X)
    kernel = _fitted(plain, values)
    single = values.networks
    found = [
        Component(STATIONARY, single, share, kernel, THEORY),
        Component(STATIONARY, single, 1.0, TheoryMatern(kernel.lengthscale, plain, scaled=True), SCALED),
    ]
    if exponents(values.X.shape[-1]):
        generator = torch.Generator().manual_seed(seed)
        few = torch.arange(known.members).view(len(values.targets), -1)[:, :_NETWORKS].flatten()
        some = known.select(few)
        moved, cost = recalibrate(some, values.X, values.targets, values.variances, draws=_DRAWS, generator=generator)
        found.append(Component(STATIONARY, single, 1.0, _fitted(moved, values), MOVED, cost=cost))
    return found


def _fitted(theory: TheoryFunction, values: Problem) -> TheoryMatern:
    """Fit length scales to what the first version of a theory leaves over, for all its versions."""
    versions = theory.slope.shape[1]
    with torch.no_grad():
        functions = theory(values.X)[::versions]

    def lengthscale(i: int) -> Tensor:
        left = (values.targets[i] - functions[i]).unsqueeze(-1)
        variances = None if values.variances is None else values.variances[i].unsqueeze(-1)
        return fit_lengthscales(with_theory(values.X, functions[i]), left, variances)

    fitted = torch.cat([lengthscale(i) for i in range(len(functions))])
    return TheoryMatern(fitted.repeat_interleave(versions, 0), theory)
