"""The documentation's maps say what the page says."""

import runpy
import sys
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_maps(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scenario_maps"])
    runpy.run_path(str(DOCS / "examples" / "scenario_maps.py"), run_name="__main__")
    page = (DOCS / "explanation" / "scenarios.md").read_text(encoding="utf-8")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line in page
