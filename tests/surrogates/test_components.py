"""Groups of the mixture: how they and their members are weighed."""

import math

import pytest
import torch

from surrogates.components import NETWORKS, STATIONARY, Component, mixture_weights
from surrogates.inference.choice import Inferred, make_engine
from surrogates.inference.stationary import Matern
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import WeightPrior

D = torch.float64


class Known:
    """A posterior of which only the evidence matters."""

    def __init__(self, evidence, members):
        self.noise_variance = torch.ones(members, dtype=D)
        self.summary = {} if evidence is None else {"log_evidence": torch.tensor(evidence, dtype=D)}


def networks(members, seed=0, hidden=(3,)):
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(MLP(2, hidden=hidden), members, prior=WeightPrior(), generator=generator, dtype=D)


def group(kind, share, evidence, *, theory=False, members=2):
    kernel = Matern(torch.ones(members, 2, dtype=D)) if kind == STATIONARY else None
    own = networks(members)
    inferred = Inferred(make_engine("linearised"), Known(evidence, members))
    return Component(kind, own, share, kernel, centre=own if theory else None, inferred=inferred)


def test_groups_have_their_shares_and_members_equal_parts():
    groups = (group(NETWORKS, 0.7, [1.0, 2.0, 3.0, 4.0], members=4), group(STATIONARY, 0.3, [9.0, 9.0]))
    expected = torch.tensor([[0.35, 0.35, 0.3]] * 2, dtype=D)
    torch.testing.assert_close(mixture_weights(groups, 2, False), expected)
    one = torch.tensor([[0.7 / 4] * 4 + [0.15] * 2], dtype=D)
    torch.testing.assert_close(mixture_weights(groups, 1, False), one)


def test_by_evidence_members_of_a_group_compete():
    groups = (group(NETWORKS, 0.75, [0.0, math.log(3), 5.0, 5.0], members=4), group(STATIONARY, 0.25, [-7.0, 90.0]))
    expected = torch.tensor([[0.75 / 4, 0.75 * 3 / 4, 0.25], [0.375, 0.375, 0.25]], dtype=D)
    torch.testing.assert_close(mixture_weights(groups, 2, True), expected)


def four(kernels, informed, *, trained=(0.0, 0.0), pretrained=(0.0, 0.0)):
    return (
        group(NETWORKS, 0.5, trained),
        group(NETWORKS, 0.5, pretrained, theory=True),
        group(STATIONARY, 0.5, kernels),
        group(STATIONARY, 0.5, informed, theory=True),
    )


def test_camps_are_weighed_by_the_evidence_of_the_kernels_alone():
    """Of each output for itself; networks have seen the data, and have no say."""
    groups = four([0.0, 2.0], [math.log(4), 2.0], trained=(300.0, 300.0), pretrained=(-5.0, -5.0))
    found = mixture_weights(groups, 2, False)
    expected = torch.tensor([[0.1, 0.4, 0.1, 0.4], [0.25, 0.25, 0.25, 0.25]], dtype=D)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, dtype=D))


def test_camps_without_kernels_are_weighed_by_their_networks():
    groups = (group(NETWORKS, 1.0, [0.0, 2.0]), group(NETWORKS, 1.0, [1.0, 1.0 + 2 * math.log(9)], theory=True))
    # One output: the camps' mean evidences differ by log 9.
    torch.testing.assert_close(mixture_weights(groups, 1, False), torch.tensor([[0.05, 0.05, 0.45, 0.45]], dtype=D))


def test_camps_whose_evidence_is_unknown_have_half_each():
    groups = (group(NETWORKS, 1.0, None), group(NETWORKS, 1.0, None, theory=True))
    torch.testing.assert_close(mixture_weights(groups, 1, False), torch.full((1, 4), 0.25, dtype=D))


@pytest.mark.parametrize("theory", [False, True])
def test_single_camp_has_all_the_weight(theory):
    groups = (group(NETWORKS, 0.5, [0.0, 1.0], theory=theory), group(STATIONARY, 0.5, [5.0, 2.0], theory=theory))
    torch.testing.assert_close(mixture_weights(groups, 2, False), torch.full((2, 2), 0.5, dtype=D))


def test_extreme_evidence_leaves_finite_weights():
    found = mixture_weights(four([-5000.0, 0.0], [0.0, -5000.0]), 2, False)
    torch.testing.assert_close(found, torch.tensor([[0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0]], dtype=D))


def test_component_without_inference_says_so():
    with pytest.raises(RuntimeError, match="nothing was inferred"):
        _ = Component(NETWORKS, networks(2), 1.0).result
