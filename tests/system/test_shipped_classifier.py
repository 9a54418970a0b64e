"""The classifier that comes with the project: made from the recipe that stands in the repository, and worth using."""

import json

import numpy as np
import pytest

from loop.classifier import SHIPPED
from loop.config.train import load_train_config
from simulators.datasets import Dataset, Recipe, generate
from surrogates.saxs.metrics import expected_calibration_error
from surrogates.saxs.model import SaxsClassifier


@pytest.fixture(scope="module")
def model():
    return SaxsClassifier.load(SHIPPED)


def simulated(project_root, folder, name, **changes):
    recipe = Recipe.from_yaml(project_root / "configs" / name)
    generate(recipe.model_copy(update=changes), folder / name)
    data = Dataset.open(folder / name)
    (part,) = data.shards()
    return data.q, part


def test_its_card_names_the_recipe_and_the_training_that_are_here(model, project_root):
    recipe = Recipe.from_yaml(project_root / "configs" / "saxs_train.yaml")
    card = json.loads(SHIPPED.with_suffix(".json").read_text())["card"]
    # Whoever changes the recipe, the families or the training trains it anew.
    assert card["data"]["recipe_sha256"] == recipe.hash
    assert card["data"]["curves"] == recipe.curves
    config = load_train_config(project_root / "configs" / "train_saxs.yaml")
    assert card["data"]["strangers"] == config.unlike
    for name in ("members", "epochs", "batch_size", "lr", "seed", "scale"):
        assert card["training"][name] == getattr(config, name), name
    assert model.classes == tuple(name for name in recipe.families if name != config.unlike)


def test_it_knows_its_classes_and_what_is_none_of_them(model, project_root, tmp_path):
    q, known = simulated(project_root, tmp_path, "saxs_test.yaml", curves=1500, seed=71, widened=0.0)
    found = model.classify(model.gridded(q, known["intensity"], known["sigma"]))
    assert np.mean(found.label == known["label"]) > 0.97
    assert expected_calibration_error(found.probability, known["label"]) < 0.02
    # Standard deviation 0.006.
    assert np.mean(found.p_value <= 0.05) == pytest.approx(0.05, abs=0.025)
    q, strange = simulated(project_root, tmp_path, "saxs_novelty.yaml", curves=1500, seed=72)
    novelty = model.classify(model.gridded(q, strange["intensity"], strange["sigma"])).novelty
    auroc = [np.mean(novelty[strange["label"] == k][:, None] > found.novelty) for k in range(6)]
    assert np.mean(auroc) > 0.95
    assert min(auroc) > 0.85
