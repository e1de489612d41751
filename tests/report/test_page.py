"""The page: one file, the verdict first, nothing from a network."""

import base64
import io
import itertools
import json
import os
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from tests_support import renumber

import augmentgan as ag
from augmentgan.data.sheet import draw_sheet
from augmentgan.errors import OutputError, RunError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.results import BenchmarkReport
from augmentgan.report.model_card import model_card
from augmentgan.report.plots import plot_arms

FIGURES = ["balanced_accuracy", "accuracy", "macro_f1", "worst_recall", "ece"]


class Links(HTMLParser):
    """Everything a browser would fetch, the text people read, and the cells of tables, row by row."""

    def __init__(self):
        super().__init__()
        self.fetched, self.text, self.tags, self.tables = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset", "data") and value]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        self.text.append(data)
        opened = next((tag for tag in reversed(self.tags) if tag.strip("/") in ("th", "td")), "/")
        if not opened.startswith("/"):
            self.tables[-1][-1][-1] += data.replace("\xa0", " ")


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


def test_the_recipe_on_the_page_is_one_that_can_be_used(measured, tmp_path):
    run, _ = measured
    text = ag.write_report(run).read_text(encoding="utf-8")
    (recipe,) = re.findall(r"<summary>Recipe.*?<pre>(.*?)</pre>", text, re.DOTALL)
    (tmp_path / "again.toml").write_text(unescape(recipe), encoding="utf-8")
    again = ag.load_recipe(tmp_path / "again.toml").model_dump(exclude={"name", "description"})
    assert again == run.recipe.model_dump(exclude={"name", "description"})
    assert f"# seed {run.info['seed']}\n" in recipe


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
    assert "augmentgan benchmark --run" in text


def test_the_tables_of_a_measured_run(measured):
    run, report = measured
    figures, differences, classes = parsed(ag.write_report(run)).tables
    assert figures == figures_of(report, report.train_per_class[0])
    title = ["balanced accuracy", "over real (95 %)", "over real+classic (95 %)"]
    over = dict.fromkeys(report.protocol["arms"], ("real", "real+classic"))
    assert differences == [title, *differences_of(report, report.train_per_class[0], "balanced_accuracy", over)]
    counts = zip(run.class_names, map(str, run.train.counts), map(str, run.test.counts), strict=True)
    assert classes == [["class", "training images", "test images"], *map(list, counts)]


def figures_of(report, size):
    """The rows of the table of arms, from the benchmark's own rows."""
    table = [["trained on", *(f"{name.replace('_', ' ')}, %" for name in FIGURES)]]
    for arm in report.protocol["arms"]:
        runs = [row for row in report.runs if (row.arm, row.train_per_class) == (arm, size)]
        values = [[100 * getattr(row, name) for row in runs] for name in FIGURES]
        table.append([arm, *(f"{np.mean(each):.1f} \u00b1 {np.std(each, ddof=1):.1f}" for each in values)])
    return table


def differences_of(report, size, metric, over):
    """The rows of a table of differences, every arm over those that `over` names for it."""
    table = []
    for arm, baselines in over.items():
        cells = []
        for baseline in baselines:
            pair = (arm, baseline, size, metric)
            found = [e for e in report.comparisons if (e.arm, e.baseline, e.train_per_class, e.metric) == pair]
            points = [100 * value for e in found for value in (e.mean_difference, *e.ci95)]
            cells.append("{:+.1f} ({:+.1f} to {:+.1f})".format(*points) if found else "")
        if any(cells):
            table.append([arm, *cells])
    return table


def test_the_page_shows_the_nearest_real_image_below_each_sample(trained, tmp_path, monkeypatch):
    """Of all classes: the samples are digits under others' labels."""
    every, train = ag.digits(), trained.train
    known = {image.tobytes() for image in trained.data.images}
    fresh = every.subset([image.tobytes() not in known for image in every.images])

    def generate(per_class, classes=None):
        labels = [trained.class_names.index(name) for name in classes or trained.class_names]
        images = [fresh.images[fresh.labels == (label + 1) % 10][:per_class] for label in labels]
        return ag.LabelledImages(np.concatenate(images), np.repeat(labels, per_class), trained.class_names)

    run = ag.Run(trained.folder, "cpu")
    monkeypatch.setattr(run, "generate", generate)
    html = ag.write_report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    (picture,) = re.findall(
        r'<img [^>]*src="data:image/png;base64,([^"]*)" alt="Pairs of rows: samples, and below', html
    )
    rows = []
    for label in range(10):
        samples = generate(8, [trained.class_names[label]]).images
        squares = ((samples[:, None].astype(int) - train.images.astype(int)) ** 2).sum(axis=(2, 3, 4))
        assert (train.labels[squares.argmin(axis=1)] != label).any()
        rows += [samples, train.images[squares.argmin(axis=1)]]
    names = itertools.chain.from_iterable((name, "nearest real") for name in trained.class_names)
    with Image.open(io.BytesIO(base64.b64decode(picture))) as shown:
        np.testing.assert_array_equal(shown, draw_sheet(rows, list(names)))


def test_the_tables_of_a_benchmark_from_scratch(from_scratch):
    """A column more: over the arm that draws classes as evenly, without samples."""
    folder, report = from_scratch
    tables = parsed(ag.write_report(folder)).tables
    rivals = {arm: Arm(arm).without_synthetic(imbalanced=True) for arm in report.protocol["arms"]}
    assert rivals["real+fill"].name == "real+oversampling"
    over = {arm: (rival.name if rival else "", "real", "real+classic") for arm, rival in rivals.items()}
    columns = [f"over {of} (95 %)" for of in ("the same without samples", "real", "real+classic")]
    expected = []
    for size in (4, 8):
        expected.append(figures_of(report, size))
        for metric in ("balanced_accuracy", "minority_recall"):
            if rows := differences_of(report, size, metric, over):
                expected.append([[metric.replace("_", " "), *columns], *rows])
    assert tables[:-1] == expected
    run = ag.Run(folder / "fits" / "4-r0", "cpu")
    counts = zip(run.class_names, map(str, run.train.counts), strict=True)
    assert tables[-1] == [["class", "training images"], *map(list, counts)]


@pytest.fixture(scope="module")
def from_scratch(digits, small_recipe, tmp_path_factory):
    """The folder of a benchmark of two sizes."""
    folder = tmp_path_factory.mktemp("scratch") / "bench"
    report = ag.run_benchmark(
        digits, recipe=quick(small_recipe), out=folder, train_per_class=[4, 8], device="cpu", imbalance="2:1"
    )
    return folder, report


def quick(recipe):
    return recipe.with_settings(["benchmark.tune=false", "training.updates=10", "coverage.weight=0"])


def test_the_page_of_a_benchmark_from_scratch(from_scratch):
    folder, report = from_scratch
    page = parsed(ag.write_report(folder))
    text = " ".join(" ".join(page.text).split())
    assert report.verdict.text in text
    assert text.index(report.verdict.text) < text.index("Learning curve") < text.index("Samples above their nearest")
    assert re.search("classic ?: classical augmentation", text)
    assert "4 real training images a class" in text
    assert "8 real training images a class" in text
    assert "redrawn for every repeat" in text
    assert "4 generators" in text
    assert f"made from Python: ag.run_benchmark(data, out={str(folder)!r}, ...)" in text
    assert "augmentgan benchmark --run" not in text  # its first generator has no test images
    assert page.tags.count("svg") == 1 + 2 * 2 + 1  # curve, arms and recalls by size, training
    assert all(link.startswith(("data:", "#")) for link in page.fetched)


def test_the_generator_shown_is_one_of_those_measured(from_scratch, digits, small_recipe, tmp_path):
    """The folder keeps the generators of sizes that a later command left out."""
    shutil.copytree(from_scratch[0], tmp_path / "b")
    assert ", 4-r0." in said(tmp_path / "b")
    ag.run_benchmark(
        digits,
        recipe=quick(small_recipe),
        out=tmp_path / "b",
        train_per_class=[8],
        device="cpu",
        imbalance="2:1",
        arms=["real+synthetic"],
    )
    text = said(tmp_path / "b")
    assert "first of the benchmark's 2 generators, 8-r0." in text


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("width_px", [400, 1000])
def test_a_browser_shows_the_page(from_scratch, tmp_path, width_px):
    """Chromium lays it out, on a phone and on a desk: text is there, pictures are loaded, nothing is cut off at the side."""
    folder, _ = from_scratch
    html = ag.write_report(folder, tmp_path / "page.html").read_text(encoding="utf-8")
    probe = """<script>addEventListener("load", () => {
      const box = document.createElement("pre"); box.id = "probe";
      box.textContent = JSON.stringify({
        loaded: [...document.images].map(each => each.complete && each.naturalWidth > 0),
        drawn: [...document.querySelectorAll("svg")].map(each => each.getBoundingClientRect().height > 50),
        right: Math.max(...[...document.querySelectorAll("svg, img")].map(each => each.getBoundingClientRect().right)),
        width: document.documentElement.scrollWidth, window: innerWidth,
        verdict: document.querySelector(".verdict").getBoundingClientRect().top,
      }); document.body.append(box); });</script>"""
    (tmp_path / "page.html").write_text(html.replace("</body>", probe + "</body>"), encoding="utf-8")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]

    def browse(*words):
        command = [CHROMIUM, *quiet, f"--window-size={width_px},1600", *words, (tmp_path / "page.html").as_uri()]
        environment = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment).stdout

    seen = json.loads(unescape(re.search(r'id="probe">(.*?)</pre>', browse("--dump-dom"))[1]))
    assert seen["loaded"]
    assert all(seen["loaded"])
    assert all(seen["drawn"])
    assert seen["width"] <= seen["window"]
    assert seen["right"] <= seen["window"]  # no picture has to be scrolled to
    assert seen["verdict"] < 200
    browse(f"--screenshot={tmp_path / 'shot.png'}")
    levels = np.asarray(Image.open(tmp_path / "shot.png").convert("L"))
    assert (levels < 100).mean() > 0.005  # ink
    assert (levels > 250).mean() > 0.5  # on paper


def test_the_page_says_how_samples_entered_each_size(from_scratch, tmp_path):
    shutil.copytree(from_scratch[0], tmp_path / "b")
    file = tmp_path / "b" / "benchmark.json"
    document = json.loads(file.read_text())
    assert "Arms with synthetic images: at most 50 % of a batch is synthetic, for the first 50 %" in said(
        tmp_path / "b"
    )
    assert "Classical augmentation: for the first 50 % of the steps, then images as they are." in said(tmp_path / "b")
    sizes = document["protocol"]["by_size"]
    assert [each["train_per_class"] for each in sizes] == [4, 8]
    sizes[1]["mixing"] = {**sizes[0]["mixing"], "share": 0.8, "until": 1.0}
    file.write_text(json.dumps(document))
    text = said(tmp_path / "b")
    assert "4 real ones a class: at most 50 % of a batch is synthetic, for the first 50 %" in text
    assert "8 real ones a class: at most 80 % of a batch is synthetic, to the end." in text


def said(folder):
    return " ".join(" ".join(parsed(ag.write_report(folder, overwrite=True)).text).split())


def test_a_folder_that_is_neither(tmp_path):
    with pytest.raises(RunError, match="holds no run and no benchmark"):
        ag.write_report(tmp_path)


def test_names_are_text_and_not_markup(measured):
    run, _ = measured
    html = ag.write_report(run).read_text(encoding="utf-8")
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold" in html
    assert not re.search(r"https?://(?!www\.w3\.org|purl\.org|creativecommons\.org|matplotlib\.org)", html)


def test_a_run_without_a_benchmark_has_a_page_too(trained, tmp_path):
    page = parsed(ag.write_report(trained, tmp_path / "page.html"))
    assert "augmentgan benchmark" in " ".join(page.text)
    of_the_folder = ag.write_report(str(trained.folder), tmp_path / "same.html")
    assert of_the_folder.read_bytes() == (tmp_path / "page.html").read_bytes()


def test_a_named_page_is_not_replaced_unasked(trained, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        ag.write_report(trained, path, overwrite=False)
    assert path.read_text() == "mine"


def test_a_benchmark_of_an_earlier_state_is_said_to_be_one(measured, tmp_path):
    run, _ = measured
    shutil.copytree(run.folder, tmp_path / "run")
    ag.evaluate_run(ag.Run(tmp_path / "run", "cpu"), per_class=10)
    again = ag.Run(tmp_path / "run", "cpu")
    assert "of an earlier state" not in ag.write_report(again).read_text()
    assert "left out" not in model_card(again)
    renumber(tmp_path / "run", updates=60)  # it learns on
    again = ag.Run(tmp_path / "run", "cpu")
    assert "of an earlier state" in ag.write_report(again).read_text()
    assert model_card(again).count("left out") == 2


def test_samples_and_figures_are_of_the_chosen_generator(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "run")
    renumber(tmp_path / "run", chosen_updates=20)
    with (tmp_path / "run" / "events.jsonl").open("a") as events:
        events.write('{"updates": 20, "rollback": "trouble"}\n')  # such a line is no look
    run = ag.Run(tmp_path / "run", "cpu")
    looks = {event["updates"]: event["div"] for event in run.events() if "div" in event}
    assert set(looks) == {20, 40}
    text = ag.write_report(run).read_text()
    assert "samples come from the look at update 20: at later ones the least varied class had fallen behind" in text
    assert f"Diversity {looks[20]:.2f}" in text
    assert "40 updates, generator of update 20" in model_card(run)
    assert run.provenance()["command"].endswith("(40 updates, generator of update 20)")


def test_a_run_stopped_between_two_looks_has_not_fallen_behind(trained, tmp_path):
    """The look of the stop was not asked, and what was logged after the checkpoint is lost."""
    shutil.copytree(trained.folder, tmp_path / "run")
    renumber(tmp_path / "run", chosen_updates=20, updates=30)
    file = tmp_path / "run" / "events.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    quality = {key: value for key, value in events[-1].items() if key.startswith(("div", "near"))}
    file.write_text("".join(json.dumps({**quality, **event}) + "\n" for event in events))
    text = ag.write_report(ag.Run(tmp_path / "run", "cpu")).read_text()
    assert "samples come from the look at update 20, the last regular one." in text
    assert "fallen behind" not in text


def test_pictures_of_others_among_the_sheets_do_no_harm(trained, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(trained.folder, copied)
    shutil.copy(next((copied / "samples").glob("*.png")), copied / "samples" / "best.png")
    assert ag.write_report(ag.Run(copied, "cpu"), str(tmp_path / "page.html")).exists()
    with pytest.raises(OutputError, match="exists already"):
        ag.write_report(ag.Run(copied, "cpu"), tmp_path / "page.html")


def test_the_picture_shows_the_verdicts_baseline(from_scratch):
    """Of an uneven set, an even draw of classes is no gain of the samples."""
    report = BenchmarkReport.from_json(json.loads((from_scratch[0] / "benchmark.json").read_text()))
    baseline = report.verdict.baseline
    assert baseline == "real+oversampling+classic"
    here = report.at(report.train_per_class[0])
    assert f"points over {baseline}" in plot_arms(here).axes[1].get_xlabel()
