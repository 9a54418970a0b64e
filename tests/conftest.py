"""What all tests share: hypothesis's profile, and recorded data that may be absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# Reproducible, and without deadlines: the machine that runs the tests may be slow or shared.
settings.register_profile("beamloop", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beamloop")


def data_folder() -> Path:
    """Where recorded data sets lie on this machine."""
    return Path(os.environ.get("BEAMLOOP_DATA") or ROOT.parent / "shared" / "data")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `data("name", ...)` if one of these sets is absent, and say which."""
    for mark in item.iter_markers("data"):
        for name in mark.args:
            if not (data_folder() / name).exists():
                pytest.skip(f"the recorded data set {name} is not in {data_folder()} (BEAMLOOP_DATA)")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the recorded data sets; the test is skipped where there is none."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no recorded data: {folder} is absent (BEAMLOOP_DATA)")
    return folder


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Root of the source tree."""
    return ROOT
