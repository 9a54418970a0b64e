"""A tiny classifier of toy curves, for what a campaign does with one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

Q = np.geomspace(0.003, 0.5, 160)


def smooth(level: float) -> np.ndarray:
    return level * (1e-7 * Q**-4 + 0.05)


def knee(level: float, radius: float = 40.0, strength: float = 10.0) -> np.ndarray:
    return smooth(level) + strength * np.exp(-((Q * radius) ** 2) / 3)


def peak(level: float) -> np.ndarray:
    """Neither of the two classes."""
    return smooth(level) + 20 * np.exp(-0.5 * ((Q - 0.1) / 0.004) ** 2)


def sigma_of(clean: np.ndarray, dose: float) -> np.ndarray:
    return np.sqrt(clean / Q / dose + 1e-4 / dose)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Path of a classifier of ``smooth`` and ``knee`` without suffix, and what makes curves."""
    from surrogates.saxs.model import Batch, SaxsClassifier
    from surrogates.saxs.training import Training

    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 1600)
    levels, radii = rng.uniform(0.5, 2, 1600), 10 ** rng.uniform(1.3, 1.9, 1600)
    strengths, doses = 10 ** rng.uniform(-1.5, 1.5, 1600), 10 ** rng.uniform(3, 5, 1600)
    drawn = zip(labels, levels, radii, strengths, strict=True)
    clean = np.stack([knee(a, r, s) if label else smooth(a) for label, a, r, s in drawn])
    sigma = np.stack([sigma_of(row, dose) for row, dose in zip(clean, doses, strict=True)])
    settings = Training(
        members=1, epochs=4, channels=(8, 8), hidden=(8,), batch_size=64, seed=3, shape_presentations=60_000
    )
    noisy = clean + sigma * rng.standard_normal(clean.shape)
    model = SaxsClassifier.train([Batch(Q, noisy, sigma, labels)], ("smooth", "knee"), settings)
    path: Path = tmp_path_factory.mktemp("classifier") / "toy"
    model.save(path)

    def measured(clean: np.ndarray, dose: float = 1e4, seed: int = 0) -> SimpleNamespace:
        sigma = sigma_of(clean, dose)
        noise = np.random.default_rng(seed).standard_normal(clean.shape)
        return SimpleNamespace(q=Q, intensity=clean + sigma * noise, sigma=sigma)

    def exact(clean: np.ndarray, dose: float = 1e4) -> SimpleNamespace:
        return SimpleNamespace(q=Q, intensity=clean, sigma=sigma_of(clean, dose))

    return SimpleNamespace(path=path, measured=measured, exact=exact, smooth=smooth, knee=knee, peak=peak)
