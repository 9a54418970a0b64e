"""Search spaces: a box of continuous parameters, or a pool of samples. People see units, models the unit cube."""

from loop.space._common import SAMPLE, FiniteSpace, finite
from loop.space.box import BoxSpace
from loop.space.parameters import Constraint, Continuous, LinearConstraint
from loop.space.pool import PoolSpace

__all__ = ["SAMPLE", "BoxSpace", "Constraint", "Continuous", "FiniteSpace", "LinearConstraint", "PoolSpace", "finite"]
