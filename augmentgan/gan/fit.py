"""Learning a run: the loop round the game, with looks, checkpoints and returns to them."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from augmentgan.data.images import TRAIN, LabelledImages
from augmentgan.data.load import load_for
from augmentgan.data.plan import FEW_IMAGES, Plan, plan_fit
from augmentgan.data.sheet import write_sheet
from augmentgan.errors import TrainingError, is_out_of_memory
from augmentgan.gan.checkpoint import has_checkpoint, read_numbers, restore_checkpoint, save_checkpoint
from augmentgan.gan.choice import Choice, is_regular
from augmentgan.gan.device import random_state_kept, resolve_device
from augmentgan.gan.distributed import SINGLE_PROCESS, World
from augmentgan.gan.diversity import Diversity, diversity
from augmentgan.gan.events import append_status, forget_after, read_events
from augmentgan.gan.networks import GROUP, require_networks
from augmentgan.gan.run import Run
from augmentgan.gan.run_folder import check_there, only_writer, prepare
from augmentgan.gan.run_info import read_rollbacks, roll_back, write_state
from augmentgan.gan.sampling import calibrate_for_sampling, concatenated, sample_batches
from augmentgan.gan.training import Status, Trainer, sampler_of
from augmentgan.gan.watch import Rollback, TrainingFailure, Watch, check_weights, slow_down
from augmentgan.names import RUN_FILE, sheet_of
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
    world: World = SINGLE_PROCESS,
) -> Run:
    """Learn a class-conditional generator; a run in `out` with the same data and recipe is continued.

    More `training.updates` than a run was planned for make it longer. Where all classes play equally often (`class_shares`) it becomes the run that it
    would have been with that plan, but for a look at the former end that none after it replaces (`augmentgan.gan.choice`).

    The process keeps freed memory from then on (glibc), and on CUDA its float32 products may use TF32; random states are put back.

    Args:
        data: labelled images, or where they are, to be read as the recipe wants them; their own split and groups are honoured.
        recipe: settings, or a recipe's name or file; the default recipe where left out.
        out: the run folder.
        seed: of the split, the weights and every draw.
        device: auto, cpu, cuda, cuda:K or mps.
        overwrite: start over where `out` holds a run, this one or another.
        max_time_s: stop cleanly after this many seconds; the same call continues.
        should_stop: asked after every update; when true, training saves and returns, and the same call continues.
        as_marked: use the split of the data as it is, to repeat a run (`repeat_of`); otherwise training images that are (nearly) in
            the test part too are left out.
        command: what the user typed, kept in run.json.
        on_plan: called once, with everything that was settled, before anything is trained or written.
        on_status: called with every `Status`.
        on_rollback: called when training went wrong and goes on from the last good checkpoint, more gently.
        world: the processes that learn together (`augmentgan.gan.distributed`); the first one writes, and is told of status.

    Returns:
        The run, finished or stopped by `max_time_s` or `should_stop`.

    Raises:
        DataError, RecipeError: the data or the recipe cannot be used.
        ExtraError: the recipe wants a projected discriminator, whose extra is not installed.
        OutputError: `out` holds something else, or cannot be written.
        RunError: `out` holds a run of other data or another recipe, or another process is at work in it.
        TrainingError: training went wrong, also after gentler attempts (`augmentgan.gan.watch`), or out of memory.
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(None if recipe is None else str(recipe))
    images = data if isinstance(data, LabelledImages) else load_for(settings, Path(data))
    plan, where = plan_fit(images, settings, seed, as_marked=as_marked), resolve_device(device)
    folder = Path(out)
    world.check_batch(plan.recipe.training.batch_images, GROUP)
    require_networks(plan.recipe)
    if on_plan:
        on_plan(plan)
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(only_writer(folder))
            prepare(folder, plan, overwrite, command, where)

        world.run_on_rank_zero(begin)
        stack.enter_context(random_state_kept(where))
        stack.enter_context(_memory_errors_explained(plan.recipe))
        started = time.monotonic()

        def stopping() -> bool:
            out_of_time = max_time_s is not None and time.monotonic() - started > max_time_s
            return world.any_rank(out_of_time or (should_stop is not None and should_stop()))

        while True:
            trainer = Trainer(plan.recipe, plan.data.part(TRAIN), plan.seed, where, world)
            if has_checkpoint(folder):
                restore_checkpoint(trainer, folder)
            _check_shared(world, folder, trainer.updates)
            slow_down(trainer, read_rollbacks(folder))
            try:
                _train(trainer, plan, folder, stopping, on_status or (lambda status: None))
                break
            except TrainingFailure as failure:
                world.run_on_rank_zero(functools.partial(roll_back, folder, failure, trainer.updates))
                if on_rollback and world.is_rank_zero:
                    on_rollback(read_rollbacks(folder)[-1])
                del trainer  # its memory is the next one's
        world.barrier()
    return Run(folder, str(where))


def _check_shared(world: World, folder: Path, updates: int) -> None:
    """Notice processes with folders of their own, by how far the runs in them have come: they would average gradients of different weights.

    Raises:
        TrainingError: they see runs of different moments, or one of them none.
    """
    mine = torch.tensor(updates if (folder / RUN_FILE).exists() else -1)
    first = world.broadcast_(mine.clone())
    if world.any_rank(bool(mine != first)):
        raise TrainingError(
            f"the processes of this job see different runs in {str(folder)!r}; put --out on a disk that all machines share"
        )


def _train(
    trainer: Trainer, plan: Plan, folder: Path, stopping: Callable[[], bool], on_status: Callable[[Status], object]
) -> None:
    training = plan.recipe.training
    writes = trainer.world.is_rank_zero
    trainer.world.run_on_rank_zero(lambda: forget_after(folder, trainer.updates))
    watch = Watch(plan.recipe.objective.loss, read_events(folder))
    choice = Choice(event for event in read_events(folder) if is_regular(event["updates"], training))
    look = functools.partial(_look, trainer, plan.data.part(TRAIN), folder, plan.seed)
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
                    status = look(status, judges=looks, shows=shows) if looks or shows else status
                    if looks:
                        _choose(trainer, status, choice)
                    append_status(folder, status)
                    with random_state_kept(trainer.device):  # what is drawn by who looks on does not change the run
                        on_status(status)
        if writes and saves:
            with trainer.paused_clock():
                _save(trainer, folder, watch, stops=stops)
        if stops:
            break
    if writes:
        state = "finished" if trainer.updates == training.updates else "stopped"
        write_state(folder, state, read_numbers(folder).chosen_updates or 0)  # of what was kept


def _choose(trainer: Trainer, status: Status, choice: Choice) -> None:
    """Let the EMA as it was looked at be the generator that samples come from, where that is better than the one chosen before."""
    # a look because of a stop counts only until there is a regular one
    regular = is_regular(status.updates, trainer.recipe.training)
    if (regular and choice.takes(status.updates, status.div_worst, status.near)) or not choice.updates:
        trainer.choose()


def _save(trainer: Trainer, folder: Path, watch: Watch, *, stops: bool) -> None:
    """Write a checkpoint, unless the state is in doubt: then it is trained again rather than kept in a good one's place, at a stop too."""
    check_there(folder)
    finished = trainer.updates == trainer.recipe.training.updates
    if not watch.in_doubt or finished or (stops and not has_checkpoint(folder)):
        save_checkpoint(trainer, folder)
    elif stops:
        forget_after(folder, read_numbers(folder).updates)


def _look(
    trainer: Trainer, train: LabelledImages, folder: Path, seed: int, status: Status, *, judges: bool, shows: bool
) -> Status:
    """Sample the EMA: a sheet for people, diversity and nearness for the status."""
    generator = sampler_of(trainer)
    calibrate_for_sampling(generator, trainer.batches.shares, seed)
    per_class = min(QUALITY_IMAGES, max(SHEET_COLUMNS, 4096 // train.n_classes)) if judges else SHEET_COLUMNS
    samples = concatenated(sample_batches(generator, dict.fromkeys(range(train.n_classes), per_class), seed))
    images, labels = samples.images, samples.labels
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


@contextlib.contextmanager
def _memory_errors_explained(recipe: ResolvedRecipe) -> Iterator[None]:
    """Out of memory becomes a line that says what to lower; the last checkpoint stays."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            batch = recipe.training.batch_images
            smaller = max(8, batch // 8 * 4)
            batches = f"--set training.batch_images={smaller} or " if smaller < batch else ""
            raise TrainingError(
                f"out of memory with batches of {batch} images of {recipe.data.size_px} px; try {batches}a smaller data.size_px"
            ) from error
        raise
