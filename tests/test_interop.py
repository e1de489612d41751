"""What was written loads elsewhere: each test uses the other library, and nothing of ours reads the files."""

import os

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, WeightedRandomSampler

import augmentgan as ag


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """Four samples of each digit as HDF5 and as a folder, and the real images with their split as a folder."""
    place = tmp_path_factory.mktemp("written")
    ag.write_samples(trained, trained.counts(4), place / "samples.h5")
    ag.write_samples(trained, trained.counts(4), place / "samples", "folder")
    ag.save(trained.data, place / "real")
    return place


@pytest.fixture(scope="module")
def arrays(written):
    """Images and labels by h5py alone."""
    with h5py.File(written / "samples.h5") as file:
        return file["images"][:], file["labels"][:]


def test_h5py_and_scikit_learn(arrays, trained):
    from sklearn.linear_model import LogisticRegression

    images, labels = arrays
    assert images.shape == (40, 8, 8, 1)
    model = LogisticRegression(max_iter=1000).fit(images.reshape(len(images), -1) / 255, labels)
    assert model.predict(trained.test.images.reshape(len(trained.test), -1) / 255).shape == (len(trained.test),)


def test_torchvision(written, arrays, trained):
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    to_pixels = v2.Compose([v2.Grayscale(), v2.PILToTensor()])
    samples = ImageFolder(written / "samples", transform=to_pixels)
    assert samples.classes == list(trained.class_names)
    assert samples.targets == arrays[1].tolist()
    assert all(
        (image[0].numpy() == pixels[..., 0]).all() for (image, _), pixels in zip(samples, arrays[0], strict=True)
    )
    parts = {name: ImageFolder(written / "real" / name) for name in ("train", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": len(trained.train), "test": len(trained.test)}


def test_pandas(written, arrays):
    table = pd.read_json(written / "samples" / "metadata.jsonl", lines=True, dtype={"label": str})
    assert table["label"].tolist() == [str(label) for label in arrays[1]]
    assert table["sample_index"].tolist() == [0, 1, 2, 3] * 10
    assert (table["nearest_real"] > 0).all()
    assert table["score"].isna().all()
    for name, pixels in zip(table["file_name"], arrays[0], strict=True):
        assert (np.asarray(Image.open(written / "samples" / name)) == pixels[..., 0]).all()


@pytest.mark.filterwarnings("ignore")  # of the library's own dependencies
def test_hugging_face_datasets(written, arrays, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def load(name, **more):
        return datasets.load_dataset(
            "imagefolder", data_dir=str(written / name), cache_dir=str(tmp_path / "cache"), **more
        )

    samples = load("samples", split="train")
    order = np.argsort([int(label) for label in samples["label"]], kind="stable")
    assert [samples[int(row)]["label"] for row in order] == [str(label) for label in arrays[1]]
    by_place = {(row["label"], row["sample_index"]): np.asarray(row["image"]) for row in samples}
    for number, (pixels, label) in enumerate(zip(*arrays, strict=True)):
        assert (by_place[str(label), number % 4] == pixels[..., 0]).all()
    real = load("real")
    assert {name: len(part) for name, part in real.items()} == {"train": len(trained.train), "test": len(trained.test)}


@pytest.fixture(scope="module")
def mixed(trained):
    """Real and synthetic images, half and half, for a training loop of one's own."""
    return ag.as_torch_dataset(trained.train, trained.generate(per_class=10), share=0.5)


def test_a_plain_pytorch_loop(mixed):
    weights = 1 / torch.bincount(mixed.targets)[mixed.targets]
    sampler = WeightedRandomSampler(weights, len(mixed), generator=torch.Generator().manual_seed(0))
    loader = DataLoader(mixed, batch_size=20, sampler=sampler)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(10):
        for images, labels in loader:
            assert images.dtype == torch.float32
            assert 0 <= images.min() <= images.max() <= 1
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_worker_processes_get_the_same_items(mixed):
    """Spawned, as on Windows and macOS: the dataset has to travel."""
    loader = DataLoader(mixed, batch_size=50, num_workers=1, multiprocessing_context="spawn")
    images, labels = (torch.cat(each) for each in zip(*loader, strict=True))
    assert torch.equal(labels, mixed.targets)
    assert all(torch.equal(images[row], mixed[row][0]) for row in range(len(mixed)))


@pytest.mark.filterwarnings("ignore")  # of the library's own dependencies
def test_lightning(mixed, tmp_path):
    lightning = pytest.importorskip("lightning")

    class Classifier(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(64, 10)

        def training_step(self, batch, number):
            images, labels = batch
            return F.cross_entropy(self.layer(images.flatten(1)), labels)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    model = Classifier()
    before = model.layer.weight.detach().clone()
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=os.fspath(tmp_path),
    )
    trainer.fit(model, DataLoader(mixed, batch_size=16, shuffle=True))
    assert trainer.global_step == -(-len(mixed) // 16)
    assert (model.layer.weight != before).any()
