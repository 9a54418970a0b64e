"""`kill -9` at any instant: nothing emitted is lost, nothing is taken twice, the campaign goes on as if undisturbed."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from loop.journal import FILE_NAME

TIMES, DOCUMENTS, FRAMES = "at some time", "while a document is written", "while a frame is written"
# Five campaigns of four deaths each.
CHAINS = (
    (TIMES, DOCUMENTS, TIMES, DOCUMENTS),
    (DOCUMENTS, TIMES, FRAMES, TIMES),
    (TIMES, DOCUMENTS, TIMES, FRAMES),
    (DOCUMENTS, FRAMES, DOCUMENTS, TIMES),
    (TIMES, TIMES, DOCUMENTS, DOCUMENTS),
)
PLACES = {
    DOCUMENTS: ("half a document is written", "a document is written, but nobody knows"),
    FRAMES: ("half a frame is written", "a frame is written, but no event"),
}


REACTIONS = """\
reactions:
  - name: closer
    when: {observable: band, above: 1.5, significance: 2}
    do: {kind: remeasure, options: {exposure_factor: 4}}
    at_most: 2
  - name: around
    when: {observable: band, above: 1.5, significance: 2}
    do: {kind: look_around, options: {points: 2, radius: 0.1}}
    at_most: 2
"""


@pytest.fixture(scope="module")
def undisturbed(zygote, read_record, tmp_path_factory):
    """The same campaign without a death, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed") / "campaign"
    ended = zygote("run", folder)
    assert ended["code"] == 0, zygote.log
    assert ended["result"] == [0, "12 points are measured"]
    return read_record(folder), ended["seconds"]


def whole_lines(folder):
    """The journal as any reader sees it now."""
    path = folder / FILE_NAME
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def killed_at_some_time(zygote, do, folder, seconds, **how):
    """Kill after `seconds`; should the campaign be quicker for once, set everything back and kill sooner."""
    before = folder.with_name("before")
    if folder.exists():
        shutil.copytree(folder, before)
    while (ended := zygote(do, folder, kill_after_s=seconds, **how))["code"] == 0:
        seconds *= 0.6
        shutil.rmtree(folder)
        if before.exists():
            shutil.copytree(before, folder)
    shutil.rmtree(before, ignore_errors=True)
    return ended


@pytest.mark.parametrize("chain", range(len(CHAINS)))
def test_a_campaign_killed_again_and_again_is_the_undisturbed_one(zygote, undisturbed, read_record, tmp_path, chain):
    reference, seconds = undisturbed
    rng = np.random.default_rng([2026, chain])
    folder = tmp_path / "campaign"
    seen = []
    for kind in CHAINS[chain]:
        # What was killed before it had written its file has not begun.
        do = "resume" if (folder / "campaign.json").exists() else "run"
        if kind == TIMES:
            ended = killed_at_some_time(zygote, do, folder, rng.uniform(0.02, 0.7) * seconds)
        else:
            n = int(rng.integers(1, 22)) if kind == DOCUMENTS else int(rng.integers(1, 4))
            ended = zygote(do, folder, die=str(rng.choice(PLACES[kind])), n=n)
        assert ended["code"] == -9, (kind, ended, zygote.log)
        seen.append(whole_lines(folder))
    ended = zygote("resume", folder)
    assert ended["code"] == 0, zygote.log
    assert ended["result"] == [0, "12 points are measured"]

    record = read_record(folder)
    for lines in seen:
        assert (folder / FILE_NAME).read_bytes().startswith(lines)
    assert record.story == reference.story
    assert record.history.unfinished_runs == ()
    frames, expected = record.frames, reference.frames
    assert list(frames) == list(range(12))
    assert all(np.array_equal(frames[number], expected[number]) for number in range(12))
    # What half-written files a death leaves are out of the way: never under a frame's name.
    assert {path.name for path in (folder / "frames").glob("*.h5")} == {
        path.name for path in (reference.folder / "frames").glob("*.h5")
    }


@pytest.fixture(scope="module")
def reacting(zygote, config_text, read_record, tmp_path_factory):
    """A campaign with reactions, its text, and the seconds that it took without a death."""
    folder = tmp_path_factory.mktemp("reacting") / "campaign"
    text = config_text + REACTIONS
    ended = zygote("run", folder, config=text)
    assert ended["code"] == 0, zygote.log
    assert ended["result"] == [0, "12 points are measured"]
    record = read_record(folder)
    followed = [step.suggestion.cause.reaction for step in record.history.steps if step.suggestion.cause]
    assert sorted(followed) == ["around"] * 4 + ["closer"] * 2
    return record, text, ended["seconds"]


@pytest.mark.parametrize("chain", range(2))
def test_reactions_follow_as_if_nobody_had_died(zygote, reacting, read_record, tmp_path, chain):
    reference, text, seconds = reacting
    rng = np.random.default_rng([2027, chain])
    folder = tmp_path / "campaign"
    for kind in CHAINS[chain]:
        do = "resume" if (folder / "campaign.json").exists() else "run"
        how = {"config": text}
        if kind == TIMES:
            ended = killed_at_some_time(zygote, do, folder, rng.uniform(0.1, 0.7) * seconds, **how)
        else:
            n = int(rng.integers(1, 22)) if kind == DOCUMENTS else int(rng.integers(1, 4))
            ended = zygote(do, folder, die=str(rng.choice(PLACES[kind])), n=n, **how)
        assert ended["code"] == -9, (kind, ended, zygote.log)
    ended = zygote("resume", folder)
    assert ended["code"] == 0, zygote.log
    record = read_record(folder)
    assert record.story == reference.story
    assert record.history.alerts == reference.history.alerts
    frames, expected = record.frames, reference.frames
    assert list(frames) == list(expected) == list(range(12))
    assert all(np.array_equal(frames[number], expected[number]) for number in range(12))


@pytest.mark.parametrize(
    ("where", "n", "do"),
    [
        ("the campaign file is written", 1, "run"),
        ("the journal is there, but empty", 1, "resume"),
        ("half a document is written", 1, "resume"),
        ("a document is written, but nobody knows", 1, "resume"),
    ],
)
def test_a_campaign_killed_while_it_is_set_up(zygote, undisturbed, read_record, tmp_path, where, n, do):
    folder = tmp_path / "campaign"
    assert zygote("run", folder, die=where, n=n)["code"] == -9
    ended = zygote(do, folder)
    assert ended["code"] == 0, zygote.log
    assert read_record(folder).story == undisturbed[0].story


def test_a_report_killed_while_it_is_written_is_written_anew(zygote, undisturbed, tmp_path):
    folder = tmp_path / "campaign"
    shutil.copytree(undisturbed[0].folder, folder)
    journal = (folder / FILE_NAME).read_bytes()
    for seconds in (0.3, 1.5):
        assert zygote("report", folder, kill_after_s=seconds)["code"] == -9
    ended = zygote("report", folder)
    assert ended["code"] == 0, zygote.log
    page = (folder / "report" / "report.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert (folder / FILE_NAME).read_bytes() == journal


def test_the_campaign_goes_on_where_its_folder_was_moved_to(zygote, undisturbed, read_record, tmp_path):
    folder = tmp_path / "campaign"
    # After a frame's event and before the outcome: the frame is read back at the new place.
    lines = (undisturbed[0].folder / FILE_NAME).read_bytes().splitlines(keepends=True)
    events = [number for number, line in enumerate(lines) if b'"det_total"' in line and line.startswith(b'["event"')]
    shutil.copytree(undisturbed[0].folder, folder)
    (folder / FILE_NAME).write_bytes(b"".join(lines[: events[7] + 1]))
    moved = tmp_path / "elsewhere"
    os.rename(folder, moved)
    hidden = undisturbed[0].folder.with_name("hidden")
    os.rename(undisturbed[0].folder, hidden)
    try:
        ended = zygote("resume", moved)
        assert ended["code"] == 0, zygote.log
        ended = zygote("report", moved)
        assert ended["code"] == 0, zygote.log
    finally:
        os.rename(hidden, undisturbed[0].folder)
    assert read_record(moved).story == undisturbed[0].story
