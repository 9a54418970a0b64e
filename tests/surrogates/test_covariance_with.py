"""The prepared cross-covariance against the joint posterior over all points at once."""

from __future__ import annotations

import pytest
import torch
from botorch.sampling.normal import SobolQMCNormalSampler

from surrogates.errors import SurrogateError
from surrogates.pbnn import PBNN

GENERATOR = torch.Generator().manual_seed(2)
TRAIN, X, Z = (torch.rand(n, 2, dtype=torch.float64, generator=GENERATOR) for n in (12, 5, 30))


def fitted(m=1, dtype=torch.float64, **options):
    Y = torch.stack([100 + 7 * torch.sin(5 * TRAIN[:, 0] + i) + TRAIN[:, 1] for i in range(m)], dim=-1)
    return PBNN(TRAIN.to(dtype), Y.to(dtype), seed=3, members=4, epochs=30, **options)


@pytest.mark.parametrize("bayesian", ["all", "last"])
@pytest.mark.parametrize("m", [1, 2])
def test_it_is_a_block_of_the_joint_posterior(m, bayesian):
    model = fitted(m, bayesian=bayesian)
    for output in range(m):
        mean, variance, covariance = model.covariance_with(Z, output=output)(X)
        joint = model.posterior(torch.cat([X, Z]), output_indices=[output])
        whole = joint.distribution.covariance_matrix
        assert torch.allclose(mean, joint.mean[:5, 0], rtol=1e-10)
        assert torch.allclose(variance, whole.diagonal()[:5], rtol=1e-8)
        assert torch.allclose(covariance, whole[:5, 5:], rtol=1e-8, atol=1e-10)


def test_its_gradient_is_right_and_its_dtype_that_of_the_points():
    at = fitted().covariance_with(Z[:3])
    assert torch.autograd.gradcheck(at, X[:2].clone().requires_grad_(True), eps=1e-6, atol=1e-4)
    assert all(t.dtype == torch.float32 for t in fitted(dtype=torch.float32).covariance_with(Z.float())(X.float()))


def test_fantasies_and_wrong_points_are_refused():
    model = fitted()
    dreamt = model.fantasize(X[:1], SobolQMCNormalSampler(torch.Size([2]), seed=0))
    with pytest.raises(SurrogateError, match="without fantasies"):
        dreamt.covariance_with(Z)
    with pytest.raises(SurrogateError):
        model.covariance_with(Z[:, :1])
    with pytest.raises(SurrogateError):
        model.covariance_with(Z)(X[:, :1])
