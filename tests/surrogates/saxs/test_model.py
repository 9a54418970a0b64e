import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.saxs import metrics
from surrogates.saxs.augment import Augmentation
from surrogates.saxs.model import Batch, SaxsClassifier
from surrogates.saxs.novelty import SCORES
from surrogates.saxs.training import Training, loss_of

STRANGE = SCORES.index("strange")


def gridded(model, batch):
    return model.gridded(batch.q, batch.intensity, batch.sigma)


@pytest.fixture(scope="module")
def unseen(toy, model):
    batch = toy.simulate(2000, 77)
    return batch, model.classify(gridded(model, batch))


def test_classes_are_told_apart_and_probabilities_are_calibrated(toy, unseen):
    batch, found = unseen
    assert np.mean(found.label == batch.label) > 0.93
    assert metrics.expected_calibration_error(found.probability, batch.label) < 0.03
    np.testing.assert_allclose(found.probability.sum(1), 1, atol=1e-6)
    assert set(found.name) == set(toy.classes)


def test_longer_exposures_are_told_apart_better_and_with_less_doubt(toy, model):
    right, doubt = [], []
    for exposure in (30, 1e3, 1e5):
        batch = toy.simulate(1000, 5, exposure=exposure)
        found = model.classify(gridded(model, batch))
        right.append(np.mean(found.label == batch.label))
        doubt.append(np.mean(found.aleatoric + found.epistemic))
    assert right[0] < right[1] <= right[2] + 0.01
    assert doubt[0] > doubt[1] > doubt[2]


def test_parts_of_the_uncertainty(unseen):
    _, found = unseen
    p = found.probability
    total = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
    assert (found.epistemic >= 0).all()
    assert (found.probability_sd <= np.sqrt(p * (1 - p)) + 1e-6).all()
    assert (found.probability_sd > 0).any()
    np.testing.assert_allclose(found.epistemic + found.aleatoric, total, atol=1e-5)


def test_false_alarms_on_known_kinds_are_alpha(toy, model):
    batch = toy.simulate(8000, 123)
    found = model.classify(gridded(model, batch))
    # 300 curves calibrate it: the share itself has a standard deviation of 0.013.
    assert np.mean(found.p_value <= 0.05) == pytest.approx(0.05, abs=0.035)


@pytest.mark.parametrize("part", [slice(25, None), slice(0, 100), slice(30, 120)])
def test_false_alarms_stay_alpha_where_a_part_of_q_is_missing(toy, model, part):
    batch = toy.simulate(4000, 321)
    found = model.classify(model.gridded(batch.q[part], batch.intensity[:, part], batch.sigma[:, part]))
    # Calibrated on curves that are cut in many ways, not in this one alone.
    assert np.mean(found.p_value <= 0.05) == pytest.approx(0.05, abs=0.05)


def test_what_training_had_not_is_strange(toy, model):
    batch = toy.simulate(500, 9, kinds=("peak",), exposure=1e5)
    found = model.classify(gridded(model, batch))
    assert np.mean(found.p_value <= 0.05) > 0.4


def test_strangers_teach_the_border_of_the_known(toy, model, tmp_path):
    kinds = ("flat", "irregular", "knee", "power")  # in the middle: their outputs are the last all the same
    batches = [toy.simulate(1500, seed, kinds=kinds) for seed in (1, 2)]
    taught = SaxsClassifier.train(batches, kinds, toy.settings, unlike="irregular")
    assert taught.classes == ("flat", "knee", "power")
    assert taught.card["data"]["strangers"] == "irregular"
    assert taught.card["metrics"]["strangers_flagged"] > 0.5
    usual = toy.simulate(2000, 77)
    found = taught.classify(gridded(taught, usual))
    assert found.probability.shape == (2000, 3)
    np.testing.assert_allclose(found.probability.sum(1), 1, atol=1e-6)
    assert np.mean(found.label == usual.label) > 0.93
    assert np.mean(found.p_value <= 0.05) == pytest.approx(0.05, abs=0.035)
    peaks = toy.simulate(500, 9, kinds=("peak",), exposure=1e4)
    ours, other = (taught.classify(gridded(taught, batch)).novelty_scores[:, STRANGE] for batch in (usual, peaks))
    assert np.mean(other[:, None] > ours) > 0.7  # though no peak of this kind was among them
    assert not model.classify(gridded(model, peaks)).novelty_scores[:, STRANGE].any()
    taught.save(tmp_path / "taught")
    again = SaxsClassifier.load(tmp_path / "taught").classify(gridded(taught, peaks))
    np.testing.assert_array_equal(again.novelty, taught.classify(gridded(taught, peaks)).novelty)


def test_strangers_must_be_a_label_beside_two_classes(toy, batches):
    with pytest.raises(SurrogateError, match="got 'other', and labels flat, knee, power"):
        SaxsClassifier.train(batches, toy.classes, toy.settings, unlike="other")


def test_training_is_deterministic_and_saving_bit_equal(toy, model, batches, unseen, tmp_path):
    batch, found = unseen
    again = SaxsClassifier.train(iter(batches), toy.classes, toy.settings)
    curves = gridded(model, batch)
    np.testing.assert_array_equal(again.classify(curves).probability, found.probability)
    model.save(tmp_path / "a")
    for name in ("a", "a.json", "a.safetensors"):
        loaded = SaxsClassifier.load(tmp_path / name)
        for field in ("probability", "epistemic", "novelty", "p_value"):
            np.testing.assert_array_equal(getattr(loaded.classify(curves), field), getattr(found, field))
    card = json.loads((tmp_path / "a.json").read_text())["card"]
    assert card["data"] == {"name": "toy", "curves": 3000, "held_out": 600, "strangers": None}
    assert card["metrics"]["accuracy"] > 0.9
    assert card["limits"]
    assert loaded.card == card


def test_curves_on_other_grids_and_with_parts_missing(toy, model):
    batch = toy.simulate(300, 31, exposure=1e5)
    part = slice(20, 130, 2)
    found = model.classify(model.gridded(batch.q[part], batch.intensity[:, part], batch.sigma[:, part]))
    assert np.mean(found.label == batch.label) > 0.8


def test_one_curve_or_none(model, unseen):
    batch, found = unseen
    one = model.classify(model.gridded(batch.q, batch.intensity[0], batch.sigma[0]))
    np.testing.assert_allclose(one.probability, found.probability[:1], atol=1e-5)
    assert len(model.classify(gridded(model, batch)[:0])) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: [], "no curves to train on"),
        (lambda b: [b._replace(label=b.label + 1)], "labels must be from 0 to 2"),
        (lambda b: [b._replace(label=np.zeros_like(b.label))], "no curves with label 1"),
        (lambda b: [b._replace(label=b.label[:5])], "1500 curves and 5 labels"),
        (lambda b: [b._replace(sigma=0 * b.sigma)], "batch 0: curve 1, row 1: sigma must be greater than 0"),
        (lambda b: [Batch(b.q, *(t[:100] for t in b[1:]))], "held-out curves to calibrate, got 10"),
    ],
)
def test_bad_training_data(toy, batches, change, message):
    with pytest.raises(SurrogateError, match=message):
        SaxsClassifier.train(change(batches[0]), toy.classes, replace(toy.settings, epochs=1, members=1))


def test_bad_settings_and_files(tmp_path):
    with pytest.raises(SurrogateError, match="at least 1"):
        Training(members=0)
    with pytest.raises(SurrogateError, match="shares must be"):
        Augmentation(deepest=0.6)
    with pytest.raises(SurrogateError, match="no model can be read"):
        SaxsClassifier.load(tmp_path / "none")
    (tmp_path / "b.json").write_text('{"kind": "other", "format": 1}')
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(SurrogateError, match="is no SAXS classifier"):
        SaxsClassifier.load(tmp_path / "b")


def test_augmented_curves_stay_curves(toy, model):
    curves = gridded(model, toy.simulate(400, 3))
    changed = Augmentation(thinned=1.0, cut=1.0)(curves, np.random.default_rng(0))
    assert (changed.sigma[changed.measured] >= curves.sigma[changed.measured]).all()
    assert changed.measured.sum() < curves.measured.sum()
    assert (changed.measured <= curves.measured).all()
    pull = (changed.intensity - curves.intensity) / np.sqrt(
        np.maximum(np.square(changed.sigma) - np.square(curves.sigma), 1e-30)
    )
    assert pull[changed.measured & (changed.sigma > 1.01 * curves.sigma)].std() == pytest.approx(1, abs=0.05)
    same = Augmentation(thinned=0.0, cut=0.0)(curves, np.random.default_rng(0))
    np.testing.assert_array_equal(same.intensity, curves.intensity)


def test_loss_is_cross_entropy_and_half_the_squared_error():
    logits = torch.tensor([[[0.0, 0.0]], [[100.0, 0.0]]])
    np.testing.assert_allclose(loss_of(logits, torch.tensor([0])), [np.log(2) + 0.25, 0], atol=1e-6)


def test_metrics():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    y = np.array([0, 0, 1, 1])
    assert metrics.macro_f1(y, p.argmax(1), 2) == pytest.approx((0.8 + 2 / 3) / 2)
    assert metrics.expected_calibration_error(p, y) == pytest.approx((0.1 + 0.2 + 0.3 + 0.6) / 4)
    assert metrics.summary(p, y)["accuracy"] == 0.75
