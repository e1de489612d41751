"""What `generate` may be asked of samples, as a user of the library asks it."""

import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import augmentgan as ag
from augmentgan.cli.app import app
from augmentgan.evaluate.copies import CopyJudge
from augmentgan.gan.sampling import SampleBatch


@pytest.fixture(scope="module")
def quick(trained):
    run = ag.Run(trained.folder, "cpu")
    section = run.recipe.benchmark.model_copy(update={"steps": 40})
    run.recipe = run.recipe.model_copy(update={"benchmark": section})
    return run


def test_nothing_asked_is_nothing_refused_and_nothing_said(quick):
    chosen = ag.select_samples(quick)
    assert (chosen.refuses, chosen.judges) == (None, ())


def test_what_is_asked_is_refused_and_said(quick, tmp_path):
    chosen = ag.select_samples(quick, no_copies=True, filter="strong", policy="soft-labels")
    ag.write_samples(quick, quick.counts(6), tmp_path / "s.h5", refuses=chosen.refuses, judges=chosen.judges)
    with h5py.File(tmp_path / "s.h5") as file:
        images, labels, scores, soft, weight = (
            file[name][:] for name in ("images", "labels", "score", "soft_labels", "weight")
        )
    assert np.bincount(labels).tolist() == [6] * len(quick.class_names)
    assert not chosen.refuses.judge(images, labels).any()
    assert not chosen.copies.copies(images, labels).any()
    assert np.isfinite(scores).all()
    assert soft[np.arange(len(labels)), labels] == pytest.approx(weight)
    # half of a class's samples are refused as "strong", so some of the first numbers are missing
    plain = quick.generate(6)
    assert chosen.refuses.judge(plain.images, plain.labels).any()


@pytest.mark.parametrize(
    ("wish", "told"), [({"filter": "extreme"}, "--filter 'extreme'"), ({"policy": "best"}, "--policy 'best'")]
)
def test_unknown_words_are_told(quick, wish, told):
    with pytest.raises(ag.AugmentGANError, match=f"{told} is not known; use "):
        ag.select_samples(quick, **wish)


def test_copies_cannot_be_told_with_too_few_held_out_images(quick):
    few = ag.Run(quick.folder, "cpu")
    held_out = np.flatnonzero(few.data.split == 1)
    few.data = few.data.subset(np.setdiff1d(np.arange(len(few.data)), held_out[9:]))
    with pytest.raises(ag.AugmentGANError, match="fewer than 10 test images"):
        ag.select_samples(few, no_copies=True)


@pytest.fixture
def half_copies(trained, monkeypatch):
    """The run, its even samples training images but for a little noise, its odd ones digits that it has never seen."""
    every, train = ag.digits(), trained.train
    known = {image.tobytes() for image in trained.data.images}
    fresh = every.subset([image.tobytes() not in known for image in every.images])

    def sample(label, number):
        source = fresh if number % 2 else train
        own = source.images[source.labels == label]
        noise = np.random.default_rng([label, number]).integers(-2, 3, own.shape[1:])
        return (own[number // 2 % len(own)] + (number % 2 == 0) * noise).clip(0, 255).astype(np.uint8)

    def sample_rows(generator, labels, numbers, seed):
        return SampleBatch(np.stack([*map(sample, labels.tolist(), numbers.tolist())]), labels, numbers)

    monkeypatch.setattr("augmentgan.gan.sampling.sample_rows", sample_rows)
    return trained


def test_copies_are_refused_and_no_others(half_copies, tmp_path):
    chosen = ag.select_samples(half_copies, no_copies=True)
    ag.write_samples(half_copies, half_copies.counts(20), tmp_path / "s.h5", refuses=chosen.refuses)
    with h5py.File(tmp_path / "s.h5") as file:
        numbers, labels = file["sample_index"][:], file["labels"][:]
    assert np.bincount(labels).tolist() == [20] * 10
    assert (numbers % 2 == 1).all()
    assert len(numbers) > 0.9 * (sum(numbers[labels == label].max() + 1 for label in range(10)) // 2)  # of the odd ones


@pytest.fixture
def generate(half_copies, tmp_path):
    """What `generate` says: on stdout, 20 samples a class."""

    def said(*words):
        where = ["--run", str(half_copies.folder), "--out", str(tmp_path / "s.h5"), "--device", "cpu"]
        done = CliRunner().invoke(app, ["generate", "--per-class", "20", "--overwrite", "--quiet", *where, *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    return said


def test_the_share_of_copies_is_told(generate):
    share = json.loads(generate("--json"))["near_copies"]
    assert share == pytest.approx(0.5, abs=0.05)  # of real images that nobody saw one in a hundred counts as one
    hint = "(1 % is what held-out real images give); --no-copies leaves them out"
    assert f"near copies of training images: {100 * share:.1f} % {hint}\n" in generate()
    assert json.loads(generate("--json", "--no-copies"))["near_copies"] == 0
    assert "near copies of training images: 0.0 % (1 % is what held-out real images give)\n" in generate("--no-copies")


def test_the_share_of_copies_is_among_those_that_can_be_judged(generate, monkeypatch):
    class Half(CopyJudge):
        def __init__(self, train, test):
            super().__init__(train, test)
            self.thresholds[:5] = np.nan

    monkeypatch.setattr("augmentgan.evaluate.selection.CopyJudge", Half)
    assert json.loads(generate("--json"))["near_copies"] == pytest.approx(0.5, abs=0.1)
