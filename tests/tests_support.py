"""Helpers that several test modules share."""

from pathlib import Path

from PIL import Image


def write_tree(root: Path, data, classes: int, per_class: int) -> None:
    """Write the first images of the first classes as PNG files."""
    for label in range(classes):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for number, image in enumerate(data.images[data.labels == label][:per_class]):
            Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")
