"""The documentation's elastic examples say what the page says."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def said(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_loop_near_void(capsys, monkeypatch):
    mesh, apart, rigid = said("elasticity_loop_near_void", capsys, monkeypatch)
    assert float(re.search(r"void strained by (\S+) %", mesh)[1]) == pytest.approx(-2.1, abs=0.1)
    assert float(apart.split(": ")[1].split()[0]) == pytest.approx(0.42, abs=0.01)
    assert float(rigid.split(": ")[1].split()[0]) == pytest.approx(0.96, abs=0.005)


def test_platelet(capsys, monkeypatch):
    without, with_misfit = said("elasticity_platelet", capsys, monkeypatch)
    assert without.startswith("no misfit: strained by 0.00 % along, 0.00 % across")
    # It shrinks across, and the matrix around it scatters as well.
    assert float(re.search(r"(\S+) % across; ", with_misfit)[1]) < -2.5
    first = [float(line.split("1/cm: ")[1].split()[0]) for line in (without, with_misfit)]
    assert first[0] != pytest.approx(first[1], rel=0.1)
