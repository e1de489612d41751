"""A run: one generator learned from one data set, in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import augmentgan
from augmentgan.data.fill import exactly, filling
from augmentgan.data.hdf5 import read_hdf5, write_hdf5
from augmentgan.data.images import TEST, TRAIN, LabelledImages
from augmentgan.data.load import facts, working_size
from augmentgan.data.sheet import write_sheet
from augmentgan.data.split import Split, draw_per_class, split_rows
from augmentgan.errors import AugmentGANError, DataError, OutputError, RunError
from augmentgan.files import refuse_existing, write_json
from augmentgan.gan.checkpoint import average_of, has_checkpoint, read_checkpoint, restore_checkpoint, save_checkpoint
from augmentgan.gan.diversity import Diversity, diversity
from augmentgan.gan.networks import Generator, build_generator
from augmentgan.gan.sampling import SampleBatch, calibrate_for_sampling, sample_batches
from augmentgan.gan.training import Status, Trainer, resolve_device, sampler_of
from augmentgan.recipe import Recipe, ResolvedRecipe

RUN_FILE, SPLIT_FILE, DATA_FILE, EVENTS_FILE = "run.json", "split.json", "data.h5", "events.jsonl"
SHEET_COLUMNS, QUALITY_IMAGES = 10, 64


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before learning starts.

    Attributes:
        recipe: resolved.
        split: rows of the data as given.
        data: the rows in use, at working size, with `split` set.
        fingerprint: of the data in use.
        seed: of the split, the weights and every draw.
    """

    recipe: ResolvedRecipe
    split: Split
    data: LabelledImages
    fingerprint: str
    seed: int


def plan_fit(data: LabelledImages, recipe: Recipe | None = None, seed: int = 0) -> Plan:
    """Split the data, draw the training images and settle the recipe; nothing is learned or written.

    Raises:
        DataError, RecipeError: the data or the recipe cannot be used.
    """
    recipe = recipe or Recipe()
    split = split_rows(data, test_fraction=recipe.data.test_fraction, seed=seed)
    if recipe.data.train_per_class != "all":
        split = replace(split, train=draw_per_class(data.labels, split.train, recipe.data.train_per_class, seed))
    size_px = None if recipe.data.size_px == "auto" else recipe.data.size_px
    channels = None if recipe.data.channels == "auto" else recipe.data.channels
    used = np.concatenate([split.train, split.test])
    marks = np.repeat(np.array([TRAIN, TEST]), [len(split.train), len(split.test)])
    images = working_size(replace(data.subset(used), split=marks), size_px, channels, recipe.data.resize)
    resolved = recipe.resolve(facts(images, n_images=len(split.train)))
    return Plan(resolved, split, images, images.fingerprint(), seed)


def fit(
    data: LabelledImages,
    recipe: Recipe | None = None,
    out: str | Path = "runs/run",
    *,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    max_time_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
    command: str | None = None,
    on_plan: Callable[[Plan], object] | None = None,
    on_status: Callable[[Status], object] | None = None,
) -> Run:
    """Learn a class-conditional generator; an unfinished run in `out` with the same data and recipe is continued.

    Args:
        data: labelled images; its own split and groups are honoured.
        recipe: settings; the default recipe where left out.
        out: the run folder.
        seed: of the split, the weights and every draw.
        device: auto, cpu, cuda, cuda:K or mps.
        overwrite: start over where `out` holds another run.
        max_time_s: stop cleanly after this many seconds; the same call continues.
        should_stop: asked after every update; when true, training saves and returns, and the same call continues.
        command: what the user typed, kept in run.json.
        on_plan: called once, with everything that was settled, before anything is learned or written.
        on_status: called with every `Status`.

    Returns:
        The run, finished or stopped by `max_time_s` or `should_stop`.

    Raises:
        DataError, RecipeError: the data or the recipe cannot be used.
        OutputError: `out` holds something else.
        TrainingError: training went wrong.
    """
    plan, where = plan_fit(data, recipe, seed), resolve_device(device)
    folder = Path(out)
    if on_plan:
        on_plan(plan)
    fresh = _prepare_folder(folder, plan, overwrite, command)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        trainer = Trainer(plan.recipe, plan.data.part(TRAIN), seed, where)
        if not fresh:
            restore_checkpoint(trainer, folder)
        started = time.monotonic()

        def stopping() -> bool:
            out_of_time = max_time_s is not None and time.monotonic() - started > max_time_s
            return out_of_time or (should_stop is not None and should_stop())

        _learn(trainer, plan, folder, stopping, on_status or (lambda status: None))
    return Run(folder)


class Run:
    """A run folder, opened for sampling.

    Args:
        folder: the run folder.
        device: where to sample.

    Raises:
        RunError: not a run folder, or one without a checkpoint.
    """

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.folder = Path(folder)
        self.info = _read_info(self.folder)
        self.recipe = ResolvedRecipe.model_validate(self.info["recipe"])
        self.seed = int(self.info["seed"])
        self.finished = self.info["state"] == "finished"
        try:
            self.data = read_hdf5(self.folder / DATA_FILE)
        except DataError as error:
            raise RunError(f"run {str(self.folder)!r} has lost its images: {error}") from error
        self._device = resolve_device(device)
        self._generator: Generator | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order."""
        return self.data.class_names

    @property
    def train(self) -> LabelledImages:
        """The real images that the generator learned from."""
        return self.data.part(TRAIN)

    @property
    def test(self) -> LabelledImages:
        """The real images held out, which neither the generator nor any choice has seen."""
        return self.data.part(TEST)

    @property
    def generator(self) -> Generator:
        """The generator average, calibrated, in evaluation mode."""
        if self._generator is None:
            _, tensors = read_checkpoint(self.folder)
            generator = build_generator(self.recipe, len(self.class_names))
            try:
                generator.load_state_dict(average_of(tensors))
            except RuntimeError as error:
                raise RunError(f"checkpoint in {str(self.folder)!r} does not fit its recipe; fit again") from error
            generator.requires_grad_(False).to(self._device)
            calibrate_for_sampling(generator, self.seed)
            self._generator = generator
        return self._generator

    def events(self) -> list[dict[str, Any]]:
        """The lines of events.jsonl."""
        path = self.folder / EVENTS_FILE
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def counts(
        self, per_class: int | None = None, fill: str | None = None, classes: Sequence[str] | None = None
    ) -> dict[int, int]:
        """A wish about class counts as one explicit {label: n}."""
        if (per_class is None) == (fill is None):
            raise DataError("give either --per-class N or --fill, one of the two")
        if per_class is not None:
            return exactly(per_class, self.class_names, classes)
        return filling(str(fill), self.train.counts, self.class_names, classes)

    def sample(self, counts: dict[int, int], seed: int | None = None) -> Iterator[SampleBatch]:
        """Batches of samples, class after class; the same number always gives the same image."""
        return sample_batches(self.generator, counts, self.seed if seed is None else seed)

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
            extra={"sample_index": np.concatenate([batch.sample_index for batch in batches])},
        )

    def provenance(self, seed: int | None = None, command: str | None = None) -> dict[str, str | int]:
        """The attributes that every synthetic set carries."""
        numbers, _ = read_checkpoint(self.folder)
        return {
            "augmentgan_version": augmentgan.__version__,
            "recipe": json.dumps(self.info["recipe"]),
            "seed": self.seed if seed is None else seed,
            "data_fingerprint": str(self.info["data_fingerprint"]),
            "model_fingerprint": model_fingerprint(self.generator),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command or f"augmentgan generate --run {self.folder} ({numbers.updates} updates)",
        }


def model_fingerprint(generator: Generator) -> str:
    """SHA-256 (hex) over the generator's weights and statistics."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def newest_run(under: Path = Path("runs")) -> Path:
    """The run folder below `under` that was touched last.

    Raises:
        RunError: there is none.
    """
    runs = sorted(under.glob(f"*/{RUN_FILE}"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise RunError(f"no run under {str(under)!r}; train one with augmentgan fit DATA, or name one with --run")
    return runs[-1].parent


def _learn(
    trainer: Trainer, plan: Plan, folder: Path, stopping: Callable[[], bool], on_status: Callable[[Status], object]
) -> None:
    training = plan.recipe.training
    train = plan.data.part(TRAIN)
    _truncate_events(folder, trainer.updates)
    while trainer.updates < training.updates:
        trainer.update()
        done = trainer.updates
        stops = stopping() and done < training.updates
        last = stops or done == training.updates
        if done % training.status_updates == 0 or last:
            status = trainer.status()
            with trainer.paused_clock():
                if done % training.quality_updates == 0 or last:
                    status = _look(trainer, train, folder, plan.seed, status)
                _append_event(folder, status)
                on_status(status)
        if done % training.checkpoint_updates == 0 or last:
            with trainer.paused_clock():
                save_checkpoint(trainer, folder)
        if stops:
            _write_state(folder, "stopped")
            return
    _write_state(folder, "finished")


def _look(trainer: Trainer, train: LabelledImages, folder: Path, seed: int, status: Status) -> Status:
    """Sample the generator average: a sheet for people, diversity and nearness for the status."""
    generator = sampler_of(trainer)
    calibrate_for_sampling(generator, seed)
    per_class = min(QUALITY_IMAGES, max(SHEET_COLUMNS, 4096 // train.n_classes))
    batches = list(sample_batches(generator, dict.fromkeys(range(train.n_classes), per_class), seed))
    images = np.concatenate([batch.images for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    rows = [images[labels == label][:SHEET_COLUMNS] for label in range(train.n_classes)]
    write_sheet(folder / "samples" / f"{status.updates:06d}.png", rows, train.class_names)
    return _with_quality(status, diversity(train.images, train.labels, images, labels, train.n_classes), train)


def _with_quality(status: Status, quality: Diversity, train: LabelledImages) -> Status:
    known = ~np.isnan(quality.div_per_class)
    if not known.any():
        return status
    worst = int(np.nanargmin(quality.div_per_class))
    return replace(
        status,
        div=quality.div,
        near=quality.near,
        div_worst_class=train.class_names[worst],
        div_worst=float(quality.div_per_class[worst]),
    )


def _prepare_folder(folder: Path, plan: Plan, overwrite: bool, command: str | None) -> bool:
    """Make the run folder, or check that the run in it is this one; True where it starts afresh."""
    if (folder / RUN_FILE).exists() and not overwrite:
        _check_same(folder, plan)
        return not has_checkpoint(folder)
    refuse_existing(folder, overwrite=overwrite or (folder / RUN_FILE).exists())
    if overwrite and folder.exists():
        _clear(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make run folder {str(folder)!r}: {error.strerror}") from error
    write_hdf5(folder / DATA_FILE, plan.data, overwrite=True)
    write_json(
        folder / SPLIT_FILE,
        {
            "source": plan.split.source,
            "seed": plan.seed,
            "train": plan.split.train.tolist(),
            "test": plan.split.test.tolist(),
            "dropped": plan.split.dropped.tolist(),
        },
    )
    train = plan.data.part(TRAIN)
    test = plan.data.part(TEST)
    write_json(
        folder / RUN_FILE,
        {
            "state": "started",
            "recipe": plan.recipe.model_dump(),
            "seed": plan.seed,
            "data_fingerprint": plan.fingerprint,
            "class_names": list(plan.data.class_names),
            "counts": {"train": train.counts.tolist(), "test": test.counts.tolist()},
            "versions": {"augmentgan": augmentgan.__version__, "torch": torch.__version__, "numpy": np.__version__},
            "command": command,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    return True


def _clear(folder: Path) -> None:
    """Remove a former run's files, and only those: an --out given by mistake must not cost anybody their pictures."""
    import shutil

    if any(folder.iterdir()) and not (folder / RUN_FILE).exists():
        raise OutputError(
            f"output {str(folder)!r} is not a run folder, so --overwrite leaves it alone; name another --out"
        )
    shutil.rmtree(folder / "samples", ignore_errors=True)
    for file in [*folder.glob("*.json"), *folder.glob("*.jsonl"), *folder.glob("checkpoint.*"), folder / DATA_FILE]:
        file.unlink(missing_ok=True)


def _check_same(folder: Path, plan: Plan) -> None:
    info = _read_info(folder)
    mend = "use --overwrite to start over or --out for another folder"
    if info["data_fingerprint"] != plan.fingerprint:
        raise RunError(f"run {str(folder)!r} was made from other data, split or seed; {mend}")
    before, now = info["recipe"], plan.recipe.model_dump()
    if before != now:
        changed = [
            f"{section}.{key}" if isinstance(now[section], dict) else section
            for section in now
            for key in (now[section] if isinstance(now[section], dict) else [""])
            if (before.get(section, {}).get(key) if key else before.get(section))
            != (now[section][key] if key else now[section])
        ]
        if set(changed) - {"name", "description"}:
            raise RunError(f"run {str(folder)!r} was made with another recipe ({', '.join(changed[:4])}); {mend}")


def _read_info(folder: Path) -> dict[str, Any]:
    try:
        info = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        needed = {"recipe", "seed", "state", "data_fingerprint", "class_names"}
        if not isinstance(info, dict) or not needed <= info.keys():
            raise ValueError("keys are missing")
        ResolvedRecipe.model_validate(info["recipe"])
    except FileNotFoundError as error:
        raise RunError(
            f"{str(folder)!r} is not a run folder (it has no {RUN_FILE}); train with augmentgan fit"
        ) from error
    except (OSError, ValueError, AugmentGANError) as error:
        raise RunError(f"run {str(folder)!r}: {RUN_FILE} cannot be used; start over with --overwrite") from error
    return info


def _write_state(folder: Path, state: str) -> None:
    write_json(folder / RUN_FILE, {**_read_info(folder), "state": state})


def _append_event(folder: Path, status: Status) -> None:
    with (folder / EVENTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(status.to_json()) + "\n")


def _truncate_events(folder: Path, updates: int) -> None:
    """Drop what was logged after the checkpoint that training continues from."""
    path = folder / EVENTS_FILE
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["updates"] <= updates]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
