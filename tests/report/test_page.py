"""The page: one file, the verdict first, nothing from a network."""

import re
import shutil
from html.parser import HTMLParser

import pytest

import augmentgan as ag
from augmentgan.errors import OutputError


class Links(HTMLParser):
    """Everything a browser would fetch, and the text people read."""

    def __init__(self):
        super().__init__()
        self.fetched, self.text, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset", "data") and value]

    def handle_data(self, data):
        self.text.append(data)


def parsed(path):
    page = Links()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "run <b>bold</b>"
    shutil.copytree(trained.folder, folder)
    run = ag.Run(folder, "cpu")
    return run, ag.run_benchmark(run)


def test_the_page_of_a_measured_run(measured):
    run, report = measured
    page = parsed(ag.write_report(run))
    text = " ".join(" ".join(page.text).split())
    assert report.verdict.text in text
    assert text.index(report.verdict.text) < text.index("real+classic+synthetic")
    assert all(link.startswith(("data:", "#")) for link in page.fetched)
    assert (
        sum(link.startswith("data:image/png") for link in page.fetched) >= 2
    )  # the sheet, and the nearest real images
    assert page.tags.count("svg") >= 3
    assert "script" not in page.tags
    for arm in report.protocol["arms"]:
        assert arm in text
    mean = 100 * report.summary()["real"][0]
    assert f"{mean:.1f}" in text
    assert "augmentgan benchmark --run" in text


def test_names_are_text_and_not_markup(measured):
    run, _ = measured
    html = ag.write_report(run).read_text(encoding="utf-8")
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold" in html
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", html)


def test_a_run_without_a_benchmark_has_a_page_too(trained, tmp_path):
    page = parsed(ag.write_report(trained, tmp_path / "page.html"))
    assert "augmentgan benchmark" in " ".join(page.text)


def test_a_named_page_is_not_replaced_unasked(trained, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        ag.write_report(trained, path, overwrite=False)
    assert path.read_text() == "mine"
