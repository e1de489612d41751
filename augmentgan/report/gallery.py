"""The gallery: pictures that show what a generator learned, as bytes: latent walks, class morphs, a time-lapse, real beside synthetic."""

from __future__ import annotations

import base64
import copy
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from augmentgan.data.images import LabelledImages
from augmentgan.data.sheet import MAX_ROWS, draw_sheet, read_sheet
from augmentgan.gan.networks import Generator, to_uint8
from augmentgan.gan.run import Run
from augmentgan.gan.sampling import BATCH, latents_of
from augmentgan.names import sheets_of

MOST_CLASSES = 10
"""Classes shown; a page is to be looked at, and has to stay small."""

LIMITS_BYTES = {"walk": 350_000, "morph": 250_000, "timelapse": 400_000, "side_by_side": 450_000}
"""Upper bounds of the pictures: frames, columns and at last pixels are given up to keep them."""

_WALKS, _WALKS_PX, _STOPS, _STEPS = 3, 96, 3, 10
_MORPHS, _MORPHS_PX, _MORPH_STEPS, _HOLD_STEPS = 8, 256, 6, 2
_LAPSE_FRAMES, _COLUMNS = 24, 8
_FRAME_MS, _LAPSE_MS, _LAST_MS = 80, 350, 2500
_GAP_PX, _TITLE_PX, _WIDTH_PX = 2, 18, 640


@dataclass(frozen=True)
class Picture:
    """A picture with its words.

    Attributes:
        name: walk, morph, timelapse or side_by_side.
        title: a heading.
        caption: what is seen.
        data: GIF or PNG.
        still: for an animation, one frame as PNG, for people who want nothing to move; else None.
        width_px: how wide to show it.
    """

    name: str
    title: str
    caption: str
    data: bytes
    still: bytes | None
    width_px: int

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return data_uri(self.data)

    @property
    def still_uri(self) -> str | None:
        """The still as a data URI."""
        return None if self.still is None else data_uri(self.still)


def gallery(run: Run) -> list[Picture]:
    """All pictures that the run has something for; the same run gives the same bytes on the same machine."""
    return [each for each in (_walk(run), _morph(run), _timelapse(run), _side_by_side(run)) if each is not None]


def _walk(run: Run) -> Picture:
    """Closed walks through the latents of the first samples of each class; the class stays, the latent moves."""
    classes = _classes(run)
    walks = max(1, min(_WALKS, _WALKS_PX // run.recipe.data.size_px))  # large tiles: fewer of them, not fewer frames
    legs = []
    for label in classes:
        stops = latents_of(run.seed, label, np.arange(walks * _STOPS), run.generator.latent_dim)
        legs.append(_loop(torch.from_numpy(stops).view(walks, _STOPS, -1)))
    latents = torch.stack(legs)  # (classes, walks, frames, latent_dim)
    n_frames = latents.shape[2]
    labels = torch.tensor(classes)[:, None, None].expand(-1, walks, n_frames)
    images = _images(run.generator, latents.flatten(0, 2), labels.flatten())
    images = images.reshape(len(classes), walks, n_frames, *images.shape[1:])
    frames = [_grid(images[:, :, k].swapaxes(0, 1)) for k in range(n_frames)]
    caption = (
        f"Each tile walks from sample to sample of its class and back; one column a class: {_names(run, classes)}. "
        "Smooth changes mean that the generator knows more than the images it was shown."
    )
    return _animated("walk", "Walks within a class", caption, frames)


def _morph(run: Run) -> Picture:
    """The same latents while the class goes round: label embeddings and normalisations are mixed."""
    classes = _classes(run)
    mixing = torch.zeros(0, len(run.class_names))
    for label, following in itertools.pairwise([*classes, classes[0]]):
        share = torch.linspace(0, 1, _MORPH_STEPS + 1)[:-1, None]
        whole = torch.eye(len(run.class_names))
        leg = (1 - share) * whole[label] + share * whole[following]
        mixing = torch.cat([mixing, whole[label].expand(_HOLD_STEPS, -1), leg])
    between = mixed_classes(run.generator, mixing)
    morphs = max(2, min(_MORPHS, _MORPHS_PX // run.recipe.data.size_px))
    numbers = np.arange(morphs)
    latents = torch.from_numpy(latents_of(run.seed, classes[0], numbers, run.generator.latent_dim))
    n_frames = len(mixing)
    labels = torch.arange(n_frames).repeat_interleave(morphs)
    images = _images(between, latents.repeat(n_frames, 1), labels)
    images = images.reshape(n_frames, 1, morphs, *images.shape[1:])
    caption = (
        f"{morphs} latents that stay while the class changes: {_names(run, classes)}, and round again. What stays the same from "
        "class to class is what the latent means."
    )
    return _animated("morph", "From class to class", caption, [_grid(frame) for frame in images])


def _timelapse(run: Run) -> Picture | None:
    """The sample sheets in the order of training; the same latents in every frame."""
    learned = run.generator_version["updates"]
    files = [file for file in sheets_of(run.folder) if int(file.stem) <= learned]
    if len(files) < 2:
        return None
    chosen = [files[round(k)] for k in np.linspace(0, len(files) - 1, min(_LAPSE_FRAMES, len(files)))]
    grey = run.recipe.data.channels == 1
    frames = []
    for file in chosen:
        sheet = read_sheet(file)
        rows = min(len(run.class_names), MAX_ROWS)
        height = sheet.height // rows * min(rows, MOST_CLASSES)
        frame = Image.new("L" if grey else "RGB", (sheet.width, height + _TITLE_PX), "white")
        frame.paste(sheet.crop((0, 0, sheet.width, height)).convert(frame.mode), (0, _TITLE_PX))
        ImageDraw.Draw(frame).text((2, 2), f"after {int(file.stem)} updates", fill="black")
        frames.append(np.asarray(frame))
    caption = "The sample sheet as training went on; the same latents in every frame, one row a class."
    return _animated("timelapse", "Training, in time-lapse", caption, frames, _LAPSE_MS, _LAST_MS, pixels=False)


def _side_by_side(run: Run) -> Picture:
    """Real training images on the left, samples on the right; neither is picked."""
    classes = _classes(run)
    samples = run.generate(_COLUMNS, classes=[run.class_names[label] for label in classes])
    for columns in range(_COLUMNS, 1, -1):
        rows = [_pair(run.train, samples, label, columns) for label in classes]
        image = draw_sheet(rows, [run.class_names[label] for label in classes])
        data = png(image)
        if len(data) <= LIMITS_BYTES["side_by_side"]:
            break
    caption = "Left of the gap real training images, right of it samples; the first ones of each class, not picked."
    return Picture("side_by_side", "Real and synthetic", caption, data, None, image.width)


def mixed_classes(generator: Generator, mixing: Tensor) -> Generator:
    """A generator whose class k is a mixture of the real ones.

    Everything that it knows about a class lies in embedding tables (the label's, and the scale and shift of every
    normalisation), so a mixture of classes is a mixture of their rows.

    Args:
        generator: calibrated.
        mixing: (m, n_classes), weights of the classes in each of the m new ones.
    """
    mixed = copy.deepcopy(generator)
    for module in mixed.modules():
        if isinstance(module, nn.Embedding):
            table = mixing.to(module.weight) @ module.weight
            module.weight = nn.Parameter(table, requires_grad=False)
            module.num_embeddings = len(table)
    mixed.n_classes = len(mixing)
    return mixed


def _classes(run: Run) -> list[int]:
    """The classes that are shown: spread evenly where there are many."""
    n_classes = len(run.class_names)
    return [int(label) for label in np.linspace(0, n_classes - 1, min(MOST_CLASSES, n_classes)).round()]


def _names(run: Run, classes: Sequence[int]) -> str:
    return ", ".join(run.class_names[label] for label in classes)


def _loop(stops: Tensor) -> Tensor:
    """Paths (walks, frames, latent_dim) through stops (walks, k, latent_dim) and back, eased at each stop."""
    share = torch.linspace(0, 1, _STEPS + 1)[:-1]
    share = (share * share * (3 - 2 * share))[None, :, None]
    legs = []
    for start, end in zip(stops.unbind(1), stops.roll(-1, dims=1).unbind(1), strict=True):
        straight = (1 - share) * start[:, None] + share * end[:, None]
        # the straight line would cut through the middle, where no latent lies: keep the variance of the stops
        legs.append(straight / ((1 - share) ** 2 + share**2).sqrt())
    return torch.cat(legs, dim=1)


@torch.inference_mode()
def _images(generator: Generator, latents: Tensor, labels: Tensor) -> NDArray[np.uint8]:
    """uint8 images (n, h, w, c) of latents (n, latent_dim) and labels (n,)."""
    device = next(generator.parameters()).device
    parts = [
        to_uint8(generator(z.to(device), y.to(device))).cpu().numpy()
        for z, y in zip(torch.split(latents, BATCH), torch.split(labels, BATCH), strict=True)
    ]
    return np.concatenate(parts)


def _grid(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Tiles (rows, columns, h, w, c) on one canvas (H, W) or (H, W, 3), with white gaps."""
    padded = np.pad(tiles, ((0, 0), (0, 0), (0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255)
    rows, columns, height, width, channels = padded.shape
    canvas = padded.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    return canvas[:, :, 0] if channels == 1 else canvas


def _pair(real: LabelledImages, samples: LabelledImages, label: int, columns: int) -> NDArray[np.uint8]:
    left, right = (each.images[each.labels == label][:columns] for each in (real, samples))
    blank = np.full((columns - len(left) + 1, *left.shape[1:]), 255, dtype=np.uint8)
    return np.concatenate([left, blank, right])


def _animated(
    name: str,
    title: str,
    caption: str,
    frames: list[NDArray[np.uint8]],
    frame_ms: int = _FRAME_MS,
    last_ms: int | None = None,
    *,
    pixels: bool = True,
) -> Picture:
    """A GIF within its limit: frames are left out first, then pixels."""
    width = frames[0].shape[1]
    shown = width * max(1, _WIDTH_PX // width) if pixels else width
    stride = shrink = 1
    while True:
        last_first = frames[::-1][::stride]  # the last frame always stays
        kept = [np.asarray(Image.fromarray(frame).reduce(shrink)) for frame in reversed(last_first)]
        data = _gif(kept, frame_ms * stride, last_ms)
        if len(data) <= LIMITS_BYTES[name] or shrink > 8:
            break
        if len(frames) // (2 * stride) >= 6:
            stride *= 2
        else:
            shrink *= 2
    return Picture(name, title, caption, data, png(Image.fromarray(kept[-1])), shown)


def _gif(frames: Sequence[NDArray[np.uint8]], frame_ms: int, last_ms: int | None) -> bytes:
    """Frames (h, w) or (h, w, 3) as an endless GIF; colours from one palette, so that they do not flicker."""
    images = [Image.fromarray(frame) for frame in frames]
    if images[0].mode == "RGB":
        few = images[:: max(1, len(images) // 8)]
        palette = Image.fromarray(np.concatenate([np.asarray(image) for image in few])).quantize(256)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    times = [frame_ms] * len(images)
    times[-1] = last_ms or frame_ms
    buffer = io.BytesIO()
    images[0].save(buffer, format="GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(data: bytes) -> str:
    """A GIF or PNG as a data URI."""
    kind = "gif" if data[:3] == b"GIF" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
