"""A run: one generator trained on one data set, in one folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import augmentgan
from augmentgan.data.columns import SAMPLE_INDEX
from augmentgan.data.fill import checked_counts, exactly, filling
from augmentgan.data.hdf5 import read_hdf5
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.data.plan import checked_seed
from augmentgan.errors import DataError, RunError, writable
from augmentgan.gan.batches import class_shares
from augmentgan.gan.checkpoint import Numbers, chosen_of, has_checkpoint, read_checkpoint, read_numbers
from augmentgan.gan.device import allow_tf32, keep_freed_memory, random_state_kept, resolve_device
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.events import is_status, read_events
from augmentgan.gan.networks import Generator, build_generator
from augmentgan.gan.run_info import read_info
from augmentgan.gan.sampling import SampleBatch, calibrate_for_sampling, concatenated, sample_batches
from augmentgan.names import DATA_FILE, NUMBERS_FILE, RUN_FILE, run_folders
from augmentgan.recipe import Recipe, ResolvedRecipe


class Run:
    """A run folder, opened for sampling.

    Args:
        folder: the run folder.
        device: where to sample.

    Attributes:
        folder: the run folder.
        info: what run.json says.
        recipe: the recipe as resolved for the data.
        seed: of splitting, learning and, unless another is given, sampling.
        finished: whether all of its updates are done.
        data: its images at working size, with their split.

    Raises:
        RunError: not a run folder. (One without a checkpoint can be opened and not sampled.)
        TrainingError: `device` is not there.
    """

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.folder = Path(folder)
        self.info = read_info(self.folder)
        self.recipe = ResolvedRecipe.model_validate(self.info["recipe"])
        self.seed = int(self.info["seed"])
        self.finished = self.info["state"] == "finished"
        try:
            self.data = read_hdf5(self.folder / DATA_FILE, self.info["class_names"])
        except DataError as error:
            if (self.folder / DATA_FILE).exists():
                raise RunError(f"run {str(self.folder)!r}: {error}") from error
            if not has_checkpoint(self.folder):
                raise RunError(
                    f"run {str(self.folder)!r} was ended before it held anything; the same augmentgan fit starts it again"
                ) from error
            raise RunError(
                f"run {str(self.folder)!r} has lost its images ({DATA_FILE} is missing); put the file back, or fit again with --overwrite"
            ) from error
        size_px, channels = self.recipe.data.size_px, self.recipe.data.channels
        if self.data.images.shape[1:] != (size_px, size_px, channels):
            raise RunError(f"run {str(self.folder)!r}: {DATA_FILE} is not the data of {RUN_FILE}; fit again")
        self._device = resolve_device(device)
        self._sampler: tuple[Generator, Numbers] | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.data.class_names

    @property
    def chosen_look(self) -> dict[str, Any]:
        """The line of events.jsonl of the look that samples come from; the last line where none was chosen yet, {} without any."""
        statuses, numbers, chosen_updates = self.statuses(), self._numbers(), self.info.get("chosen_updates")
        # run.json is written at an end that was seen coming, and a killed process saw none
        if numbers is not None and numbers.chosen_updates is not None:
            chosen_updates = numbers.chosen_updates
        chosen = [status for status in statuses if status["updates"] == chosen_updates]
        return (chosen or statuses or [{}])[-1]

    @property
    def train(self) -> LabelledImages:
        """The real images that the generator was trained on."""
        return self.data.part(TRAIN)

    @property
    def test(self) -> LabelledImages:
        """The real images held out, which neither the generator nor any choice of settings has seen.

        Where samples are judged for near copies (`no_copies`), how near is too near is told from these: a distance, and no image.
        """
        return self.data.part(TEST)

    @property
    def generator(self) -> Generator:
        """The generator's EMA at the chosen look (`augmentgan.gan.choice`), calibrated, in evaluation mode."""
        if self._sampler is None:
            numbers, tensors = read_checkpoint(self.folder)
            with random_state_kept(torch.device("cpu")):  # first weights are drawn, only to be replaced
                generator = build_generator(self.recipe, len(self.class_names))
            try:
                generator.load_state_dict(chosen_of(tensors))
            except RuntimeError as error:
                raise RunError(f"checkpoint in {str(self.folder)!r} does not fit its recipe; fit again") from error
            if not all(weight.isfinite().all() for weight in generator.parameters()):
                raise RunError(f"checkpoint in {str(self.folder)!r} has weights that are not finite; fit again")
            generator.requires_grad_(False).to(self._device)
            keep_freed_memory()
            allow_tf32(self._device)
            # a run that was made longer may still sample from a look of its former plan, which drew classes as that one had it
            planned = numbers.chosen_plan or self.recipe.training.updates
            training = self.recipe.training.model_copy(update={"updates": planned})
            calibrate_for_sampling(generator, class_shares(self.train.counts, training), self.seed)
            self._sampler = generator, numbers
        return self._sampler[0]

    def _numbers(self) -> Numbers | None:
        """Of the checkpoint: the one that the generator in use came from, though the folder may hold a later one by now."""
        if self._sampler is not None:
            return self._sampler[1]
        return read_numbers(self.folder) if has_checkpoint(self.folder) else None

    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl up to the checkpoint: what came after it, in a run that was killed or failed, is not in the generator."""
        numbers = self._numbers()
        return [event for event in read_events(self.folder) if numbers is None or event["updates"] <= numbers.updates]

    def statuses(self) -> list[dict[str, Any]]:
        """Those lines of events.jsonl that say how learning went; the others are returns to a checkpoint."""
        return [event for event in self.events() if is_status(event)]

    def counts(
        self, per_class: int | None = None, fill: str | None = None, classes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """A wish about class counts as one explicit {label: n}.

        Args:
            per_class: samples of every class.
            fill: how classes are levelled, see `augmentgan.data.fill.filling`; one of the two.
            classes: only these.

        Raises:
            DataError: neither or both, a number out of range, an unknown class, or a wish in another form.
        """
        if (per_class is None) == (fill is None):
            raise DataError("give either --per-class N or --fill, one of the two")
        if per_class is not None:
            return exactly(per_class, self.class_names, classes)
        return filling(str(fill), self.train.counts, self.class_names, classes)

    def sample(
        self, counts: Mapping[int, int], seed: int | None = None, start: int = 0, world: World = SINGLE_PROCESS
    ) -> Iterator[SampleBatch]:
        """Batches of samples, class after class, without the first `start`; a number always gives the same image.

        Raises:
            DataError: a label that the run does not know, a number below 0, or an unusable seed.
            RunError: the run has no usable checkpoint.
        """
        wanted = checked_counts(counts, self.class_names)
        return sample_batches(self.generator, wanted, self.sampling_seed(seed), start, world)

    def sampling_seed(self, seed: int | None = None) -> int:
        """The seed itself, or the run's where none is given.

        Raises:
            DataError: an unusable seed.
        """
        return self.seed if seed is None else checked_seed(seed)

    def generate(
        self,
        per_class: int | None = None,
        *,
        fill: str | None = None,
        classes: Sequence[str] | None = None,
        seed: int | None = None,
    ) -> LabelledImages:
        """A synthetic set in memory: exactly `per_class` a class, or what `fill` asks for; the arguments are those of `counts` and `sample`.

        Raises:
            DataError: as `counts` and `sample` do.
            RunError: the run has no usable checkpoint.
        """
        made = concatenated(self.sample(self.counts(per_class, fill, classes), seed))
        return LabelledImages(made.images, made.labels, self.class_names, extra={SAMPLE_INDEX: made.sample_index})

    @property
    def generator_version(self) -> dict[str, int]:
        """Which generator samples now come from: the updates so far, and the update of the chosen checkpoint."""
        numbers = self._numbers()
        return {
            "updates": 0 if numbers is None else numbers.updates,
            "chosen_updates": self.chosen_look.get("updates", 0),
        }

    def training_summary(self) -> str:
        """The number of updates, in words, and that of the generator where it is an earlier one."""
        updates, chosen = (
            self.generator_version["updates"],
            self.chosen_look.get("updates", self.generator_version["updates"]),
        )
        return f"{updates} updates" + (f", generator of update {chosen}" if chosen != updates else "")

    def provenance(self, seed: int | None = None, command: str | None = None) -> dict[str, str | int]:
        """The attributes that every synthetic set carries."""
        generator = self.generator
        return {
            "augmentgan_version": augmentgan.__version__,
            "recipe": json.dumps(self.info["recipe"]),
            "seed": self.sampling_seed(seed),
            "data_fingerprint": str(self.info["data_fingerprint"]),
            "model_fingerprint": model_fingerprint(generator),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": writable(command or f"augmentgan generate --run {self.folder} ({self.training_summary()})"),
        }


def model_fingerprint(generator: Generator) -> str:
    """SHA-256 (hex) over the generator's weights and truncation.

    Statistics are left out: they are measured on the spot, and their last digits depend on the number of threads.
    """
    digest = hashlib.sha256(repr(generator.truncation).encode())
    for name, tensor in sorted(generator.named_parameters()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def newest_run(under: Path = Path("runs")) -> Path:
    """The run folder below `under`, at any depth, that was touched last, of those with a checkpoint if there are any.

    Raises:
        RunError: there is none.
    """
    folders = run_folders(under)
    if not folders:
        raise RunError(f"no run under {str(under)!r}; train one with augmentgan fit DATA, or name one with --run")
    return max(folders, key=lambda folder: (has_checkpoint(folder), _touched(folder)))


def _touched(folder: Path) -> float:
    """When the run was last written: while it learns it writes checkpoints, and run.json at its start and end alone."""
    times = [0.0]
    for name in (RUN_FILE, NUMBERS_FILE):
        with contextlib.suppress(OSError):  # another process may be at work in it
            times.append((folder / name).stat().st_mtime)
    return max(times)


def repeat_of(folder: str | Path) -> tuple[LabelledImages, Recipe, int]:
    """The data, recipe and seed of a run, with which `fit(..., as_marked=True)` makes the same run again.

    Raises:
        RunError: not a run folder, or one that lost its images.
    """
    recipe, seed = recipe_of(folder)
    return Run(folder, "cpu").data, recipe, seed


def recipe_of(folder: str | Path) -> tuple[Recipe, int]:
    """The recipe and seed of a run.

    Raises:
        RunError: not a run folder.
    """
    info = read_info(Path(folder))
    return Recipe.model_validate(info["recipe"]), int(info["seed"])
