"""Helpers that several test modules share."""

from pathlib import Path

from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def write_tree(root: Path, data, classes: int, per_class: int) -> None:
    """Write the first images of the first classes as PNG files."""
    for label in range(classes):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for number, image in enumerate(data.images[data.labels == label][:per_class]):
            Image.fromarray(image[:, :, 0]).save(folder / f"{number}.png")


def renumber(run_folder, **numbers):
    """Give a run's checkpoint other numbers, such as updates=60."""
    file = run_folder / "checkpoint.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = {**opened.metadata(), **{name: repr(value) for name, value in numbers.items()}}
    save_file(load_file(file), file, metadata)
