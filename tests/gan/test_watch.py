"""Training that goes wrong is seen, taken back to the last good checkpoint and made gentler, or stopped with the reason."""

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from tests_support import weights

import augmentgan as ag
from augmentgan.errors import RunError, TrainingError
from augmentgan.gan.training import Status, Trainer
from augmentgan.gan.watch import PATIENCE, TrainingFailure, Watch
from augmentgan.names import sheets_of

UPDATE, STATUS = Trainer.update, Trainer.status
FULL_RATE = ag.Recipe().training.learning_rate_generator


def status(**values):
    usual = {"loss_d": 1.0, "loss_g": 0.5, "loss_coverage": 0.1, "d_real": 0.6, "d_fake": 0.4}
    return Status(updates=100, images=6400, seconds=1.0, images_per_s=6400.0, **{**usual, **values})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"loss_d": math.nan}, "the discriminator loss became nan before update 100"),
        ({"loss_g": math.inf}, "the generator loss became inf"),
        ({"loss_coverage": -math.inf}, "the coverage loss became -inf"),
        ({"loss_g": -3e6}, "the generator loss exploded to -3e[+]06"),
    ],
)
def test_what_is_wrong_at_once(values, words):
    with pytest.raises(TrainingFailure, match=words) as caught:
        Watch("hinge").see(status(**values))
    assert caught.value.gentler_generator == 0.5


@pytest.mark.parametrize(
    ("values", "words", "gentler_generator"),
    [
        ({"loss_d": 1e-5, "d_real": 1.0, "d_fake": 0.0}, "vanished", 1.0),
        ({"d_real": 0.5, "d_fake": 0.5}, "same answer", 0.5),
    ],
)
def test_what_is_wrong_when_it_stays_so(values, words, gentler_generator):
    watch = Watch("hinge")
    for _ in range(PATIENCE - 1):
        watch.see(status(**values))
        assert watch.in_doubt
    watch.see(status())
    assert not watch.in_doubt
    for _ in range(PATIENCE - 1):
        watch.see(status(**values))
    # a continued run judges like one that was never interrupted
    doubts = [status(**values).to_json()] * (PATIENCE - 1)
    for each in (watch, Watch("hinge", doubts)):
        with pytest.raises(TrainingFailure, match=words) as caught:
            each.see(status(**values))
        assert caught.value.gentler_generator == gentler_generator


def test_after_a_return_to_a_checkpoint_patience_begins_anew():
    """Otherwise the next doubt is the next return, and all of them are used up in a few statuses."""
    same = {"d_real": 0.5, "d_fake": 0.5}
    watch = Watch("hinge", [status(**same).to_json()] * (PATIENCE - 1) + [{"updates": 100, "rollback": {}}])
    for _ in range(PATIENCE - 1):
        watch.see(status(**same))
    with pytest.raises(TrainingFailure):
        watch.see(status(**same))


def test_a_critic_has_no_floor():
    watch = Watch("wasserstein")
    for _ in range(PATIENCE + 1):
        watch.see(status(loss_d=-50.0))
    assert not watch.in_doubt


def breaks_at(monkeypatch, at, below_rate):
    """From now on that update spoils a weight, unless the generator's learning rate is below a limit."""

    def update(self):
        UPDATE(self)
        if self.updates == at and self.optimizer_generator.param_groups[0]["lr"] >= below_rate:
            with torch.no_grad():
                self.generator.to_image.bias.fill_(float("nan"))

    monkeypatch.setattr(Trainer, "update", update)


class Crash(Exception):
    pass


def crash_after(updates):
    asked = 0

    def should_stop():
        nonlocal asked
        asked += 1
        if asked == updates:
            raise Crash
        return False

    return should_stop


@pytest.mark.parametrize(
    "at", [5, 17, 20], ids=["before any checkpoint", "between two", "in the very last update of one"]
)
def test_it_goes_back_and_on_more_gently_and_repeats_itself(digits, small_recipe, tmp_path, monkeypatch, at):
    breaks_at(monkeypatch, at, below_rate=FULL_RATE)
    told = []
    run = ag.fit(digits, small_recipe, tmp_path / "run", device="cpu", on_rollback=told.append)
    assert run.finished
    good = at - 1 - (at - 1) % 10  # a checkpoint every 10 updates
    (rollback,) = run.info["rollbacks"]
    assert rollback == told[0].to_json()
    assert rollback["updates"] == good
    assert (rollback["rate_generator"], rollback["rate_discriminator"]) == (0.5, 0.5)
    assert "nan" in rollback["reason"] or "no numbers" in rollback["reason"]
    assert [event["updates"] for event in run.events() if "loss_d" in event] == [10, 20, 30, 40]
    assert {"updates": good, "rollback": rollback} in run.events()
    # crashed anywhere and continued: the same bytes
    for _ in range(3):
        with pytest.raises(Crash):
            ag.fit(digits, small_recipe, tmp_path / "crashes", device="cpu", should_stop=crash_after(13))
    again = ag.fit(digits, small_recipe, tmp_path / "crashes", device="cpu")
    assert len(again.info["rollbacks"]) == 1
    expected, found = weights(run.folder), weights(again.folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_stop_in_doubt_keeps_the_last_good_state(trained, digits, small_recipe, tmp_path, monkeypatch):
    def in_doubt_after(updates):
        monkeypatch.setattr(
            Trainer,
            "status",
            lambda self: replace(STATUS(self), **({"d_real": 0.5, "d_fake": 0.5} if self.updates > updates else {})),
        )

    def stop_at_25():
        asked = itertools.count(1)
        return lambda: next(asked) == 25

    in_doubt_after(20)
    run = ag.fit(digits, small_recipe, tmp_path / "run", seed=3, device="cpu", should_stop=stop_at_25())
    assert (run.info["state"], run.generator_version["updates"], run.events()[-1]["updates"]) == ("stopped", 20, 20)
    assert max(int(sheet.stem) for sheet in sheets_of(run.folder)) <= 20  # what it may have spoiled is not shown either
    monkeypatch.setattr(Trainer, "status", STATUS)
    again = ag.fit(digits, small_recipe, run.folder, seed=3, device="cpu")
    assert again.finished
    expected, found = weights(trained.folder), weights(again.folder)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    # where there is nothing better, it is kept
    in_doubt_after(0)
    run = ag.fit(digits, small_recipe, tmp_path / "early", seed=3, device="cpu", should_stop=stop_at_25())
    assert run.generator_version["updates"] == 25
    assert run.generate(1).counts.tolist() == [1] * 10


def test_it_stops_with_the_reason_and_the_last_good_state(digits, small_recipe, tmp_path, monkeypatch):
    breaks_at(monkeypatch, 15, below_rate=0)
    told = []
    with pytest.raises(TrainingError, match=r"nan.*also after 3 returns.*update 10 is kept.*--overwrite") as caught:
        ag.fit(digits, small_recipe, tmp_path / "run", device="cpu", on_rollback=told.append)
    assert "\n" not in str(caught.value)
    assert [rollback.rate_generator for rollback in told] == [0.5, 0.25, 0.125]
    run = ag.Run(tmp_path / "run", "cpu")
    assert run.info["state"] == "failed"
    assert "nan" in run.info["reason"]
    assert max(event["updates"] for event in run.events()) == 10
    assert all(tensor.isfinite().all() for tensor in weights(run.folder).values() if tensor.is_floating_point())
    assert run.generate(1).counts.tolist() == [1] * 10


def test_learning_rates_that_no_network_bears(digits, small_recipe, tmp_path):
    """Nothing injected: the game itself explodes."""
    recipe = small_recipe.with_settings(
        [
            "training.learning_rate_generator=1",
            "training.learning_rate_discriminator=1",
            "model.spectral_norm=false",
            "objective.loss=wasserstein",
            "objective.gradient_penalty_weight=0",
            "coverage.weight=0",
        ]
    )
    with pytest.raises(TrainingError, match="loss"):
        ag.fit(digits, recipe, tmp_path / "run", device="cpu")
    assert ag.Run(tmp_path / "run", "cpu").info["state"] == "failed"


@pytest.mark.parametrize("value", [3, [{}], [{"updates": 1}], [1], {"a": 1}])
def test_rollbacks_that_make_no_sense(trained, tmp_path, value):
    (tmp_path / "run.json").write_text(json.dumps({**trained.info, "rollbacks": value}))
    with pytest.raises(RunError, match=r"run\.json cannot be used"):
        ag.Run(tmp_path)
