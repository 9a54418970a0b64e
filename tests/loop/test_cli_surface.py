"""What the command line offers, and that it answers at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loop.cli import app
from loop.config import schema_json


def beamloop(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_schema() -> None:
    result = beamloop("schema")
    assert (result.exit_code, result.stdout) == (0, schema_json())


def test_version() -> None:
    result = beamloop("version")
    assert result.exit_code == 0
    assert "\nbeamloop 0." in result.stdout
    assert "\ntorch 2." in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["run", "--help"], ["check", "-h"]])
def test_help(arguments: list[str]) -> None:
    result = beamloop(*arguments)
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["run", "c.yaml", "--sett", "a=1"], ["resume"]])
def test_wrong_usage(arguments: list[str]) -> None:
    result = beamloop(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize("module", ["loop.cli", "loop"])
def test_what_makes_the_command_slow_is_not_imported(module: str) -> None:
    heavy = (
        "torch",
        "pandas",
        "numpy",
        "ophyd",
        "bluesky",
        "pydantic",
        "botorch",
        "pyFAI",
        "tiled",
        "matplotlib",
        "yaml",
    )
    code = f"import sys, {module}; print(*sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_the_installed_command_finds_modules_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text("")
    code = "import sys; sys.argv = ['beamloop', 'version']; import loop.cli, atexit; atexit.register(" \
        "lambda: print('found', __import__('my_module').__name__)); loop.cli.main()"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert "found my_module" in done.stdout
