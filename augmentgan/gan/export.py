"""The generator as other programs load it: an ONNX graph, or safetensors with the numbers that rebuild the network."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import augmentgan
from augmentgan.errors import OutputError
from augmentgan.extras import require_extra
from augmentgan.files import atomic_file, has_key, write_json
from augmentgan.gan.checkpoint import write_tensors
from augmentgan.gan.networks import Generator, to_uint8
from augmentgan.gan.run import Run, model_fingerprint
from augmentgan.gan.sampling import latents_of

if TYPE_CHECKING:
    import onnx

Pixels = Literal["uint8", "float"]
"""What the ONNX graph gives: uint8 NHWC in [0, 255], or float32 NCHW in [-1, 1]."""

TOLERANCE: dict[Pixels, float] = {"uint8": 1.0, "float": 1e-4}
"""Largest difference to the torch generator: one grey level, where a value sits on the edge of rounding."""

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
_CHECKED_PER_CLASS, _MOST_CHECKED = 4, 256


def write_onnx(run: Run, path: Path, pixels: Pixels = "uint8") -> float:
    """Write the calibrated generator as ONNX, after onnxruntime has made the same images from it as torch.

    Inputs are `latent` float32 (n, latent_dim), standard normal, and `label` int64 (n,); the output is `image`. n is free.
    The file's metadata name the classes, the run's fingerprints and the version.

    Returns:
        The largest difference to the torch generator that was seen (grey levels for uint8, else in units of [-1, 1]).

    Raises:
        ExtraError: onnx, onnxscript or onnxruntime is not installed.
        OutputError: the graph does not match the torch generator, or the file cannot be written.
    """
    require_extra("export", ("onnx", "onnxscript", "onnxruntime"), "ONNX")
    graph = _Exported(run.generator, pixels)
    model = _to_onnx(graph, run)
    difference = _difference(model, graph, run)
    if not difference <= TOLERANCE[pixels]:
        raise OutputError(
            f"the ONNX graph differs from the generator by {difference:.3g} (at most {TOLERANCE[pixels]:g} is usable), so "
            f"{str(path)!r} was not written; try another version of torch or onnxruntime"
        )
    with atomic_file(path) as part:
        part.write_bytes(model.SerializeToString())
    return difference


def write_safetensors(run: Run, folder: Path) -> None:
    """Write the generator's calibrated EMA and `config.json` into a folder.

    `Generator(**config["generator"])` and `load_state_dict` make the network again.
    """
    generator = run.generator
    metadata = {"format": "pt", "augmentgan_version": augmentgan.__version__}
    write_tensors(folder / WEIGHTS_FILE, generator.state_dict(), metadata)
    write_json(
        folder / CONFIG_FILE,
        {
            "architecture": "augmentgan.gan.networks.Generator",
            "augmentgan_version": augmentgan.__version__,
            "generator": {
                "size_px": generator.size_px,
                "channels": generator.channels,
                "n_classes": generator.n_classes,
                "latent_dim": generator.latent_dim,
                "label_dim": run.recipe.model.label_dim,
                "width": run.recipe.model.generator_width,
                "truncation": generator.truncation,
            },
            "class_names": list(run.class_names),
            "data_fingerprint": run.info["data_fingerprint"],
            "model_fingerprint": model_fingerprint(generator),
            "recipe": run.info["recipe"],
        },
    )


def is_exported(folder: Path) -> bool:
    """Whether a folder holds what `write_safetensors` writes."""
    return (folder / WEIGHTS_FILE).is_file() and has_key(folder / CONFIG_FILE, "model_fingerprint")


class _Exported(nn.Module):
    """The generator on the CPU, with the output that was asked for."""

    def __init__(self, generator: Generator, pixels: Pixels) -> None:
        super().__init__()
        self.generator = copy.deepcopy(generator).cpu().eval()
        self.pixels = pixels

    def forward(self, latent: Tensor, label: Tensor) -> Tensor:
        images: Tensor = self.generator(latent, label)
        return to_uint8(images) if self.pixels == "uint8" else images


@torch.no_grad()
def _to_onnx(graph: _Exported, run: Run) -> onnx.ModelProto:
    import onnx

    latents, labels = _checks(run, 2)
    n = torch.export.Dim("n", min=1, max=2**20)
    # the exporter's remarks about itself, which older versions print; stdout is the caller's, and what counts is checked below
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            graph,
            (latents, labels),
            dynamo=True,
            dynamic_shapes=({0: n}, {0: n}),
            input_names=["latent", "label"],
            output_names=["image"],
            verbose=False,
            external_data=False,
        )
    model: onnx.ModelProto = program.model_proto
    # traces of our source files, with the paths of this machine, are nobody's business
    for each in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, model.graph):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    onnx.helper.set_model_props(
        model,
        {
            "class_names": json.dumps(run.class_names),
            "augmentgan_version": augmentgan.__version__,
            "data_fingerprint": str(run.info["data_fingerprint"]),
            "model_fingerprint": model_fingerprint(run.generator),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


@torch.no_grad()
def _difference(model: onnx.ModelProto, graph: _Exported, run: Run) -> float:
    """The largest difference over real samples of every class, in one batch and one by one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    latents, labels = _checks(run, min(_MOST_CHECKED, _CHECKED_PER_CLASS * len(run.class_names)))
    wanted = graph(latents, labels).numpy().astype(np.float64)
    worst = 0.0
    for rows in (slice(None), slice(0, 1)):
        (made,) = session.run(None, {"latent": latents[rows].numpy(), "label": labels[rows].numpy()})
        if made.shape != wanted[rows].shape:
            return float("inf")
        worst = max(worst, float(np.abs(made.astype(np.float64) - wanted[rows]).max()))
    return worst


def _checks(run: Run, count: int) -> tuple[Tensor, Tensor]:
    """Latents (count, latent_dim) and labels (count,), the classes in turn."""
    labels = np.arange(count, dtype=np.int64) % len(run.class_names)
    latents = latents_of(run.seed, 0, np.arange(count, dtype=np.int64), run.generator.latent_dim)
    return torch.from_numpy(latents), torch.from_numpy(labels)
