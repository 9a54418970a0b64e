"""Groups of the mixture: how they and their members are weighed."""

import math
from dataclasses import replace

import pytest
import torch

from surrogates.components import MOVED, NETWORKS, NOTHING, STATIONARY, THEORY, Component, mixture_weights
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
    return Component(kind, own, share, kernel, THEORY if theory else NOTHING, inferred=inferred)


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


def test_camps_are_judged_by_their_kernels():
    """Of each output for itself; networks have seen the data, and have no say."""
    groups = four([0.0, 2.0], [math.log(4), 2.0], trained=(300.0, 300.0), pretrained=(-5.0, -5.0))
    found = mixture_weights(groups, 2, False)
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.4, 0.1, 0.4], [0.25] * 4], dtype=D))


def test_where_the_kernel_has_no_share_trained_networks_speak_against_the_theory():
    silent = replace(group(STATIONARY, 0.5, [math.log(3), 0.0]), share=0.0)
    groups = (group(NETWORKS, 1.0, [math.log(5), 40.0]), silent, group(STATIONARY, 1.0, [math.log(8)] * 2, theory=True))
    expected = torch.tensor([[0.5, 0, 0.5], [1, 0, 0]], dtype=D)
    torch.testing.assert_close(mixture_weights(groups, 2, False), expected)


def test_what_was_fitted_is_paid_for_by_the_best_version():
    moved = replace(
        group(STATIONARY, 1.0, [math.log(10), 70.0]), camp=MOVED, cost=torch.tensor([-math.log(2)], dtype=D)
    )
    groups = (group(NETWORKS, 1.0, [0.0]), moved)
    groups = (replace(groups[0], networks=networks(1)), moved)
    torch.testing.assert_close(mixture_weights(groups, 1, False), torch.tensor([[1 / 6, 5 / 12, 5 / 12]], dtype=D))


def test_half_of_the_prior_is_that_of_knowing_nothing():
    theory, moved = (group(STATIONARY, 1.0, [0.0], theory=True, members=1) for _ in range(2))
    groups = (group(NETWORKS, 1.0, [0.0], members=1), theory, replace(moved, camp=MOVED))
    torch.testing.assert_close(mixture_weights(groups, 1, False), torch.tensor([[0.5, 0.25, 0.25]], dtype=D))


def test_camps_without_kernels_are_weighed_by_their_networks():
    groups = (group(NETWORKS, 1.0, [0.0, 0.0]), group(NETWORKS, 1.0, [0.0, math.log(17)], theory=True))
    # One output: the camps' mean evidences are as 1 to 9.
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
