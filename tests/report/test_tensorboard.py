"""TensorBoard's own reader finds what events.jsonl holds."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import augmentgan as ag
from augmentgan.errors import ExtraError
from augmentgan.gan.training import Trainer
from augmentgan.report.tensorboard import TAGS, TensorBoardLog

RATE = ag.Recipe().training.learning_rate_generator


def read(folder):
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    log = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    log.Reload()
    return log


def check(run, log):
    for key, tag in TAGS.items():
        wanted = [(event["updates"], event[key]) for event in run.events() if key in event]
        found = log.Scalars(tag)
        assert [each.step for each in found] == [step for step, _ in wanted]
        np.testing.assert_allclose([each.value for each in found], [value for _, value in wanted], rtol=1e-6)
    sheets = sorted((run.folder / "samples").glob("*.png"))
    shown = log.Images("samples/sheet")
    assert [each.step for each in shown] == [int(path.stem) for path in sheets]
    last = Image.open(io.BytesIO(shown[-1].encoded_image_string))
    assert (np.asarray(last.convert("RGB")) == np.asarray(Image.open(sheets[-1]).convert("RGB"))).all()


def test_a_live_log_of_a_run_that_was_stopped_and_continued(digits, small_recipe, tmp_path):
    recipe, folder = small_recipe.with_settings(["coverage.weight=1"]), tmp_path / "run"
    seen = []

    def stops():
        return len(seen) == 2

    for stopping in (stops, None):
        with TensorBoardLog(folder) as log:

            def take(status, log=log):
                log.add(status)
                seen.append(status.updates)

            run = ag.fit(digits, recipe, folder, device="cpu", should_stop=stopping, on_status=take)
    assert run.finished
    check(run, read(folder / "tensorboard"))


def test_what_a_return_to_a_checkpoint_drops_is_dropped_from_the_log_too(digits, small_recipe, tmp_path, monkeypatch):
    update = Trainer.update

    def breaks_once(self):
        update(self)
        if self.updates == 27 and self.optimizer_generator.param_groups[0]["lr"] == RATE:
            with torch.no_grad():
                self.generator.to_image.bias.fill_(float("nan"))

    monkeypatch.setattr(Trainer, "update", breaks_once)
    recipe = small_recipe.with_settings(["training.checkpoint_updates=20", "training.status_updates=5"])
    with TensorBoardLog(tmp_path / "run") as log:
        run = ag.fit(digits, recipe, tmp_path / "run", device="cpu", on_status=log.add)
    assert run.info["rollbacks"][0]["updates"] == 20  # the status of 25 was seen, and is another now
    check(run, read(run.folder / "tensorboard"))


def test_a_log_of_a_finished_run_is_made_again(digits, small_recipe, tmp_path):
    run = ag.fit(digits, small_recipe.with_settings(["training.updates=20"]), tmp_path / "run", device="cpu")
    for _ in range(2):  # the second time replaces the first
        with TensorBoardLog(run.folder) as log:
            log.add()
        check(run, read(run.folder / "tensorboard"))


def test_a_missing_library_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("augmentgan.extras.find_spec", lambda name: None)
    with pytest.raises(ExtraError, match=r"pip install 'augmentgan\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
