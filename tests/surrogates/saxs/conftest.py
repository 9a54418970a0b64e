from types import SimpleNamespace

import numpy as np
import pytest

from surrogates.saxs.model import Batch, SaxsClassifier
from surrogates.saxs.training import Training

Q = np.geomspace(0.003, 0.5, 160)
CLASSES = ("flat", "knee", "power")


def truth(kind, size, strength):
    """dΣ/dΩ of three toy classes, of one (``peak``) that is none of them, and of no physics (``irregular``)."""
    background = 1e-7 * Q**-4 + 0.02
    extra = {
        "flat": 0 * Q,
        "knee": strength * np.exp(-((Q * size) ** 2) / 3),
        "power": 1e-3 * strength * Q**-2.5,
        "peak": strength * np.exp(-0.5 * ((Q - 3 / size) / (0.3 / size)) ** 2),
        "irregular": strength * (Q / 0.05) ** (2 * np.sin(size)) * (1 + np.sin(3 * np.log(Q) + 7 * size)),
    }[kind]
    return background + extra


def simulate(n, seed, kinds=CLASSES, exposure=None):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(kinds), n)
    dose = 10 ** rng.uniform(3, 5, n) if exposure is None else np.full(n, exposure)
    sizes, strengths = 10 ** rng.uniform(1.2, 2, n), 10 ** rng.uniform(-0.5, 1.5, n)
    clean = np.stack([truth(kinds[k], s, a) for k, s, a in zip(labels, sizes, strengths, strict=True)])
    clean *= rng.uniform(0.7, 1.4, (n, 1))
    sigma = np.sqrt(clean / dose[:, None] / Q + 1e-4 / dose[:, None])
    return Batch(Q, clean + sigma * rng.standard_normal(clean.shape), sigma, labels)


SETTINGS = Training(
    members=2, epochs=4, channels=(8, 16, 16), hidden=(16,), batch_size=64, seed=3, shape_presentations=100_000
)


@pytest.fixture(scope="session")
def batches():
    return [simulate(1500, seed) for seed in (1, 2)]


@pytest.fixture(scope="session")
def model(batches):
    return SaxsClassifier.train(batches, CLASSES, SETTINGS, description={"name": "toy"})


@pytest.fixture(scope="session")
def toy():
    """Toy curves: import between test files is not to be had."""
    return SimpleNamespace(simulate=simulate, classes=CLASSES, settings=SETTINGS)
