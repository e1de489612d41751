"""What `generate` may be asked of samples, as a user of the library asks it."""

import h5py
import numpy as np
import pytest

import augmentgan as ag


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
