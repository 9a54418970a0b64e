from __future__ import annotations

import numpy as np
import pytest
import torch
from botorch.acquisition import AcquisitionFunction

from loop.acquisition.optimise import CHUNK, maximise_box, maximise_pool, score
from loop.acquisition.testing import example
from loop.errors import PluginError
from loop.space import BoxSpace, Continuous, LinearConstraint

MODEL, _ = example()


class Hill(AcquisitionFunction):
    """A paraboloid with its top at `top`, counting how often it is asked."""

    def __init__(self, top, transform=lambda v: v):
        super().__init__(model=MODEL)
        self.top = torch.tensor(top, dtype=torch.float64)
        self.transform = transform
        self.calls = 0

    def forward(self, X):
        self.calls += 1
        return self.transform(-(X - self.top).square().sum(dim=(-1, -2)))


def box(d=2, constraints=()):
    return BoxSpace([Continuous(f"x{i}", 0, 10) for i in range(d)], constraints)


@pytest.mark.parametrize("top", [[0.31, 0.72], [1.4, 0.5], [-1.0, 2.0]])
def test_the_top_of_a_hill_is_found(top):
    x, value = maximise_box(Hill(top), box(), seed=0)
    expected = torch.tensor(top, dtype=torch.float64).clamp(0, 1)
    assert torch.allclose(x, expected, atol=1e-4)
    assert value == pytest.approx(-float((expected - torch.tensor(top, dtype=torch.float64)).square().sum()), abs=1e-6)


def test_without_a_gradient_too():
    hill = Hill([0.31, 0.72], transform=lambda v: v.detach().round(decimals=6))
    x, _ = maximise_box(hill, box(), seed=0)
    assert torch.allclose(x, torch.tensor([0.31, 0.72], dtype=torch.float64), atol=5e-3)


def test_with_a_gradient_that_is_not_finite():
    x, _ = maximise_box(Hill([0.31, 0.72], transform=lambda v: v + 0 * (v - v).sqrt()), box(), seed=0)
    assert torch.allclose(x, torch.tensor([0.31, 0.72], dtype=torch.float64), atol=5e-3)


def test_the_same_seed_gives_the_same_point_whatever_the_global_state():
    first = maximise_box(Hill([0.3, 0.7]), box(), seed=4)
    torch.rand(3)
    state = torch.get_rng_state()
    second = maximise_box(Hill([0.3, 0.7]), box(), seed=4)
    assert torch.equal(first[0], second[0])
    assert first[1] == second[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_points_to_avoid_are_kept_away_from():
    avoid = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    x, _ = maximise_box(Hill([0.3, 0.7]), box(), seed=0, avoid=avoid, radius=0.05)
    distance = float((x - avoid).abs().max())
    assert 0.05 < distance < 0.2


def test_constraints_hold():
    space = box(constraints=[LinearConstraint({"x0": 1.0, "x1": 1.0}, upper=8.0)])
    x, _ = maximise_box(Hill([1.0, 1.0]), space, seed=0)
    assert float(x.sum()) <= 0.8 + 1e-9
    assert float(x.sum()) > 0.75


def test_a_sliver_is_found_by_the_spaces_own_draws():
    space = box(constraints=[LinearConstraint({"x0": 1.0, "x1": 1.0}, upper=0.2)])
    x, _ = maximise_box(Hill([1.0, 1.0]), space, seed=0)
    assert float(x.sum()) <= 0.02 + 1e-9


def test_a_pool_gives_its_best_available_row():
    candidates = torch.rand(3000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hill = Hill([0.5, 0.5])
    values = -(candidates - 0.5).square().sum(-1).numpy()
    order = np.argsort(-values)
    available = np.ones(3000, dtype=bool)
    assert maximise_pool(hill, candidates, available) == (order[0], pytest.approx(values[order[0]]))
    assert hill.calls == -(-3000 // CHUNK)
    available[order[:10]] = False
    assert maximise_pool(hill, candidates, available)[0] == order[10]


def test_of_equal_rows_the_first_wins():
    candidates = torch.tensor([[0.1, 0.1], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    assert maximise_pool(Hill([0.5, 0.5]), candidates, np.ones(3, dtype=bool))[0] == 1


def test_nan_never_wins_and_nothing_but_nan_is_an_error():
    half = Hill([0.2, 0.2], transform=lambda v: torch.where(v > -0.1, torch.nan, v))
    X = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values = score(half, X)
    assert np.isneginf(values).any()
    assert np.isfinite(values).any()
    with pytest.raises(PluginError, match="gives NaN at each of 50 points"):
        score(Hill([0.2, 0.2], transform=lambda v: v * torch.nan), X)


def test_a_wrong_shape_is_told():
    with pytest.raises(PluginError, match=r"expected one value per point, shape \(50,\).*got \(50, 1\)"):
        score(Hill([0.2, 0.2], transform=lambda v: v.unsqueeze(-1)), torch.rand(50, 2, dtype=torch.float64))
