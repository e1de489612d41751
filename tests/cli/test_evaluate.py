"""What `evaluate` says of figures that are given to it."""

import re

import pytest
from typer.testing import CliRunner

from augmentgan.cli.app import app
from augmentgan.evaluate.evaluation import Evaluation

FEATURES = {
    "classifier": "small-cnn trained on the run's real training images",
    "pretrained": "EfficientNet-Lite0 trained on ImageNet",
    "inception": "Inception v3 (2015-12-05)",
}


def figures(**others):
    """Figures that are all different."""
    names = others.pop("class_names", [f"{label}" for label in range(10)])
    n = len(names)
    return Evaluation(
        **{
            "frechet_distance": 12.3456,
            "kernel_distance": 0.04321,
            "precision": 0.91,
            "recall": 0.82,
            "density": 0.73,
            "coverage": 0.64,
            "features": FEATURES["classifier"],
            "diversity_per_class": [0.5 + label / 100 for label in range(n)],
            "near_per_class": [1 + label / 100 for label in range(n)],
            "memorised_fraction": 0.0123,
            "memorised_threshold": 0.4,
            "memorised_threshold_per_class": [0.4] * n,
            "label_agreement": 0.876,
            "label_agreement_per_class": [0.765 + label / 1000 for label in range(n)],
            "synthetic_only_accuracy": 0.654,
            "real_only_accuracy": 0.789,
            "n_samples": 120,
            "n_samples_learned": 200,
            "class_names": names,
            **others,
        }
    )


@pytest.fixture
def evaluated(trained, monkeypatch):
    """The lines that the command says of figures; they are on the features that it asks for."""

    def lines(features="classifier", **others):
        def evaluate_run(run, *, features, **options):
            return figures(features=FEATURES[features], **others)

        monkeypatch.setattr("augmentgan.evaluate.evaluation.evaluate_run", evaluate_run)
        words = ["evaluate", "--run", str(trained.folder), "--features", features, "--device", "cpu", "--quiet"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout.splitlines()

    return lines


@pytest.mark.parametrize("features", FEATURES)
def test_distances_are_called_fid_and_kid_on_inception_alone(evaluated, features):
    said = evaluated(features)
    assert said[0] == f"120 samples against the training images; features: {FEATURES[features]}"
    names = ["FID", "KID"] if features == "inception" else ["frechet distance", "kernel distance"]
    assert said[1:3] == [f"{names[0]:18} 12.346   (0: alike)", f"{names[1]:18} 0.0432   (0: alike)"]
    assert re.findall("fid|kid", "\n".join(said), re.IGNORECASE) == (names if features == "inception" else [])


def test_every_figure_stands_by_its_name(evaluated):
    said = evaluated()
    for line in (
        "precision, recall  0.91, 0.82   ",
        "density, coverage  0.73, 0.64   ",
        "label agreement    87.6 %   ",
        "near copies        1.2 %   (1 % is what held-out real images give)",
        "accuracy           65.4 % trained on 200 samples alone, 78.9 % on the real images ",
    ):
        assert len([each for each in said if each.startswith(line)]) == 1, line
    table = [line.split("   (")[0].split() for line in said[8:-1]]
    assert table[0] == ["class", "div", "near", "label", "agreement"]
    assert table[1:] == [
        [f"{label}", f"{0.5 + label / 100:.2f}", f"{1 + label / 100:.2f}", f"{76.5 + label / 10:.1f}", "%"]
        for label in range(10)
    ]


def test_what_cannot_be_told_is_not_made_up(evaluated):
    said = evaluated(
        memorised_fraction=None,
        synthetic_only_accuracy=None,
        real_only_accuracy=None,
        diversity_per_class=[None, *[0.5] * 9],
        near_per_class=[None, *[1.0] * 9],
    )
    text = "\n".join(said)
    assert "near copies        unknown   (10 held-out test images are needed to tell)\n" in text
    assert "accuracy           unknown trained on 200 samples alone, unknown on the real images" in text
    assert ["0", "?", "?", "76.5", "%"] in [line.split() for line in said]


def test_of_many_classes_the_least_varied_are_shown(evaluated):
    for other in (1.0, None):  # varied more, or of one image, from which nothing can be told
        varied = [other if label % 5 == 2 else 0.5 for label in range(25)]
        said = evaluated(class_names=[f"class {label}" for label in range(25)], diversity_per_class=varied)
        shown = [int(line.split()[1]) for line in said if line.startswith("class ") and line.split()[1].isdecimal()]
        assert shown == [label for label in range(25) if label % 5 != 2]
    assert "the 20 least varied of 25 classes; --json has all" in said
