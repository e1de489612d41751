"""`export`: the generator in a form that leaves augmentgan behind, and a card that says what it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from augmentgan.data.sheet import write_sheet
from augmentgan.errors import OutputError
from augmentgan.files import atomic_file, atomic_folder, check_replaceable, refuse_existing
from augmentgan.gan.export import CONFIG_FILE, WEIGHTS_FILE, Pixels, is_exported, write_onnx, write_safetensors
from augmentgan.gan.run import Run
from augmentgan.names import ONNX_FILE
from augmentgan.report.model_card import UNKNOWN_LICENSE, model_card

ExportFormat = Literal["onnx", "safetensors"]
CARD_FILE, SAMPLES_FILE = "README.md", "samples.png"
_COLUMNS = 10


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        out: the ONNX file, or the folder with weights and card.
        format: "onnx" or "safetensors".
        pixels: what the ONNX graph gives; None for safetensors.
        max_difference: largest difference between onnxruntime's and torch's images; None for safetensors.
        size_bytes: of the file, or of the weights.
    """

    out: str
    format: ExportFormat
    pixels: Pixels | None
    max_difference: float | None
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON document."""
        return asdict(self)


def export_run(
    run: Run,
    format: ExportFormat = "onnx",
    out: str | Path | None = None,
    *,
    pixels: Pixels = "uint8",
    license: str = UNKNOWN_LICENSE,
    overwrite: bool = False,
) -> Export:
    """Write a run's calibrated generator as an ONNX file, or as a folder with safetensors and a model card.

    Args:
        run: a run with a checkpoint.
        format: "onnx" or "safetensors".
        out: the file or folder; `generator.onnx` or `model` in the run folder where left out.
        pixels: for ONNX, "uint8" (n, h, w, c) in [0, 255] or "float" (n, c, h, w) in [-1, 1].
        license: for the card: an identifier that hubs know, such as "cc-by-4.0". The rights in the training images decide
            it, which augmentgan cannot know.
        overwrite: whether `out` may be replaced.

    Raises:
        ExtraError: the `export` extra is needed and not installed.
        OutputError: `out` exists or cannot be written, the format is not known, or the graph does not match the generator.
        RunError: the run has no usable checkpoint.
    """
    if format == "onnx":
        if pixels not in ("uint8", "float"):
            raise OutputError(f"pixels {pixels!r} are not known; use uint8 or float")
        path = Path(out) if out is not None else run.folder / ONNX_FILE
        refuse_existing(path, overwrite=overwrite, file=True)
        difference = write_onnx(run, path, pixels)
        return Export(str(path), format, pixels, difference, path.stat().st_size)
    if format != "safetensors":
        raise OutputError(f"format {format!r} is not known; use onnx or safetensors")
    path = Path(out) if out is not None else run.folder / "model"
    known = {WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, SAMPLES_FILE}
    check_replaceable(path, is_exported, "holds no exported model", known)
    refuse_existing(path, overwrite=overwrite)
    card = model_card(run, license)
    with atomic_folder(path, overwrite=overwrite) as part:
        write_safetensors(run, part)
        samples = run.generate(_COLUMNS)
        rows = [samples.images[samples.labels == label] for label in range(samples.n_classes)]
        write_sheet(part / SAMPLES_FILE, rows, run.class_names)
        with atomic_file(part / CARD_FILE) as file:
            file.write_text(card, encoding="utf-8")
    return Export(str(path), format, None, None, (path / WEIGHTS_FILE).stat().st_size)
