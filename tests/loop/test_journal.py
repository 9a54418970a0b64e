import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loop import journal as journal_module
from loop.errors import JournalError, StorageFullError
from loop.journal import FILE_NAME, RESERVE_NAME, TORN_NAME, Journal, plain_document, read_documents, to_line

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), values, max_size=5))
def test_a_line_gives_back_exactly_what_went_in(doc):
    line = to_line("event", doc)
    assert line.count("\n") == 1
    assert json.loads(line) == ["event", doc]


def test_arrays_become_lists_without_losing_a_bit():
    q = np.random.default_rng(1).random(50)
    assert np.array_equal(np.asarray(plain_document("event", {"q": q})["q"]), q)


def test_what_json_cannot_say_is_named():
    with pytest.raises(TypeError, match="object"):
        to_line("event", {"x": object()})


def test_documents_come_back_in_order(tmp_path):
    with Journal(tmp_path) as journal:
        heard = []
        journal.listen(lambda name, doc: heard.append((name, doc)))
        for i in range(5):
            journal("event", {"seq_num": i, "data": {"a": np.float64(i) / 3}})
    assert list(read_documents(tmp_path)) == heard
    assert [doc["data"]["a"] for _, doc in heard] == [i / 3 for i in range(5)]


@pytest.mark.parametrize("tail", [b'["event", {"a"', b"x", b'["event", {"a": 1}]', "é".encode()[:1], b"x" * 200_000])
def test_a_torn_last_line_is_set_aside_and_kept(tmp_path, tail):
    with Journal(tmp_path) as journal:
        journal("start", {"uid": "1"})
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(tail)
    assert [doc for _, doc in read_documents(tmp_path)] == [{"uid": "1"}]
    with Journal(tmp_path) as journal:
        assert journal.torn_bytes == len(tail)
        journal("stop", {"uid": "2"})
    assert [doc["uid"] for _, doc in read_documents(tmp_path)] == ["1", "2"]
    assert tail in (tmp_path / TORN_NAME).read_bytes()


def test_a_journal_that_is_one_torn_line(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b'["start", {')
    with Journal(tmp_path) as journal:
        assert journal.torn_bytes == 11
    assert list(read_documents(tmp_path)) == []


def test_a_spoilt_line_in_the_middle_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_text('["start", {}]\ngarbage\n["stop", {}]\n')
    with pytest.raises(JournalError, match="line 2"):
        list(read_documents(tmp_path))


def test_a_folder_without_campaign_is_said(tmp_path):
    with pytest.raises(JournalError, match=FILE_NAME):
        list(read_documents(tmp_path))


def test_only_one_process_may_write(tmp_path):
    with Journal(tmp_path), pytest.raises(JournalError, match="another process"):
        Journal(tmp_path)


def _disk(monkeypatch, full):
    """Make os.write fail as a full disk does, half a line being written, as long as `full()`."""
    write = os.write

    def fake(fd, data):
        if full():
            write(fd, bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    monkeypatch.setattr(journal_module.os, "write", fake)


def test_a_full_disk_takes_the_reserve_and_loses_nothing(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal("start", {"uid": "1"})
        assert (tmp_path / RESERVE_NAME).stat().st_size == journal_module.RESERVE_BYTES
        _disk(monkeypatch, (tmp_path / RESERVE_NAME).exists)
        journal("event", {"uid": "2"})
        assert journal.low_space
        assert [doc["uid"] for _, doc in read_documents(tmp_path)] == ["1", "2"]
        assert journal.restore_reserve()
        assert not journal.low_space


def test_a_disk_too_full_for_the_reserve_leaves_whole_lines_only(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal("start", {"uid": "1"})
        _disk(monkeypatch, lambda: True)
        with pytest.raises(StorageFullError, match="beamloop resume"):
            journal("event", {"uid": "2"})
        assert [doc["uid"] for _, doc in read_documents(tmp_path)] == ["1"]


def test_another_write_error_says_where(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:

        def fail(fd, data):
            raise OSError(errno.EIO, "input/output error")

        monkeypatch.setattr(journal_module.os, "write", fail)
        with pytest.raises(JournalError, match=FILE_NAME):
            journal("event", {})
