"""A run: one generator learned from one data set, in one folder."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import augmentgan
from augmentgan.data.columns import SAMPLE_INDEX
from augmentgan.data.fill import checked_counts, exactly, filling
from augmentgan.data.hdf5 import read_hdf5
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.data.load import load_for
from augmentgan.data.plan import FEW_IMAGES, Plan, checked_seed, plan_fit
from augmentgan.data.sheet import write_sheet
from augmentgan.errors import DataError, RunError, TrainingError, is_out_of_memory, writable
from augmentgan.gan.batches import class_shares
from augmentgan.gan.checkpoint import (
    chosen_of,
    has_checkpoint,
    read_checkpoint,
    read_numbers,
    restore_checkpoint,
    save_checkpoint,
)
from augmentgan.gan.choice import Choice, is_regular
from augmentgan.gan.device import allow_tf32, keep_freed_memory, random_state_kept, resolve_device
from augmentgan.gan.distributed import ALONE, Team
from augmentgan.gan.diversity import Diversity, diversity
from augmentgan.gan.networks import GROUP, Generator, build_generator, require_networks
from augmentgan.gan.run_folder import (
    append_event,
    check_there,
    only_writer,
    prepare,
    read_events,
    read_info,
    read_rollbacks,
    roll_back,
    truncate_events,
    write_state,
)
from augmentgan.gan.sampling import SampleBatch, calibrate_for_sampling, sample_batches
from augmentgan.gan.training import Status, Trainer, sampler_of
from augmentgan.gan.watch import Rollback, Trouble, Watch, check_weights, slow_down
from augmentgan.names import DATA_FILE, RUN_FILE, sheet_of
from augmentgan.recipe import Recipe, ResolvedRecipe, load_recipe

SHEET_COLUMNS, QUALITY_IMAGES = 10, 64


def fit(
    data: LabelledImages | str | Path,
    recipe: Recipe | str | Path | None = None,
    out: str | Path = "runs/run",
    *,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    max_time_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    as_marked: bool = False,
    command: str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
    on_rollback: Callable[[Rollback], object] | None = None,
    team: Team = ALONE,
) -> Run:
    """Learn a class-conditional generator; a run in `out` with the same data and recipe is continued.

    More `training.updates` than a run was planned for make it longer. Where all classes play equally often (`class_shares`) it becomes the run that it
    would have been with that plan.

    Args:
        data: labelled images, or where they are, to be read as the recipe wants them; their own split and groups are honoured.
        recipe: settings, or a recipe's name or file; the default recipe where left out.
        out: the run folder.
        seed: of the split, the weights and every draw.
        device: auto, cpu, cuda, cuda:K or mps.
        overwrite: start over where `out` holds a run, this one or another.
        max_time_s: stop cleanly after this many seconds; the same call continues.
        should_stop: asked after every update; when true, training saves and returns, and the same call continues.
        as_marked: take the split of the data as it is, as for those of a run (`repeat_of`); otherwise training images that the test
            part holds too, or nearly, are left out.
        command: what the user typed, kept in run.json.
        on_plan: called once, with everything that was settled, before anything is learned or written.
        on_status: called with every `Status`.
        on_rollback: called when training went wrong and goes on from the last good checkpoint, more gently.
        team: the processes that learn together (`augmentgan.gan.distributed`); the first one writes, and is told of status.

    Returns:
        The run, finished or stopped by `max_time_s` or `should_stop`.

    Raises:
        DataError, RecipeError: the data or the recipe cannot be used.
        ExtraError: the recipe wants a projected discriminator, whose extra is not installed.
        OutputError: `out` holds something else, or cannot be written.
        TrainingError: training went wrong, also after gentler attempts (`augmentgan.gan.watch`), or out of memory.
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(None if recipe is None else str(recipe))
    images = data if isinstance(data, LabelledImages) else load_for(settings, Path(data))
    plan, where = plan_fit(images, settings, seed, as_marked=as_marked), resolve_device(device)
    folder = Path(out)
    team.check_batch(plan.recipe.training.batch_images, GROUP)
    require_networks(plan.recipe)
    if on_plan:
        on_plan(plan)
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(only_writer(folder, overwrite=overwrite))
            prepare(folder, plan, overwrite, command, where)

        team.first_does(begin)
        stack.enter_context(random_state_kept(where))
        stack.enter_context(_memory_errors_explained(plan.recipe))
        started = time.monotonic()

        def stopping() -> bool:
            out_of_time = max_time_s is not None and time.monotonic() - started > max_time_s
            return team.any(out_of_time or (should_stop is not None and should_stop()))

        while True:
            trainer = Trainer(plan.recipe, plan.data.part(TRAIN), plan.seed, where, team)
            if has_checkpoint(folder):
                restore_checkpoint(trainer, folder)
            slow_down(trainer, read_rollbacks(folder))
            try:
                _learn(trainer, plan, folder, stopping, on_status or (lambda status: None))
                break
            except Trouble as trouble:
                team.first_does(functools.partial(roll_back, folder, trouble, trainer.updates))
                if on_rollback and team.first:
                    on_rollback(read_rollbacks(folder)[-1])
                del trainer  # its memory is the next one's
        team.wait()
    return Run(folder, str(where))


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


@contextlib.contextmanager
def _memory_errors_explained(recipe: ResolvedRecipe) -> Iterator[None]:
    """Out of memory becomes a line that says what to lower; the last checkpoint stays."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            batch = recipe.training.batch_images
            raise TrainingError(
                f"out of memory with batches of {batch} images of {recipe.data.size_px} px; try --set "
                f"training.batch_images={max(8, batch // 8 * 4)} or a smaller data.size_px"
            ) from error
        raise


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
        finished: whether it has learned for all of its updates.
        data: its images at working size, with their split.

    Raises:
        RunError: not a run folder. (One without a checkpoint can be opened and not sampled.)
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
            if not has_checkpoint(self.folder):
                raise RunError(
                    f"run {str(self.folder)!r} was ended before it held anything; the same augmentgan fit starts it again"
                ) from error
            raise RunError(
                f"run {str(self.folder)!r} has lost its images ({DATA_FILE} is missing or damaged); put the file back, or fit again "
                "with --overwrite"
            ) from error
        size_px, channels = self.recipe.data.size_px, self.recipe.data.channels
        if self.data.images.shape[1:] != (size_px, size_px, channels):
            raise RunError(f"run {str(self.folder)!r}: {DATA_FILE} is not the data of {RUN_FILE}; fit again")
        self._device = resolve_device(device)
        self._generator: Generator | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.data.class_names

    @property
    def chosen_look(self) -> dict[str, Any]:
        """The line of events.jsonl of the look that samples come from; the last line where none was chosen yet, {} without any."""
        statuses, chosen_updates = self.statuses(), self.info.get("chosen_updates")
        if has_checkpoint(self.folder):
            # run.json is written at an end that was seen coming, and a killed process saw none
            numbers = read_numbers(self.folder)
            statuses = [status for status in statuses if status["updates"] <= numbers.updates]
            chosen_updates = chosen_updates if numbers.chosen_updates is None else numbers.chosen_updates
        chosen = [status for status in statuses if status["updates"] == chosen_updates]
        return (chosen or statuses or [{}])[-1]

    @property
    def train(self) -> LabelledImages:
        """The real images that the generator learned from."""
        return self.data.part(TRAIN)

    @property
    def test(self) -> LabelledImages:
        """The real images held out, which neither the generator nor any choice of settings has seen.

        Where samples are judged for near copies (`no_copies`), how near is too near is told from these: a distance, and no image.
        """
        return self.data.part(TEST)

    @property
    def generator(self) -> Generator:
        """The generator average at the chosen look (`augmentgan.gan.choice`), calibrated, in evaluation mode."""
        if self._generator is None:
            _, tensors = read_checkpoint(self.folder)
            with random_state_kept(torch.device("cpu")):  # first weights are drawn, only to be replaced
                generator = build_generator(self.recipe, len(self.class_names))
            try:
                generator.load_state_dict(chosen_of(tensors))
            except RuntimeError as error:
                raise RunError(f"checkpoint in {str(self.folder)!r} does not fit its recipe; fit again") from error
            if not all(weight.isfinite().all() for weight in generator.parameters()):
                raise RunError(f"checkpoint in {str(self.folder)!r} has weights that are no numbers; fit again")
            generator.requires_grad_(False).to(self._device)
            keep_freed_memory()
            allow_tf32(self._device)
            calibrate_for_sampling(generator, class_shares(self.train.counts, self.recipe.training), self.seed)
            self._generator = generator
        return self._generator

    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl."""
        return read_events(self.folder)

    def statuses(self) -> list[dict[str, Any]]:
        """Those lines of events.jsonl that say how learning went; the others are returns to a checkpoint."""
        return [event for event in self.events() if "rollback" not in event]

    def counts(
        self, per_class: int | None = None, fill: str | None = None, classes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """A wish about class counts as one explicit {label: n}."""
        if (per_class is None) == (fill is None):
            raise DataError("give either --per-class N or --fill, one of the two")
        if per_class is not None:
            return exactly(per_class, self.class_names, classes)
        return filling(str(fill), self.train.counts, self.class_names, classes)

    def sample(
        self, counts: Mapping[int, int], seed: int | None = None, start: int = 0, team: Team = ALONE
    ) -> Iterator[SampleBatch]:
        """Batches of samples, class after class, without the first `start`; a number always gives the same image.

        Raises:
            DataError: a label that the run does not know, a number below 0, or no seed.
            RunError: the run has no usable checkpoint.
        """
        wanted = checked_counts(counts, self.class_names)
        return sample_batches(self.generator, wanted, self.sampling_seed(seed), start, team)

    def sampling_seed(self, seed: int | None = None) -> int:
        """The seed itself, or the run's where none is given.

        Raises:
            DataError: no seed.
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
        """A synthetic set in memory: exactly `per_class` a class, or what `fill` asks for."""
        batches = list(self.sample(self.counts(per_class, fill, classes), seed))
        return LabelledImages(
            np.concatenate([batch.images for batch in batches]),
            np.concatenate([batch.labels for batch in batches]),
            self.class_names,
            extra={SAMPLE_INDEX: np.concatenate([batch.sample_index for batch in batches])},
        )

    @property
    def moment(self) -> dict[str, int]:
        """Which of its generators samples now come from: how long it has learned, and when that one was looked at."""
        learned = read_numbers(self.folder).updates if has_checkpoint(self.folder) else 0
        return {"updates": learned, "chosen_updates": self.chosen_look.get("updates", 0)}

    def learned(self, updates: int) -> str:
        """How long it learned, in words, and from when the generator is where that is another moment."""
        chosen = self.chosen_look.get("updates", updates)
        return f"{updates} updates" + (f", generator of update {chosen}" if chosen != updates else "")

    def provenance(self, seed: int | None = None, command: str | None = None) -> dict[str, str | int]:
        """The attributes that every synthetic set carries."""
        generator, updates = self.generator, read_numbers(self.folder).updates
        return {
            "augmentgan_version": augmentgan.__version__,
            "recipe": json.dumps(self.info["recipe"]),
            "seed": self.sampling_seed(seed),
            "data_fingerprint": str(self.info["data_fingerprint"]),
            "model_fingerprint": model_fingerprint(generator),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": writable(command or f"augmentgan generate --run {self.folder} ({self.learned(updates)})"),
        }


def model_fingerprint(generator: Generator) -> str:
    """SHA-256 (hex) over the generator's weights and statistics."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def newest_run(under: Path = Path("runs")) -> Path:
    """The run folder below `under` that was touched last, of those with a checkpoint if there are any.

    Raises:
        RunError: there is none.
    """
    runs = sorted(under.glob(f"*/{RUN_FILE}"), key=lambda path: (has_checkpoint(path.parent), path.stat().st_mtime))
    if not runs:
        raise RunError(f"no run under {str(under)!r}; train one with augmentgan fit DATA, or name one with --run")
    return runs[-1].parent


def _learn(
    trainer: Trainer, plan: Plan, folder: Path, stopping: Callable[[], bool], on_status: Callable[[Status], object]
) -> None:
    training = plan.recipe.training
    train = plan.data.part(TRAIN)
    writes = trainer.team.first
    trainer.team.first_does(lambda: truncate_events(folder, trainer.updates))
    watch = Watch(plan.recipe.objective.loss, read_events(folder))
    choice = Choice(event for event in read_events(folder) if is_regular(event["updates"], training))
    while trainer.updates < training.updates:
        trainer.update()
        done = trainer.updates
        stops = stopping() and done < training.updates
        last = stops or done == training.updates
        saves = done % training.checkpoint_updates == 0 or last
        looks = done % training.quality_updates == 0 or last
        shows = done % training.sheet_updates == 0 or last
        if done % training.status_updates == 0 or saves or looks or shows:
            check_there(folder)
            status = trainer.status()
            watch.see(status)
            if saves:
                check_weights(trainer)
            if writes:
                with trainer.paused_clock():
                    if looks or shows:
                        status = _look(trainer, train, folder, plan.seed, status, judges=looks, shows=shows)
                    if looks:
                        # a look because of a stop counts only until there is a regular one
                        regular = is_regular(done, training)
                        if (regular and choice.takes(done, status.div_worst, status.near)) or not choice.updates:
                            trainer.choose()
                    append_event(folder, status)
                    with random_state_kept(trainer.device):  # what is drawn by who looks on does not change the run
                        on_status(status)
        if writes and saves and (last or not watch.in_doubt):
            check_there(folder)
            with trainer.paused_clock():
                save_checkpoint(trainer, folder)
        if stops:
            break
    if writes:
        write_state(folder, "finished" if trainer.updates == training.updates else "stopped", trainer.chosen_updates)


def _look(
    trainer: Trainer, train: LabelledImages, folder: Path, seed: int, status: Status, *, judges: bool, shows: bool
) -> Status:
    """Sample the generator average: a sheet for people, diversity and nearness for the status."""
    generator = sampler_of(trainer)
    calibrate_for_sampling(generator, trainer.batches.shares, seed)
    per_class = min(QUALITY_IMAGES, max(SHEET_COLUMNS, 4096 // train.n_classes)) if judges else SHEET_COLUMNS
    batches = list(sample_batches(generator, dict.fromkeys(range(train.n_classes), per_class), seed))
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    if shows:
        rows = [images[labels == label][:SHEET_COLUMNS] for label in range(train.n_classes)]
        write_sheet(sheet_of(folder, status.updates), rows, train.class_names)
    if not judges:
        return status
    return _with_quality(status, diversity(train.images, train.labels, images, labels, train.n_classes), train)


def _with_quality(status: Status, quality: Diversity, train: LabelledImages) -> Status:
    if np.isnan(quality.div_per_class).all():
        return status
    status = replace(status, div=quality.div, near=quality.near)
    # of a few images `div` says little, see `augmentgan.gan.choice`
    per_class = np.where(train.counts < FEW_IMAGES, np.nan, quality.div_per_class)
    if np.isnan(per_class).all():
        return status
    worst = int(np.nanargmin(per_class))
    return replace(status, div_worst_class=train.class_names[worst], div_worst=float(per_class[worst]))
