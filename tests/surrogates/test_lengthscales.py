"""Length scales fitted by BoTorch: found where they are known, from the prior where data say nothing."""

import math

import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from gpytorch.kernels import MaternKernel

from surrogates import lengthscales
from surrogates.errors import SurrogateError
from surrogates.lengthscales import fit_lengthscales

D = torch.float64


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def drawn(n, *scales, noise=0.05, seed=0):
    """Points and noisy values of functions drawn with known length scales, one output each."""
    X = rand(n, len(scales[0]), seed=seed)
    Y = []
    for i, scale in enumerate(scales):
        kernel = MaternKernel(nu=2.5, ard_num_dims=len(scale)).double()
        kernel.lengthscale = torch.tensor(scale, dtype=D)
        K = kernel(X).to_dense().detach() + 1e-8 * torch.eye(n, dtype=D)
        Y.append(torch.linalg.cholesky(K) @ normal(n, seed=seed + i + 1) + noise * normal(n, seed=50 + seed + i))
    Y = torch.stack(Y, -1)
    return X, (Y - Y.mean(0)) / Y.std(0)


def test_known_length_scales_are_found():
    found = fit_lengthscales(*drawn(80, (0.15, 0.6), (0.9, 0.2)), None)
    assert found.shape == (2, 2)
    assert found.dtype == D
    expected = torch.tensor([[0.15, 0.6], [0.9, 0.2]], dtype=D)
    assert (found / expected).log().abs().max() < math.log(1.6)


def test_outputs_share_nothing():
    X, Y = drawn(30, (0.2, 0.6), (0.9, 0.2))
    together = fit_lengthscales(X, Y, None)
    apart = torch.cat([fit_lengthscales(X, Y[:, i : i + 1], None) for i in range(2)])
    # Two optimisations, that stop at slightly different places.
    torch.testing.assert_close(together, apart, rtol=0.05, atol=0)


def test_error_bars_tell_what_need_not_be_followed():
    """A value that is far off and known to be vague is as good as none."""
    X, Y = drawn(30, (0.4,))
    wild = Y.clone()
    wild[7] += 5
    exact = torch.full_like(Y, 1e-3)
    vague = exact.clone()
    vague[7] = 1e6
    rest = torch.arange(30) != 7
    without = fit_lengthscales(X[rest], Y[rest], exact[rest])
    torch.testing.assert_close(fit_lengthscales(X, wild, vague), without, rtol=0.02, atol=0)
    assert (fit_lengthscales(X, wild, exact) / without).log().abs() > 0.2


def test_prior_decides_where_data_say_nothing():
    """The mode of the log-normal prior, whose median grows with the root of the dimension."""
    for d in (1, 4):
        found = fit_lengthscales(rand(6, d), torch.zeros(6, 1, dtype=D), None)
        mode = 0.3 * math.sqrt(d) * math.exp(-(0.75**2))
        torch.testing.assert_close(found, torch.full((1, d), mode, dtype=D), rtol=0.02, atol=0)


def test_no_random_number_is_drawn_and_gradients_may_be_off():
    X, Y = drawn(20, (0.3, 0.3))
    state = torch.get_rng_state()
    one = fit_lengthscales(X, Y, None)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    with torch.no_grad():
        assert torch.equal(fit_lengthscales(X, Y, None), one)
    torch.set_rng_state(state)
    assert not one.requires_grad


def test_iteration_limit_is_a_result():
    """Fewer steps than needed: a worse fit, and no warning (which would be an error here)."""
    X, Y = drawn(30, (0.15, 0.6))
    early, late = (fit_lengthscales(X, Y, None, max_iterations=k) for k in (1, 200))
    assert torch.isfinite(early).all()
    assert not torch.allclose(early, late, rtol=0.05)


def test_failure_is_told_in_words(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("nothing converges")

    assert lengthscales.fit_gpytorch_mll is fit_gpytorch_mll
    monkeypatch.setattr(lengthscales, "fit_gpytorch_mll", fails)
    with pytest.raises(SurrogateError, match=r"fitted to 5 points: nothing converges\. Look for"):
        fit_lengthscales(rand(5, 2), normal(5, 1), None)
