"""What the page says of a benchmark, from its document alone."""

import json

import pytest
from tests_support import made_up_report

from augmentgan.cli.benchmark import show
from augmentgan.evaluate.arms import ARMS, IMBALANCED_ARMS
from augmentgan.report.benchmark_content import OVER_OWN, benchmark_content, difference_columns, equivalent_lines
from augmentgan.report.documents import read_benchmark


def content_of(report, folder):
    (folder / "benchmark.json").write_text(json.dumps(report.to_json()))
    return benchmark_content(read_benchmark(folder), from_scratch=True)


def test_samples_of_uneven_sets_are_shown_over_the_same_arm_without_them(tmp_path):
    report = made_up_report(IMBALANCED_ARMS, imbalanced=True)
    content = content_of(report, tmp_path)
    assert content["columns"] == [OVER_OWN, "over real", "over real+classic"]
    (size,) = content["sizes"]
    assert [title for title, _ in size["differences"]] == ["balanced accuracy", "minority recall"]
    rows = {row["arm"]: row for row in size["rows"]}
    rivals = {"real+fill": "real+oversampling", "real+classic+synthetic": "real+oversampling+classic"}
    for arm, rival in rivals.items():
        wanted = f"{IMBALANCED_ARMS.index(arm) - IMBALANCED_ARMS.index(rival):+.1f} (-20.0 to +20.0)"
        assert (rows[arm]["over"][0], rows[arm]["minority"][0]) == (wanted, wanted)
        assert f"{rival} for {arm}" in content["who_is_who"] or f" and {arm}" in content["who_is_who"]
    assert rows["real+oversampling"]["over"][0] == rows["synthetic"]["over"][0] == ""


@pytest.mark.parametrize("arms", [ARMS, ("real", "real+classic")])
def test_even_sets_need_no_column_more(tmp_path, arms):
    """Their arms without samples are `real` and `real+classic`."""
    content = content_of(made_up_report(arms), tmp_path)
    assert content["columns"] == ["over real", "over real+classic"]
    assert content["who_is_who"] is None
    assert [title for title, _ in content["sizes"][0]["differences"]] == ["balanced accuracy"]


def test_a_rival_that_was_not_run_is_not_shown():
    protocol = {"arms": ["real", "real+synthetic"], "imbalanced": True}
    assert list(difference_columns(protocol)) == ["over real"]


def test_page_and_terminal_say_alike_what_the_samples_stand_for(tmp_path, capsys):
    report = made_up_report(ARMS[:4], (20, 50))
    (line,) = equivalent_lines(report)
    assert line.startswith("As if you had 10 more real images a class: real+classic+synthetic with 20 does as well as")
    assert "with 30 (beyond the sizes measured to 40 for the ends" in line
    assert content_of(report, tmp_path)["equivalents"] == [line]
    show(report)
    assert line in capsys.readouterr().out
