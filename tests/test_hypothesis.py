"""Whatever text or JSON they are given, our own parsers give a value or one line; found by hypothesis."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import augmentgan as ag
from augmentgan.cli.options import parse_duration
from augmentgan.data import spool
from augmentgan.data.fill import filling
from augmentgan.errors import AugmentGANError
from augmentgan.gan.checkpoint import read_checkpoint
from augmentgan.gan.events import read_events
from augmentgan.gan.run_info import read_info
from augmentgan.gan.watch import parse_rollbacks
from augmentgan.recipe import Recipe

KEYS = [f"{name}.{key}" for name, section in Recipe() if hasattr(section, "model_dump") for key in section.model_dump()]
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
ANYTHING = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(st.text(max_size=10), below, max_size=4)),
    max_leaves=8,
)


def one_line(error):
    assert "\n" not in str(error)
    assert len(str(error)) > 10


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*KEYS, "name", "a.b", ""]), st.one_of(st.text(max_size=40), SCALARS.map(str)))
def test_settings(key, value):
    try:
        recipe = Recipe().with_settings([f"{key}={value}"])
    except AugmentGANError as error:
        one_line(error)
        return
    # what was taken can be written and read back, which is what run.json does
    assert Recipe.model_validate(json.loads(json.dumps(recipe.model_dump(), allow_nan=False))) == recipe


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.lists(st.integers(1, 50), min_size=3, max_size=3))
def test_fill(wish, counts):
    try:
        wanted = filling(wish, np.array(counts), ["a", "b", "c=1"])
    except AugmentGANError as error:
        one_line(error)
        return
    assert all(n > 0 for n in wanted.values())


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=12), st.floats().map(str), st.integers().map(lambda n: f"{n}h")))
def test_durations(text):
    try:
        assert 0 < parse_duration(text) < math.inf
    except AugmentGANError as error:
        one_line(error)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_run_json(trained, scratch, data):
    info = json.loads(json.dumps(trained.info))
    place = info
    while True:  # somewhere in the tree, something else
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(ANYTHING)
    (scratch / "run.json").write_text(json.dumps(info), encoding="utf-8")
    try:
        found = read_info(scratch)
    except AugmentGANError as error:
        one_line(error)
        return
    assert 0 <= found["seed"] < 2**63
    parse_rollbacks(found.get("rollbacks", []))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(ANYTHING.map(json.dumps), st.text(max_size=40)), max_size=5))
def test_events(scratch, lines):
    (scratch / "events.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    for event in read_events(scratch):
        assert isinstance(event["updates"], int)
        assert all(not isinstance(value, float) or math.isfinite(value) for value in event.values())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_checkpoints_and_spooled_rows(trained, scratch, junk, place, cut):
    whole = (trained.folder / "checkpoint.safetensors").read_bytes()
    damaged = whole[:place] + junk + (b"" if cut else whole[place + len(junk) :])
    (scratch / "checkpoint.safetensors").write_bytes(damaged)
    try:
        numbers, _ = read_checkpoint(scratch)
        assert numbers.updates >= 0
    except AugmentGANError as error:
        one_line(error)
    (scratch / "rows-000000.safetensors").write_bytes(damaged)
    kept = spool.Spool(scratch, {"labels": np.empty(0, np.int64)})
    assert not list(kept.kept())
    assert not (scratch / "rows-000000.safetensors").exists()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=4), st.integers(-(2**63), 2**63 - 1))
def test_class_names_and_labels(names, label):
    try:
        data = ag.LabelledImages(np.zeros((1, 8, 8, 1), np.uint8), np.array([label]), tuple(names))
    except AugmentGANError as error:
        one_line(error)
        return
    json.dumps(data.class_names).encode()
    data.fingerprint()
