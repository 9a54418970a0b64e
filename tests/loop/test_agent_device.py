"""Where the model computes; the GPU's part runs only where there is one."""

import numpy as np
import pytest
import torch

from loop.acquisition.optimise import OnDevice
from loop.agent import Agent
from loop.records import Observation, Status
from loop.space import BoxSpace, Continuous
from surrogates.gp import GaussianProcess


def test_what_computes_elsewhere_gives_values_and_gradients_back():
    X = torch.rand(5, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    moved = OnDevice(lambda X: X.square().sum(dim=(-1, -2)), torch.device("cpu"))
    value = moved(X)
    (gradient,) = torch.autograd.grad(value.sum(), X)
    assert torch.equal(value, X.square().sum(dim=(-1, -2)))
    assert torch.equal(gradient, 2 * X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("direction", [None, "minimise"])
def test_a_gpu_decides_as_the_cpu_does(direction):
    space = BoxSpace([Continuous("x", -1, 1, "mm"), Continuous("y", 0, 2, "mm")])
    suggested = []
    for device in ("cpu", "cuda"):
        agent = Agent(
            space, GaussianProcess, observables=("f",), direction=direction, n_initial=4, seed=3, device=device
        )
        for _ in range(7):
            (suggestion,) = agent.suggest()
            value = float(np.sin(3 * suggestion.point["x"]) + suggestion.point["y"])
            outcome = Observation(suggestion.id, suggestion.point, Status.MEASURED, {"f": value}, {"f": 0.01})
            agent.ingest(outcome)
        suggested.append([s.point for s in agent.suggestions])
    for one, other in zip(*suggested, strict=True):
        assert one == pytest.approx(other, abs=1e-2)
