import numpy as np
import pytest

from surrogates.errors import SurrogateError
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


def test_bad_labels(model, toy):
    batch = toy.simulate(10, 1)
    curves = model.gridded(batch.q, batch.intensity, batch.sigma)
    with pytest.raises(SurrogateError, match="10 labels of 1 classes"):
        FewShot.fit(model, curves, ["a"] * 10)
    with pytest.raises(SurrogateError, match="3 labels of 2 classes for 10 curves"):
        FewShot.fit(model, curves, ["a", "b", "a"])
    with pytest.raises(SurrogateError, match="prior_sd"):
        FewShot.fit(model, curves, ["a", "b"] * 5, prior_sd=0)
