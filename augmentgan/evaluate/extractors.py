"""Features that distances between real and synthetic images are taken on: a named network and what it sees in an image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from augmentgan.data.images import LabelledImages
from augmentgan.errors import DataError
from augmentgan.evaluate.classifier import features_of
from augmentgan.evaluate.pretrained import PretrainedFeatures
from augmentgan.extras import require_extra
from augmentgan.gan.networks import to_unit

EXTRACTORS = {
    "classifier": "{classifier} trained on the run's real training images",
    "pretrained": "EfficientNet-Lite0 trained on ImageNet",
    "inception": "Inception v3 (2015-12-05)",
}
"""Names of the extractors, and how results call them; `{classifier}` is the recipe's."""

BATCH = 100

Extract = Callable[[LabelledImages], NDArray[np.float64]]
"""Images (n) to features (n, d)."""


def of_classifier(network: nn.Module) -> Extract:
    """What the last layer of a trained classifier sees."""
    return lambda data: features_of(network, data).numpy().astype(np.float64)


def frozen(name: str, device: torch.device) -> Extract:
    """An extractor that was trained elsewhere.

    Args:
        name: "pretrained" (1280 features, its extra brings the weights) or "inception" (2048 features; torch-fidelity fetches
            the weights once).
        device: where it works.

    Raises:
        DataError: the weights cannot be had.
        ExtraError: the extra is not installed.
    """
    extract = _pretrained(device) if name == "pretrained" else _inception(device)

    @torch.inference_mode()
    def features(data: LabelledImages) -> NDArray[np.float64]:
        parts = torch.split(torch.from_numpy(data.images), BATCH)
        return torch.cat([extract(part.to(device)).float().cpu() for part in parts]).numpy().astype(np.float64)

    return features


def _pretrained(device: torch.device) -> Callable[[Tensor], Tensor]:
    network = PretrainedFeatures().to(device).eval()
    return lambda images: network(to_unit(images))


def _inception(device: torch.device) -> Callable[[Tensor], Tensor]:
    require_extra("fidelity", ["torch_fidelity"], "features 'inception'")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        with _weights_only():
            network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except OSError as error:  # urllib's errors are OSErrors
        raise DataError(
            f"Inception's weights cannot be fetched ({error}); "
            "try again with a network, or use --features classifier or pretrained"
        ) from error
    except Exception as error:  # whatever a damaged or hostile file makes torch and torch-fidelity raise
        raise DataError(
            f"Inception's weights under {torch.hub.get_dir()!r} are not what they should be; delete them and try again"
        ) from error
    network.to(device)

    def features(images: Tensor) -> Tensor:
        colour = images.permute(0, 3, 1, 2).expand(-1, 3, -1, -1).contiguous()  # uint8 (n, 3, h, w)
        found: Tensor = network(colour)[0]
        return found

    return features


@contextlib.contextmanager
def _weights_only() -> Iterator[None]:
    """While it lasts, `torch.load` unpickles tensors and nothing else, whoever calls it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
