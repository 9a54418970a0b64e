"""Data sets on disk: the same numbers whoever makes them, gone on with after an interruption, refused where wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from simulators.datasets import FAMILIES, Dataset, DatasetError, Recipe, generate, load_manifest
from simulators.errors import InstrumentModelError

SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "curves": 25,
    "shard_curves": 10,
    "families": {"none": {}, "voids": {"weight": 2.0}, "point_defects": {}},
    "q": {"low": 0.02, "high": 0.1, "points": 12},
    "exposure_s": {"kind": "loguniform", "low": 0.01, "high": 100.0},
    "instrument": {"shape": [150, 130], "beam_centre_px": [20.2, 15.7], "distance_mm": 1000.0, "beamstop_mm": 3.0},
}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**SMALL, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_has_what_the_manifest_says(tmp_path: Path) -> None:
    seen: list[tuple[int, int, bool]] = []
    manifest = generate(recipe(keep_truth=True), tmp_path / "a", progress=lambda *state: seen.append(state))
    assert seen == [(10, 25, False), (20, 25, False), (25, 25, False)]
    assert load_manifest(tmp_path / "a") == json.loads(json.dumps(manifest))
    data = Dataset.open(tmp_path / "a")
    arrays = data.arrays()
    assert len(data) == 25
    assert data.labels == ["none", "voids", "point_defects"]
    assert data.q == pytest.approx(np.geomspace(0.02, 0.1, 12))
    assert arrays["intensity"].shape == arrays["sigma"].shape == arrays["truth"].shape == (25, 12)
    assert arrays["intensity"].dtype == np.float32
    assert np.all(arrays["sigma"] > 0)
    assert np.all((arrays["exposure_s"] >= 0.01) & (arrays["exposure_s"] <= 100))
    assert np.array_equal(np.bincount(arrays["label"], minlength=3), list(manifest["families"].values()))
    deviation = (arrays["intensity"] - arrays["truth"]) / arrays["sigma"]
    assert 0.6 < deviation.std() < 1.4
    # Parameters are there where a family has them.
    columns = manifest["columns"]
    assert arrays["parameters"].shape == (25, len(columns))
    radius = arrays["parameters"][:, columns.index("voids.radius")]
    assert np.array_equal(np.isfinite(radius), arrays["label"] == 1)
    assert np.all(np.isfinite(arrays["parameters"][:, columns.index("matrix.sld")]))


@pytest.mark.parametrize("form", ["zarr", "parquet"])
def test_processes_give_the_same_bytes(tmp_path: Path, form: str) -> None:
    one = generate(recipe(format=form), tmp_path / "one")
    two = generate(recipe(format=form), tmp_path / "two", workers=2)
    assert one == two
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    generate(recipe(), tmp_path / "one")
    generate(recipe(), tmp_path / "ray", workers=2, ray=True)
    assert content(tmp_path / "one") == content(tmp_path / "ray")


def test_zarr_and_parquet_hold_the_same_numbers(tmp_path: Path) -> None:
    first = generate(recipe(), tmp_path / "zarr")
    second = generate(recipe(format="parquet"), tmp_path / "parquet")
    assert first["data_sha256"] == second["data_sha256"]


def test_a_shard_does_not_depend_on_the_others(tmp_path: Path) -> None:
    generate(recipe(), tmp_path / "short")
    generate(recipe(curves=40), tmp_path / "long")
    short, long = Dataset.open(tmp_path / "short").arrays(), Dataset.open(tmp_path / "long").arrays()
    assert np.array_equal(short["intensity"][:20], long["intensity"][:20])
    generate(recipe(seed=4), tmp_path / "other")
    assert not np.array_equal(short["intensity"], Dataset.open(tmp_path / "other").arrays()["intensity"])


@pytest.mark.parametrize("form", ["zarr", "parquet"])
def test_an_interrupted_data_set_is_gone_on_with(tmp_path: Path, form: str) -> None:
    made = recipe(format=form)
    generate(made, tmp_path / "whole")
    folder = tmp_path / "cut"

    def stop(curves: int, total: int, kept: bool) -> None:
        if curves >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(made, folder, progress=stop)
    with pytest.raises(DatasetError, match=r"no manifest\.json"):
        Dataset.open(folder)
    # One finished shard is damaged; the other stays.
    damaged = folder / ("curves.zarr/intensity/c/0/0" if form == "zarr" else "shard-00000.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-7])
    kept = []
    generate(made, folder, progress=lambda curves, total, old: kept.append(old))
    assert kept == [False, True, False]
    assert content(folder) == content(tmp_path / "whole")


def test_a_killed_process_leaves_what_can_be_gone_on_with(tmp_path: Path) -> None:
    made = recipe(curves=30)
    code = (
        "import os, sys\nfrom simulators.datasets import Recipe, generate\n"
        "generate(Recipe.model_validate_json(sys.argv[1]), sys.argv[2], progress=lambda *_: os.kill(os.getpid(), 9))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, made.model_dump_json(), str(tmp_path / "cut")], timeout=100)
    assert done.returncode == -9
    assert [path.name for path in (tmp_path / "cut" / "finished").iterdir()] == ["00000.json"]
    generate(made, tmp_path / "cut")
    generate(made, tmp_path / "whole")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_another_recipe_does_not_mix_in(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    generate(recipe(), folder)
    with pytest.raises(DatasetError, match="--force"):
        generate(recipe(seed=4), folder)
    assert generate(recipe(), folder)["recipe_sha256"] == recipe().hash
    assert generate(recipe(seed=4, format="parquet"), folder, force=True)["recipe_sha256"] != recipe().hash
    assert not (folder / "curves.zarr").exists()
    # Begun without a finished shard: nothing would be lost.
    for path in (folder / "finished").iterdir():
        path.unlink()
    generate(recipe(), folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"notes\.txt"):
        generate(recipe(), folder, force=True)
    assert (folder / "manifest.json").exists()


def test_folders_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        generate(recipe(), tmp_path)
    with pytest.raises(DatasetError, match="is a file"):
        generate(recipe(), tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="workers"):
        generate(recipe(), tmp_path / "a", workers=0)


def test_a_camera_that_does_not_cover_q_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InstrumentModelError, match=r"no usable pixel.*the camera sees"):
        generate(recipe(q={"low": 0.001, "high": 0.1}), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_recipes_from_files(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert Recipe.from_yaml(path) == recipe()
    path.write_text("name: [")
    with pytest.raises(DatasetError, match="no recipe"):
        Recipe.from_yaml(path)
    with pytest.raises(DatasetError, match="no recipe"):
        Recipe.from_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "configs").glob("saxs_*.yaml")), ids=lambda p: p.stem
)
def test_the_projects_recipes_are_valid(path: Path) -> None:
    found = Recipe.from_yaml(path)
    assert found.name == path.stem
    assert set(found.families) <= set(FAMILIES)


def test_the_pages_recipe_is_made_and_read_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "howto" / "simulate.md").read_text(encoding="utf-8")
    (recipe_text,) = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(recipe_text, encoding="utf-8")
    found = Recipe.from_yaml("r.yaml")
    generate(found.model_copy(update={"curves": 40}), "datasets/try")
    exec(compile(code, "simulate.md", "exec"), {})  # noqa: S102 - our own page


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"families": {"viods": {}}}, "built-in family"),
        ({"families": {"voids": {"weight": 0.0}}}, "weight greater than 0"),
        ({"families": {"voids": {"parameters": {"radus": {"kind": "fixed", "value": 1.0}}}}}, "radius"),
        ({"families": {"voids": {"parameters": {"radius": {"kind": "fixed", "value": 0.1}}}}}, "where spheres holds"),
        ({"families": {"x": {"contributions": [{"kernel": "hardsphere"}]}}}, "one of cavity_lattice"),
        (
            {"families": {"x": {"contributions": [{"kernel": "spheres", "parameters": {"radius": "a"}}]}}},
            "name of a par",
        ),
        ({"families": {"x": {"contributions": [{"kernel": "spheres", "parameters": {"a": 1.0}}]}}}, "parameter of sph"),
        ({"families": {"x": {"contributions": [{"kernel": "spheres", "options": {"distribution": "a"}}]}}}, "schulz"),
        ({"families": {"x": {"contributions": [{"kernel": "spheres", "options": {"a": "a"}}]}}}, "option of spheres"),
        (
            {"families": {"x": {"contributions": [], "parameters": {"sld": {"kind": "fixed", "value": 0.0}}}}},
            "matrix does not have",
        ),
        ({"families": {"matrix": {"contributions": []}}}, "other than matrix"),
        ({"matrix": {"parameters": {"sdl": {"kind": "fixed", "value": 1.0}}}}, "parameter of the matrix"),
        ({"exposure_s": {"kind": "uniform", "low": 0.0, "high": 1.0}}, "exposures greater than 0"),
        ({"q": {"low": 1.0, "high": 0.1}}, "less than high"),
        ({"format": "hdf5"}, "zarr"),
    ],
)
def test_recipes_that_cannot_be_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        recipe(**changes)
