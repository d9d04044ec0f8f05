"""The report of a run: complete, offline, escaped, with the numbers that are true; and written whatever fails."""

import base64
import csv
import io
import json
import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image as pil

from legato import reports
from legato.reports import writing
from legato.run import Run
from tests.reports.conftest import CPU
from tests.reports.fakes import Squares

ALWAYS = {"Results", "Learning curves", "Layers", "Data", "Task and recipe", "Time and memory", "Next", "Made with"}
SECTIONS = {
    "squares": ALWAYS | {"Worst errors", "Classes", "Calibration", "First batch", "First-layer filters"},
    "marks": ALWAYS | {"Worst errors", "Labels", "First batch", "First-layer filters"},
    "levels": ALWAYS | {"Worst errors", "Targets", "Predictions", "First batch", "First-layer filters"},
    "words": ALWAYS | {"Worst errors"},
}
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Tags in balance, headings, images, and everything that points elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.tags, self.headings = [], [], [], set(), []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.images += [found["src"]] if tag == "img" else []
        self.links += [found[key] for key in ("href", "srcset", "action", "data") if key in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_task_has_the_sections_that_apply_to_it_and_none_fails(made, name):
    page = Page(made(name).page)
    assert set(page.headings) == SECTIONS[name]
    assert "could not be made" not in made(name).page


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_needs_nothing_from_outside(made, name):
    page = Page(made(name).page)
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert all(link.startswith("#") for link in page.links)
    assert all(src.startswith("data:image/png;base64,") for src in page.images)
    assert not re.search(r"url\(|@import|https?:", made(name).page)


def test_pictures_of_the_page_are_the_files_in_the_folder(made):
    found = made("squares")
    inside = {base64.b64decode(src.partition(",")[2]) for src in Page(found.page).images}
    files = {file.read_bytes() for file in (found.run.folder / "pictures").iterdir()}
    assert inside == files
    for data in files:
        with pil.open(io.BytesIO(data)) as image:
            assert min(image.size) > 100


def test_names_are_escaped_everywhere(made):
    for name in SECTIONS:
        assert "<co>" not in made(name).page
        assert "<&>" not in made(name).page
        assert "<broken>" not in made(name).page
    assert "dark &lt;&amp;&gt; $left" in made("squares").page
    assert "&lt;ab&gt;" in made("words").page


def test_links_lead_to_sections(made):
    page = made("squares").page
    targets = set(re.findall(r'<section id="([^"]+)"', page))
    assert {link[1:] for link in Page(page).links} == targets


def test_metrics_csv_and_summary_json_say_what_the_run_says(made):
    found = made("squares")
    rows = csv.DictReader(io.StringIO((found.run.folder / "metrics.csv").read_text()))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == found.run.metrics()
    summary = json.loads((found.run.folder / "summary.json").read_text())
    assert summary["scores"]["test"] == found.evaluations["test"].scores
    assert summary["parameters"] == (9 + 1) * 4 + 2 * 4 + (144 + 1) * 3


def test_reports_leave_the_network_as_it_was(made):
    found = made("squares")
    net = found.run.network().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    reports.write(found.run, net, found.evaluations)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_the_same_run_gives_the_same_page(made):
    found = made("squares")
    assert reports.write(found.run, found.net, found.evaluations).read_text() == found.page


def test_a_section_that_fails_loses_no_other(made, monkeypatch):
    found = made("squares")

    def fails(trained):
        raise ValueError("no <such>\nthing")

    monkeypatch.setitem(writing.SECTIONS, "Layers", fails)
    page = reports.write(found.run, found.net, found.evaluations).read_text()
    assert set(Page(page).headings) == SECTIONS["squares"]
    assert "This section could not be made: ValueError: no &lt;such&gt; thing" in page


def test_a_run_that_has_only_begun_has_a_report(tmp_path):
    task = Squares("some/data").adapt()
    run = Run.begin(tmp_path / "run", task, task.recipe(), CPU)
    page = reports.write(run, task.build(), {}).read_text()
    without = {"Results", "Learning curves", "Time and memory", "Worst errors", "Classes", "Calibration"}
    assert set(Page(page).headings) == SECTIONS["squares"] - without
    assert (run.folder / "metrics.csv").exists()


def test_the_recipe_says_where_it_departs_from_what_is_recommended(tmp_path):
    task = Squares().adapt()
    run = Run.begin(tmp_path / "run", task, replace(task.recipe(), lr=0.5), CPU)
    page = reports.write(run, task.build(), {}).read_text()
    assert "<tr><td>lr</td><td>0.5</td><td>0.01</td></tr>" in page
    assert "<tr><td>momentum</td><td>0.9</td><td></td></tr>" in page


def test_commands_can_be_pasted_into_a_shell(made):
    found = made("squares")
    lines = unescape(re.search(r"<pre>(.*?)</pre>", found.page, re.DOTALL)[1]).splitlines()
    assert all(str(found.run.folder) in shlex.split(line) for line in lines)


def test_V8_tensorboard_reads_what_was_tracked(made):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = made("squares")
    for _ in range(2):  # the second time in place of the first
        reports.write(found.run, found.net, found.evaluations, track=True)
    assert len(list(found.run.folder.glob("events.out.tfevents.*"))) == 1
    events = EventAccumulator(str(found.run.folder))
    events.Reload()
    scalars = [(e.step, e.value) for e in events.Scalars("train/class")]
    assert scalars == [(line["step"], pytest.approx(line["train/class"])) for line in found.run.metrics()]
    assert "confusion" in events.Tags()["images"]
