"""Every built-in passes the suite for plug-ins; and the suite finds what is wrong with bad ones."""

from __future__ import annotations

import pytest
import torch
from botorch.acquisition import AcquisitionFunction, PosteriorStandardDeviation
from botorch.utils.transforms import t_batch_mode_transform

from loop.acquisition.registry import BUILTIN
from loop.acquisition.testing import problems

# Near a measured point the joint covariance of BoTorch's qLogNoisyEI is singular to rounding.
pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter:RuntimeWarning")

MAPS = ("variance", "integrated_variance", "random")


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
@pytest.mark.parametrize("name", list(BUILTIN))
def test_built_ins_conform(name, direction):
    assert problems(name, direction=direction) == []


@pytest.mark.parametrize("name", MAPS)
def test_maps_need_no_direction(name):
    assert problems(name, direction=None) == []


def test_options_conform():
    assert problems("integrated_variance", options={"gradient": 0.7}, direction=None) == []


@pytest.mark.parametrize("name", [n for n in BUILTIN if n not in MAPS])
def test_searches_need_a_direction(name):
    (sentence,) = problems(name, direction=None)
    assert "no direction" in sentence


def test_a_botorch_class_behind_a_function_conforms():
    assert problems(lambda model, context: PosteriorStandardDeviation(model)) == []


class _Bad(AcquisitionFunction):
    def __init__(self, model, context):
        super().__init__(model=model)
        self.context = context


class WrongShape(_Bad):
    def forward(self, X):
        return self.model.posterior(X).mean


class WrongType(_Bad):
    def forward(self, X):
        return 1.0


class SinglePrecision(_Bad):
    def forward(self, X):
        return self.model.posterior(X).mean[..., 0, 0].float()


class NotANumber(_Bad):
    def forward(self, X):
        return torch.log(-self.model.posterior(X).variance[..., 0, 0])


class GlobalNoise(_Bad):
    def forward(self, X):
        return self.model.posterior(X).mean[..., 0, 0] + torch.randn(())


class WholeBatch(_Bad):
    def forward(self, X):
        value = self.model.posterior(X).mean[..., 0, 0]
        return value - value.mean()


class WrongGradient(_Bad):
    def forward(self, X):
        value = self.model.posterior(X).mean[..., 0, 0]
        return value.detach() + 3 * (value - value.detach())


class ChangesInput(_Bad):
    def forward(self, X):
        value = self.model.posterior(X).mean[..., 0, 0].clone()
        with torch.no_grad():
            X.clamp_(0.3, 0.6)
        return value.detach()


class ForgetsPending(_Bad):
    @t_batch_mode_transform(expected_q=1)
    def forward(self, X):
        if self.context.X_pending is not None:
            raise RuntimeError("no pending points, please")
        return self.model.posterior(X).mean[..., 0, 0]


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        (WrongShape, "expected the shape (7,)"),
        (WrongType, "expected a tensor, got float"),
        (SinglePrecision, "expected torch.float64"),
        (NotANumber, "expected numbers that can be compared"),
        (GlobalNoise, "global generator"),
        (WholeBatch, "when other points are scored with it"),
        (WrongGradient, "not the slope of its values"),
        (ChangesInput, "changes the points that it is given"),
        (ForgetsPending, "two points in flight: raises RuntimeError: no pending points, please"),
        (lambda model, context: 3, "expected a botorch AcquisitionFunction, got int"),
        (lambda model: None, "Expected the signature (model, context, **options)"),
        ("no_such_thing", "there is no acquisition 'no_such_thing'"),
    ],
)
def test_the_suite_finds(builder, sentence):
    found = problems(builder)
    assert any(sentence in f for f in found), found
