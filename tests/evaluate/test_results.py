"""A report as a table for other tools."""

import json

import numpy as np
import pytest
from tests_support import made_up_report

from augmentgan.errors import ExtraError
from augmentgan.evaluate.results import BenchmarkReport, BenchmarkRow, Verdict, images_a_class
from augmentgan.evaluate.scores import METRICS, score


@pytest.fixture
def report():
    rows = [
        BenchmarkRow(arm, 20, repeat, 0.9, 0.8 + repeat / 100, 0.8, 0.5, 0.1, [0.8, None], [1], {"share": 0.5}, 1.5)
        for arm in ("real", "real+classic")
        for repeat in range(2)
    ]
    return BenchmarkReport({}, rows, [], Verdict("", "no evidence", "real+classic", "real"))


def test_the_rows_are_a_table_of_pandas(report):
    pytest.importorskip("pandas")
    table = report.to_frame()
    assert table.groupby("arm")["balanced_accuracy"].mean().round(6).to_dict() == {"real": 0.805, "real+classic": 0.805}
    assert table["repeat"].tolist() == [0, 1, 0, 1]


def test_without_pandas_it_says_what_to_install(report, monkeypatch):
    monkeypatch.setattr("augmentgan.extras.find_spec", lambda name: None)
    with pytest.raises(ExtraError, match=r"augmentgan\[pandas\]"):
        report.to_frame()


def test_a_score_has_every_metric_and_classes_without_test_images_do_not_count():
    labels = np.array([0, 0, 0, 1])
    found = score(np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.02, 0.96, 0.02], [0.3, 0.7, 0]]), labels)
    assert set(found) == {*METRICS, "recall_per_class"}
    assert found["recall_per_class"] == pytest.approx([2 / 3, 1, None])
    assert found["balanced_accuracy"] == pytest.approx(5 / 6)
    assert found["worst_recall"] == pytest.approx(2 / 3)
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)  # 2 TP / (2 TP + FP + FN): 4 / 5 and 2 / 3
    # four confidences in as many bins, the third of them wrong
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.96 + 0.3) / 4)


@pytest.mark.parametrize(("counts", "said"), [([20, 20], "20"), ([3, 11, 0, 6], "3 to 11")])
def test_images_a_class_of_an_uneven_set(counts, said):
    protocol = {"sizes": {"train_per_class": [50, 6], "counts": [[50], counts]}}
    assert images_a_class(protocol, 6) == said


def test_a_report_comes_back_from_its_document():
    report = made_up_report(["real", "real+classic", "real+classic+synthetic"], (20, 50), imbalanced=True)
    assert BenchmarkReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert report.at(50).train_per_class == [50]
    assert {each.train_per_class for each in report.at(50).comparisons} == {50}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda document: document.pop("verdict"), "verdict"),
        (lambda document: document["runs"][0].update(ece="low"), "ece"),
        (lambda document: document["runs"].pop(), "fewer than two repeats"),
        (lambda document: document["protocol"].update(arms=[]), "no arms"),
        (lambda document: document["protocol"].update(arms="real"), "no arms"),
        (lambda document: document["verdict"].update(arm="real+mixup"), "arms that were not run"),
        (lambda document: document["class_names"].pop(), "not equally many"),
    ],
)
def test_another_document_is_no_report(spoil, said):
    document = made_up_report(["real", "real+synthetic"]).to_json()
    spoil(document)
    with pytest.raises(ValueError, match=said):
        BenchmarkReport.from_json(document)
