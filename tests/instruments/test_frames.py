from __future__ import annotations

import errno
import os
import resource
import signal

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instruments.errors import FrameWriteError
from instruments.frames import DATASET, FrameReadError, frame_name, read_frame, write_frame


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        st.sampled_from([np.dtype("<i4"), np.dtype("<f4")]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
    )
)
def test_what_is_written_is_read_back(tmp_path, image):
    path = tmp_path / "f.h5"
    write_frame(path, image, exposure_s=0.5)
    back = read_frame(path)
    assert back.dtype == image.dtype
    np.testing.assert_array_equal(back, image)


def test_the_file_says_what_it_holds(tmp_path):
    path = tmp_path / frame_name("frame", 12)
    assert path.name == "frame_000012.h5"
    assert frame_name("background", 0) == "background_000.h5"
    write_frame(path, np.ones((3, 4), np.int32), exposure_s=2.0)
    with h5py.File(path) as file:
        data = file[DATASET]
        assert data.shape == (1, 3, 4)
        assert dict(data.attrs) == {"units": "counts", "exposure_s": 2.0}
    assert os.listdir(tmp_path) == [path.name]


def test_the_same_frame_gives_the_same_bytes(tmp_path):
    image = np.arange(12, dtype=np.int32).reshape(3, 4)
    for name in ("a.h5", "b.h5"):
        write_frame(tmp_path / name, image, exposure_s=1.0)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_write_that_fails_half_way_leaves_the_former_frame(tmp_path):
    path = tmp_path / "f.h5"
    former = np.full((300, 300), 3, dtype=np.int32)
    write_frame(path, former, exposure_s=1.0)
    noise = np.random.default_rng(0).integers(0, 2**30, (300, 300)).astype(np.int32)
    # The system itself cuts the file off, in the middle of the writing.
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(FrameWriteError, match=r"f\.h5") as caught:
            write_frame(path, noise, exposure_s=1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == ["f.h5"]
    np.testing.assert_array_equal(read_frame(path), former)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(FrameWriteError) as caught:
        write_frame(tmp_path / "nowhere" / "f.h5", np.ones((2, 2), np.int32), exposure_s=1.0)
    assert caught.value.errno == errno.ENOENT


def test_broken_files_are_told_by_name(tmp_path):
    with pytest.raises(FrameReadError, match=r"gone\.h5 is missing"):
        read_frame(tmp_path / "gone.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(FrameReadError, match=r"text\.h5 cannot be read"):
        read_frame(text)
    whole = tmp_path / "whole.h5"
    write_frame(whole, np.arange(10_000, dtype=np.int32).reshape(100, 100), exposure_s=1.0)
    for size in (0, 10, 500, whole.stat().st_size - 100):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(FrameReadError, match=r"cut\.h5 cannot be read"):
            read_frame(cut)
    for name, content in {"empty": None, "shape": np.ones((2, 3, 4)), "text": np.array([[[b"x"]]])}.items():
        other = tmp_path / f"{name}_data.h5"
        with h5py.File(other, "w") as file:
            if content is not None:
                file[DATASET] = content
        with pytest.raises(FrameReadError, match=other.name):
            read_frame(other)
