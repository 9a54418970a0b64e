"""Priors of scales."""

import pytest
import torch
from scipy import stats

from surrogates.errors import SurrogateError
from surrogates.priors import LogGrid, WeightPrior


@pytest.mark.parametrize(("low", "high", "size"), [(0.0, 1.0, 3), (2.0, 1.0, 3), (1.0, 1.0, 2), (1.0, 2.0, 1)])
def test_impossible_grids_are_refused(low, high, size):
    with pytest.raises(SurrogateError, match="grid"):
        LogGrid(low, high, size)


def test_grid_is_even_in_the_logarithm_and_includes_both_ends():
    nodes = LogGrid(0.1, 10.0, 5).nodes(torch.zeros(1))
    torch.testing.assert_close(nodes.log10(), torch.linspace(-1, 1, 5, dtype=torch.float64))


def test_a_median_makes_the_density_log_normal():
    grid = LogGrid(0.01, 10.0, 9, median=0.2, log_sd=0.7)
    nodes = grid.nodes(torch.zeros(1))
    expected = torch.as_tensor(stats.norm(0, 0.7).logpdf((nodes / 0.2).log().numpy()))
    found = grid.log_density(nodes)
    torch.testing.assert_close(found - found[0], expected - expected[0])


@pytest.mark.parametrize("wrong", [{"weight_sd": 0.0}, {"bias_sd": -1.0}, {"map_sd": float("nan")}])
def test_impossible_widths_are_refused(wrong):
    with pytest.raises(SurrogateError, match="positive"):
        WeightPrior(**wrong)
