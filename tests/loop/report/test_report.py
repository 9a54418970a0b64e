"""The report: complete, self-contained, and safe against what campaigns are called."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from loop.findings import analyse
from loop.findings.records import CurveData
from loop.records import Alert, Cause, Origin
from loop.report import write_report
from loop.report.figures import figures

EXPECTED = {
    "map": {"map_mean", "map_uncertainty", "map_truth", "map_difference", "learning", "pulls", "coverage", "pit",
            "surprise_1", "surprise_2", "surprise_3", "timings"},
    "series": {"map", "learning", "pulls", "coverage", "pit", "surprise_1", "surprise_2", "surprise_3", "timings"},
    "pool": {"parity", "pool", "search", "best_curves", "pulls", "coverage", "pit", "surprise_1", "surprise_2",
             "surprise_3", "timings"},
    "cube": {"slice_1", "slice_2", "slice_3", "slice_4", "search", "best_curves", "pulls", "coverage", "pit",
             "surprise_1", "surprise_2", "surprise_3", "timings"},
    "line": {"map", "learning", "pulls", "coverage", "pit", "surprise_1", "surprise_2", "surprise_3", "timings"},
}  # fmt: skip


class Tags(HTMLParser):
    """Collects attributes, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def findings_of(campaign, repeats=1):
    return analyse(
        campaign.history, agent_factory=campaign.factory, experiment=campaign.experiment, repeats=repeats, seed=1
    )


def bare(findings, **parts):
    """Only what a test looks at: every figure takes its time."""
    nothing = {
        "reference": None,
        "calibration": None,
        "learning": None,
        "search": None,
        "surprises": (),
        "best_curves": (),
    }
    return replace(findings, **{**nothing, **parts})


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def written(request, tmp_path_factory):
    campaign = request.getfixturevalue(f"{request.param}_campaign")
    found = findings_of(campaign)
    path = write_report(found, campaign.history, tmp_path_factory.mktemp(request.param) / "report")
    return request.param, found, path


def test_every_figure_is_there_and_shows_something(written):
    kind, _, path = written
    assert {p.stem for p in path.parent.glob("*.png")} == EXPECTED[kind]
    for png in path.parent.glob("*.png"):
        pixels = imread(png)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique((pixels.reshape(-1, 3)[::7] * 31).astype(int), axis=0)) > 5


def test_one_file_is_enough(written):
    _, _, path = written
    text = path.read_text(encoding="utf-8")
    tags = Tags(text)
    assert tags.open == []
    embedded = [value for tag, name, value in tags.attributes if (tag, name) == ("img", "src")]
    assert len(embedded) == len(list(path.parent.glob("*.png")))
    for uri, png in zip(embedded, [path.parent / f"{n}.png" for n in _order(text)], strict=True):
        assert base64.b64decode(uri.removeprefix("data:image/png;base64,")) == png.read_bytes()
    for _, name, value in tags.attributes:
        if name in ("src", "href", "action", "data"):
            assert value.startswith(("data:image/png;base64,", "#"))
    assert "<script" not in text
    assert not re.search(r"@import|url\(", text)
    targets = {value for _, name, value in tags.attributes if name == "id"}
    assert {value[1:] for _, name, value in tags.attributes if name == "href"} <= targets


def _order(text):
    return re.findall(r'<figure[^>]* id="([^"]+)"', text)


def test_words_of_a_campaign_are_text_and_not_markup(written):
    _, _, path = written
    text = path.read_text(encoding="utf-8")
    assert "annealing &lt;demo&gt;" in text
    assert "annealing <demo>" not in text
    assert "Invented Data &lt;1&gt;" in text
    assert "A map &amp; its boundary." in text


def test_sections_and_provenance(written):
    kind, found, path = written
    text = path.read_text(encoding="utf-8")
    for words in ("Summary", "Calibration of the predictions", "Most surprising curves", "All points", "Timings",
                  "Provenance", "9f2b77c0", "beamloop 0.1.0, torch 2.13.0", "CC-BY-4.0", "prefers-color-scheme: dark",
                  'name="viewport"'):  # fmt: skip
        assert words in text, words
    assert ("Learning curve" in text) == (kind in ("map", "series", "line"))
    assert ("The search" in text) == (kind in ("pool", "cube"))
    assert len(re.findall(r'<tr class="(?:measured|rejected|failed|in flight)', text)) == len(found.points)
    assert "Left out" not in text
    assert "is missing" not in text


def test_the_table_is_well_formed_and_complete(map_campaign, tmp_path):
    path = write_report(bare(findings_of(map_campaign, 0)), map_campaign.history, tmp_path)
    table = re.search(r"<table>.*?</table>", path.read_text(encoding="utf-8"), re.S)
    root = ElementTree.fromstring(table.group(0))  # noqa: S314  (our own output)
    widths = {len(line) for line in root.iter("tr")}
    assert len(widths) == 1
    lines = ["|".join("".join(cell.itertext()) for cell in line) for line in root.iter("tr")]
    assert lines[0].startswith(
        "#|temperature (°C)|composition|predicted invariant (1/cm)|measured invariant (1/cm)|pull|truth"
    )
    assert lines[18].endswith("rejected|83 % of the pixels are saturated, 5 % allowed; 2 attempts")


def test_a_campaign_without_points(line_campaign, tmp_path):
    empty = replace(line_campaign.history, steps=(), elapsed_s=0.0, started=0.0, stop_reason="")
    found = analyse(empty, agent_factory=line_campaign.factory, experiment=line_campaign.experiment)
    text = write_report(found, empty, tmp_path).read_text(encoding="utf-8")
    assert "Nothing was measured." in text
    assert "not finished" in text
    assert not list(tmp_path.glob("*.png"))


def test_rewriting_removes_figures_of_the_former_report(line_campaign, tmp_path):
    found = findings_of(line_campaign, 0)
    write_report(bare(found, surprises=found.surprises[:1]), line_campaign.history, tmp_path)
    assert (tmp_path / "surprise_1.png").exists()
    write_report(bare(found), line_campaign.history, tmp_path)
    assert not (tmp_path / "surprise_1.png").exists()


def test_curves_with_negative_points_and_unknown_errors_are_drawn(pool_campaign):
    found = findings_of(pool_campaign, 0)
    q = np.geomspace(0.01, 0.1, 20)
    hard = CurveData(q, np.where(np.arange(20) % 3, 1.0, -0.1), np.full(20, np.nan))
    best = tuple(replace(s, curve=hard) for s in found.best_curves)
    pictures, remarks = figures(bare(found, target=hard, best_curves=best))
    assert remarks == []
    assert "best_curves" in [p.name for p in pictures["search"]]


def test_a_flat_map_is_drawn(map_campaign):
    found = findings_of(map_campaign, 0)
    flat = np.zeros_like(found.reference.mean)
    pictures, remarks = figures(bare(found, reference=replace(found.reference, mean=flat, sd=flat, truth=flat)))
    assert remarks == []
    assert len(pictures["map"]) == 4


def test_one_broken_figure_costs_that_figure_alone(map_campaign):
    found = findings_of(map_campaign, 0)
    broken = bare(found, reference=replace(found.reference, mean=np.zeros(3)), calibration=found.calibration)
    pictures, remarks = figures(broken)
    assert pictures["map"] == []
    assert len(pictures["calibration"]) == 3
    assert len(remarks) == 1


def test_the_same_findings_give_the_same_bytes_and_leave_no_trace(line_campaign):
    found = findings_of(line_campaign, 0)
    found = bare(found, reference=found.reference, surprises=found.surprises[:1])
    before = dict(mpl.rcParams)
    first, second = figures(found)[0], figures(found)[0]
    assert [p.png for part in first.values() for p in part] == [p.png for part in second.values() for p in part]
    assert dict(mpl.rcParams) == before


def test_reactions_are_told(map_campaign, tmp_path):
    steps = list(map_campaign.history.steps)
    cause = Cause(steps[20].suggestion.id, "look_around")
    steps[23] = replace(steps[23], suggestion=replace(steps[23].suggestion, origin=Origin.REACTION, cause=cause))
    again = replace(steps[24].suggestion, origin=Origin.REACTION, cause=replace(cause, reaction="<b>"), exposure_s=4.0)
    steps[24] = replace(steps[24], suggestion=again)
    alarm = Alert(cause.suggestion_id, "look_around", "invariant", 0.91, 0.02, "above", 0.8, 3)
    alerts = (alarm, replace(alarm, reaction="<b>", follow_ups=1), replace(alarm, reaction="note", follow_ups=0))
    history = replace(map_campaign.history, steps=tuple(steps), alerts=alerts)
    found = findings_of(replace(map_campaign, history=history), repeats=0)
    assert [alert.iteration for alert in found.alerts] == [20, 20, 20]
    assert [alert.followed for alert in found.alerts] == [(23,), (24,), ()]
    assert [alert.asked for alert in found.alerts] == [3, 1, 0]
    assert found.alerts[0].unit == "1/cm"
    assert [found.points[k].follows for k in (22, 23, 24)] == [None, 20, 20]
    assert "1 point raised an alert; reactions asked for 4 points, 2 of which were taken." in [
        verdict.text for verdict in found.verdicts
    ]
    page = write_report(bare(found, reference=found.reference), history, tmp_path).read_text()
    Tags(page)
    assert '<a href="#alerts">' in page
    assert "0.910 ± 0.020 1/cm" in page
    assert "23; 2 not taken" in page
    assert "follows point 20 (look around)" in page
    assert "follows point 20 (&lt;b&gt;); exposed 4.0 s" in page
    assert "diamonds follow from a reaction" in page


def test_a_campaign_without_reactions_has_no_word_of_them(written):
    assert "alerts" not in written[2].read_text().partition("<section")[2]
    assert "diamonds" not in written[2].read_text()
