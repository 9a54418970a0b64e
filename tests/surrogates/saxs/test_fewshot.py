import numpy as np
import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import GriddedCurves
from surrogates.saxs.fewshot import FewShot


def test_new_classes_are_learnt_from_few_curves(model, toy):
    def curves(n, seed):
        batch = toy.simulate(n, seed, kinds=("knee", "peak"), exposure=1e5)
        return model.gridded(batch.q, batch.intensity, batch.sigma), [("round", "sharp")[i] for i in batch.label]

    learnt = FewShot.fit(model, *curves(40, 1))
    new, names = curves(400, 2)
    p = learnt.predict_proba(new)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
    assert np.mean(np.array(learnt.predict(new)) == names) > 0.75
    timid = FewShot.fit(model, *curves(40, 1), prior_sd=0.05)
    assert timid.predict_proba(new).max(1).mean() < p.max(1).mean()
    assert np.mean(np.array(learnt.predict(new, balanced=True)) == names) > 0.75
    few, _ = curves(1, 5)
    assert len(learnt.predict(few)) == 1


def test_few_curves_of_a_class_have_the_same_say_as_many_of_another(model, toy):
    def curves(n, seed, kind):
        batch = toy.simulate(n, seed, kinds=(kind,), exposure=1e5)
        return model.gridded(batch.q, batch.intensity, batch.sigma)

    new = GriddedCurves.joined([curves(150, 3, "knee"), curves(150, 4, "peak")])
    names = np.repeat(["round", "sharp"], 150)
    right = []
    for seed in range(5):
        labelled = GriddedCurves.joined([curves(60, seed, "knee"), curves(3, 10 + seed, "peak")])
        learnt = FewShot.fit(model, labelled, ["round"] * 60 + ["sharp"] * 3)
        found = np.array(learnt.predict(new, balanced=True)) == names
        right.append([found[:150].mean(), found[150:].mean()])
        # Rare among the labels: rare in the probabilities that go with them.
        assert learnt.predict(new).count("sharp") < learnt.predict(new, balanced=True).count("sharp")
        assert learnt.predict_proba(labelled)[:, 1].mean() == pytest.approx(3 / 63, abs=0.04)
    assert np.mean(right, 0).min() > 0.6


def test_posterior_is_that_of_weighted_curves(model, toy):
    batch = toy.simulate(60, 1, kinds=("knee", "peak"), exposure=1e5)
    by_label = [np.flatnonzero(batch.label == k)[:n] for k, n in enumerate((20, 10))]
    curves = model.gridded(batch.q, batch.intensity, batch.sigma)[np.concatenate(by_label)]
    learnt = FewShot.fit(model, curves, ["round"] * 20 + ["sharp"] * 10, prior_sd=2.0, draws=4096)
    own = learnt.posterior.parameters[0]
    drawn = torch.cat([own["weight"], own["bias"].unsqueeze(-2)], -2)[0, 0].flatten(1)

    h = (model.features(curves).double() - learnt.mean)[0] / learnt.sd[0]
    h = torch.nn.functional.pad(h * h.shape[1] ** -0.5, (0, 1), value=1.0)
    y = torch.tensor([0] * 20 + [1] * 10)

    def energy(theta):
        each = torch.nn.functional.cross_entropy(h @ theta.reshape(-1, 2), y, reduction="none")
        # 30 curves in all, half of the weight for each class.
        return 15 * each[:20].mean() + 15 * each[20:].mean() + 0.5 * theta.square().sum() / 2.0**2

    mode = drawn.mean(0)
    assert torch.func.grad(energy)(mode).abs().max() < 0.01
    values, vectors = torch.linalg.eigh(torch.func.hessian(energy)(mode))
    stiffest = vectors[:, -1]
    assert values[-1] > 2 * 2.0**-2  # the prior alone does not decide
    assert (drawn @ stiffest).var() == pytest.approx(1 / float(values[-1]), rel=0.1)


def test_bad_labels(model, toy):
    batch = toy.simulate(10, 1)
    curves = model.gridded(batch.q, batch.intensity, batch.sigma)
    with pytest.raises(SurrogateError, match="10 labels of 1 classes"):
        FewShot.fit(model, curves, ["a"] * 10)
    with pytest.raises(SurrogateError, match="3 labels of 2 classes for 10 curves"):
        FewShot.fit(model, curves, ["a", "b", "a"])
    with pytest.raises(SurrogateError, match="prior_sd"):
        FewShot.fit(model, curves, ["a", "b"] * 5, prior_sd=0)
