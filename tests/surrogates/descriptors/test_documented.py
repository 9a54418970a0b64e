"""What the pages on descriptors say comes from the code, and their example runs."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path

import pytest

from surrogates.descriptors.composition import CompositionDescriptor


def test_the_tables_hold_all_1994_columns_in_order(project_root: Path) -> None:
    spec = importlib.util.spec_from_file_location("tables", project_root / "docs" / "_ext" / "generated_descriptors.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    rows = [line for line in tables.composition_descriptors() if re.match(r"\| \d+ to", line)]
    names = [feature.name for feature in CompositionDescriptor().feature_table()]
    at = 0
    for row in rows:
        first, last = map(int, re.findall(r"\d+", row)[:2])
        assert first == at
        shown = re.findall(r"`(.+?)`", row)
        assert shown[0] == names[first]
        assert shown[-1] == names[last if len(shown) == 2 else first]
        at = last + 1
    assert at == 1994


def test_the_example_runs(project_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(project_root / "docs" / "examples" / "describe_compositions.py"))
    shown = capsys.readouterr().out
    assert "(4, 1994)" in shown
    assert "X is no element" in shown
