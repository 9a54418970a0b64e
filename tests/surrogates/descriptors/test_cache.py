"""The cache on disk: several processes, broken files, full disks."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from joblib import Parallel, delayed

from surrogates.descriptors.cache import DescriptorCache, clear_cache, content_key
from surrogates.descriptors.composition import CompositionDescriptor
from surrogates.errors import SurrogateError

NAMESPACE = "Roots-" + 32 * "0"
KEYS = [content_key(bytes([i])) for i in range(6)]


def read(cache: DescriptorCache, keys: list[bytes | None], p: int) -> tuple[np.ndarray, np.ndarray]:
    out = np.full((len(keys), p), -1.0)
    return cache.read(keys, out), out


@given(arrays(float, (4, 5), elements=st.sampled_from([0.0, 0.0, 0.0, 1.5, -2e300, 1e-300, 1 / 3])))
def test_what_was_kept_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    # Sparse or dense, as it happens.
    cache = DescriptorCache(tmp_path_factory.mktemp("cache"), NAMESPACE)
    cache.write(KEYS[:4], values)
    known, out = read(cache, [KEYS[5], KEYS[2], None, KEYS[0], KEYS[2]], 5)
    assert known.tolist() == [False, True, False, True, True]
    np.testing.assert_array_equal(out[[1, 3, 4]], values[[2, 0, 2]])
    assert (out[[0, 2]] == -1).all()


def test_rows_of_a_call_lie_in_one_file(tmp_path: Path) -> None:
    cache = DescriptorCache(tmp_path, NAMESPACE)
    cache.write(KEYS[:5], np.ones((5, 3)))
    cache.write([None, KEYS[5]], np.array([[1.0, 2, 3], [4, 5, 6]]))
    cache.write([None], np.ones((1, 3)))
    cache.write([], np.ones((0, 3)))
    assert len(list(cache.folder.iterdir())) == 2
    known, out = read(cache, [KEYS[5]], 3)
    assert known.all()
    assert out.tolist() == [[4, 5, 6]]


def test_zeros_are_kept_small(tmp_path: Path) -> None:
    formulas = [f"Fe{i}O{j}" for i in range(1, 20) for j in range(1, 20)]
    CompositionDescriptor(cache=tmp_path).transform(formulas)
    used = sum(path.stat().st_size for path in tmp_path.rglob("*.npz"))
    assert used < len(formulas) * 1994 * 8 / 5


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    formulas = [f"Fe{i}O{j}" for i in range(1, 9) for j in range(1, 9)]
    descriptor = CompositionDescriptor(cache=tmp_path)
    parts = [formulas[:40], formulas[20:], formulas[::-1], formulas]
    found = Parallel(n_jobs=2)(delayed(descriptor.transform)(part) for part in parts)
    expected = CompositionDescriptor().transform(formulas)
    np.testing.assert_array_equal(found[3], expected)
    np.testing.assert_array_equal(found[2], expected[::-1])
    assert not list(tmp_path.rglob("*.tmp"))
    np.testing.assert_array_equal(descriptor.transform(formulas), expected)


@pytest.mark.parametrize("left", [0, 10, 300, -30])
def test_a_broken_file_is_named_and_does_no_harm(tmp_path: Path, left: int) -> None:
    cache = DescriptorCache(tmp_path, NAMESPACE)
    cache.write(KEYS[:2], np.arange(6.0).reshape(2, 3))
    (broken,) = cache.folder.glob("*.npz")
    broken.write_bytes(broken.read_bytes()[:left])
    cache.write(KEYS[2:3], np.ones((1, 3)))
    with pytest.warns(RuntimeWarning, match=rf"{broken.name}: is broken.*Delete it"):
        known, out = read(cache, KEYS[:3], 3)
    assert known.tolist() == [False, False, True]
    assert out[2].tolist() == [1, 1, 1]


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    cache = DescriptorCache(tmp_path, NAMESPACE)
    cache.write(KEYS[:1], np.array([[0.1, 0.2, 0.3]]))
    (path,) = cache.folder.glob("*.npz")
    content = path.read_bytes()
    number = np.array([0.2]).tobytes()
    assert content.count(number) == 1
    path.write_bytes(content.replace(number, np.array([0.7]).tobytes()))
    with pytest.warns(RuntimeWarning, match="CRC"):
        known, _ = read(cache, KEYS[:1], 3)
    assert not known.any()


def test_rows_of_another_width_are_not_used(tmp_path: Path) -> None:
    cache = DescriptorCache(tmp_path, NAMESPACE)
    cache.write(KEYS[:1], np.ones((1, 3)))
    with pytest.warns(RuntimeWarning, match=r"expected \(1, 4\)"):
        known, _ = read(cache, KEYS[:1], 4)
    assert not known.any()


def test_a_full_disk_costs_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(RuntimeWarning, match=r"2 rows could not be kept \(No space left"):
        found = CompositionDescriptor(cache=tmp_path).transform(["NaCl", "MgO"])
    np.testing.assert_array_equal(found, CompositionDescriptor().transform(["NaCl", "MgO"]))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SurrogateError, match=r"file/cache cannot be made"):
        CompositionDescriptor(cache=tmp_path / "file" / "cache").transform(["NaCl"])
    with pytest.raises(SurrogateError, match="NAME-<32"):
        DescriptorCache(tmp_path, "../elsewhere")


def test_clearing_removes_what_is_ours_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    cache = DescriptorCache(tmp_path, NAMESPACE)
    cache.write(KEYS[:1], np.ones((1, 3)))
    assert clear_cache(tmp_path) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "notes.txt"]
    # One that is open goes on.
    known, _ = read(cache, KEYS[:1], 3)
    assert not known.any()
    assert clear_cache(tmp_path) == 0
