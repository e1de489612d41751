"""Sample k of a class is the same image, however it is asked for."""

import h5py
import numpy as np
import pytest
import torch

import augmentgan as ag
from augmentgan.gan import sampling
from augmentgan.gan.batches import class_shares
from augmentgan.gan.sampling import latents_of


def test_a_sample_does_not_depend_on_how_many_are_asked_for(trained):
    many = trained.generate(150)
    few = trained.generate(3)
    one_class = trained.generate(70, classes=["7"])
    for label in range(10):
        assert (few.images[few.labels == label] == many.images[many.labels == label][:3]).all()
    assert (one_class.images == many.images[many.labels == 7][:70]).all()
    assert set(one_class.labels) == {7}


def test_exactly_balanced_and_numbered(trained):
    made = trained.generate(9)
    assert made.counts.tolist() == [9] * 10
    assert made.extra["sample_index"].reshape(10, 9).tolist() == [list(range(9))] * 10


def test_seeds_differ(trained):
    assert (trained.generate(5, seed=1).images == trained.generate(5, seed=1).images).all()
    assert (trained.generate(5, seed=1).images != trained.generate(5, seed=2).images).any()


def test_latents_are_standard_normal_and_addressable():
    latents = latents_of(7, 2, np.arange(5000), 16)
    assert latents.mean() == pytest.approx(0, abs=0.02)
    assert latents.std() == pytest.approx(1, abs=0.02)
    assert (latents_of(7, 2, np.array([4321, 12]), 16) == latents[[4321, 12]]).all()
    assert not np.allclose(latents_of(7, 3, np.arange(5), 16), latents[:5])
    assert len(np.unique(latents)) > 0.99 * latents.size  # streams of neighbouring samples do not overlap


@pytest.mark.parametrize("shares", [[0.1] * 10, [0.02] * 5 + [0.18] * 5])
def test_statistics_are_those_of_the_mixture_that_was_learned_from(trained, monkeypatch, shares):
    batches = []
    monkeypatch.setattr(sampling, "calibrate", lambda generator, given: batches.extend(given))
    sampling.calibrate_for_sampling(trained.generator, torch.tensor(shares, dtype=torch.float64), seed=0)
    labels = torch.cat([labels for _, labels in batches])
    assert (torch.bincount(labels, minlength=10) / len(labels)).tolist() == pytest.approx(shares, abs=0.002)
    assert all(len(batch.unique()) > 5 for _, batch in batches)  # every batch holds a mixture


def test_a_runs_generator_is_calibrated_by_what_it_learned_from(trained, monkeypatch):
    calibrated = []
    monkeypatch.setattr("augmentgan.gan.run.calibrate_for_sampling", lambda *words: calibrated.append(words))
    run = ag.Run(trained.folder, "cpu")
    run.data = run.data.subset(np.flatnonzero((run.data.labels > 0) | (np.arange(len(run.data)) % 4 == 0)))
    training = run.recipe.training.model_copy(update={"most_shown": 10})
    run.recipe = run.recipe.model_copy(update={"training": training})
    assert run.generator is run.generator  # made once
    ((_, shares, seed),) = calibrated
    assert seed == run.seed
    assert torch.equal(shares, class_shares(run.train.counts, training))
    assert shares[0] < 0.9 * shares[1]


def test_generating_leaves_torchs_random_state_alone(trained):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    trained.generate(2)
    assert torch.equal(before, torch.get_rng_state())


def test_fill_levels_what_the_generator_learned_from(trained):
    counts = trained.train.counts
    made = trained.generate(fill="30")
    assert (made.counts + counts).tolist() == [30] * 10


def test_hdf5_is_what_generate_returns(trained, tmp_path):
    import augmentgan as ag

    path = tmp_path / "synthetic.h5"
    assert ag.write_samples(trained, trained.counts(4), path) == 40
    with h5py.File(path) as file:
        assert (file["images"][:] == trained.generate(4).images).all()
        assert np.bincount(file["labels"][:]).tolist() == [4] * 10
        assert file["sample_index"][:].tolist() == [0, 1, 2, 3] * 10
        assert np.isnan(file["score"][:]).all()
        real = trained.train.images.reshape(len(trained.train), -1).astype(float)
        first = file["images"][0].reshape(-1).astype(float)
        expected = np.sqrt(((real - first) ** 2).mean(axis=1)).min()
        assert file["nearest_real"][0] == pytest.approx(expected, rel=1e-3)
        assert file["images"].chunks is not None
        expected = {"augmentgan_version", "recipe", "seed", "data_fingerprint", "model_fingerprint", "created"}
        assert expected | {"command", "class_names"} <= set(file.attrs)
