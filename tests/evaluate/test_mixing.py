"""How synthetic images enter training."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import augmentgan as ag
from augmentgan.errors import DataError
from augmentgan.evaluate.mixing import ARMS, Arm, classic_augmentation
from augmentgan.recipe import BenchmarkSection


def test_shares_of_the_arms():
    section = BenchmarkSection(synthetic_share=0.25, synthetic_until=0.6)
    shares = {name: [Arm(name).synthetic_share(section, step, 10) for step in range(10)] for name in ARMS}
    assert shares["real"] == shares["real+classic"] == [0] * 10
    assert shares["synthetic"] == [1] * 10
    assert shares["real+synthetic"] == shares["real+classic+synthetic"] == [0.25] * 6 + [0] * 4
    assert [name for name in ARMS if Arm(name).classic] == ["real+classic", "real+classic+synthetic"]


@pytest.mark.parametrize("channels", [1, 3])
def test_classical_augmentation_changes_images_and_keeps_their_range(channels):
    torch.manual_seed(0)
    images = torch.rand(16, channels, 32, 32) * 2 - 1
    out = classic_augmentation(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert (out - images).abs().mean() > 0.05
    assert out.abs().max() <= 1.5


def test_affine_maps_shift_but_do_not_flip():
    images = torch.zeros(64, 1, 32, 32)
    images[:, :, 12:20, 4:12] = 1.0  # left of the middle
    out = classic_augmentation(images, torch.Generator().manual_seed(0))
    columns = torch.arange(32.0)
    centres = (out.sum(dim=(1, 2)) * columns).sum(dim=1) / out.sum(dim=(1, 2, 3))
    assert centres.max() < 16
    assert centres.std() > 0.5


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_dataset_has_every_real_image_once_and_the_share_it_was_asked_for(trained, share):
    synthetic = trained.generate(5)
    mixed = ag.as_torch_dataset(trained.train, synthetic, share)
    assert mixed.is_synthetic.float().mean().item() == pytest.approx(share, abs=0.01)
    assert sorted(mixed.rows[~mixed.is_synthetic].tolist()) == list(range(len(trained.train)))
    counts = torch.bincount(mixed.rows[mixed.is_synthetic], minlength=len(synthetic))
    assert counts.max() - counts.min() <= 1
    for index in (0, len(mixed) - 1):
        image, label = mixed[index]
        source = synthetic if mixed.is_synthetic[index] else trained.train
        row = int(mixed.rows[index])
        assert torch.equal((image * 255).round().to(torch.uint8).permute(1, 2, 0), torch.from_numpy(source.images[row]))
        assert label == source.labels[row] == mixed.targets[index]


def test_dataset_in_a_plain_loop_with_torchvision(trained):
    from torchvision.transforms import v2

    transform = v2.Compose([v2.RandomAffine(10), v2.ToDtype(torch.float32, scale=True)])
    mixed = ag.as_torch_dataset(trained.train, trained.generate(5), transform=transform)
    images, labels = next(iter(DataLoader(mixed, batch_size=16, shuffle=True)))
    assert images.shape == (16, 1, 8, 8)
    assert labels.dtype == torch.int64
    assert 0 <= images.min() <= images.max() <= 1


def test_sets_that_do_not_fit(trained):
    real, synthetic = trained.train, trained.generate(2)
    with pytest.raises(DataError, match=r"share is 1\.0"):
        ag.as_torch_dataset(real, synthetic, 1.0)
    larger = ag.LabelledImages(np.repeat(real.images, 2, axis=1), real.labels, real.class_names)
    with pytest.raises(DataError, match="shape"):
        ag.as_torch_dataset(larger, synthetic)
    renamed = ag.LabelledImages(real.images, real.labels, tuple("abcdefghij"))
    with pytest.raises(DataError, match="class names"):
        ag.as_torch_dataset(renamed, synthetic)
    with pytest.raises(DataError, match="empty"):
        ag.as_torch_dataset(real, synthetic.subset([]))
