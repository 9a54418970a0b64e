"""Every module imports, in any order; what a person imports first loads quickly."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

PACKAGES = ("loop", "surrogates", "instruments", "simulators")


def modules() -> list[str]:
    import importlib

    names = list(PACKAGES)
    for package in PACKAGES:
        found = pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        names += [module.name for module in found if not module.name.endswith("__main__")]
    return names


def test_every_module_imports_whatever_was_imported_before() -> None:
    # One process: in the reverse order of their names, so that no module leans on what its neighbours have loaded.
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code, *sorted(modules(), reverse=True)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("loop.config", ("torch", "numpy", "pandas", "bluesky", "ophyd")),
        ("loop.records", ("torch", "numpy", "pydantic")),
        ("loop.protocols", ("torch", "bluesky", "botorch")),
        ("surrogates", ("bluesky", "ophyd", "instruments", "simulators")),
        ("simulators", ("torch", "bluesky", "ophyd", "loop", "instruments")),
        ("instruments", ("torch", "simulators", "loop")),
    ],
)
def test_light_modules_stay_light(module: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set({unwanted!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
