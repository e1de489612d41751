"""Wishes about class counts."""

import numpy as np
import pytest

from augmentgan.data.fill import checked_counts, exactly, filling, separated
from augmentgan.errors import DataError

NAMES, COUNTS = ("cat", "dog", "owl"), np.array([50, 5, 20])


def test_exactly():
    assert exactly(7, NAMES) == {0: 7, 1: 7, 2: 7}
    assert exactly(7, NAMES, ["owl", "cat"]) == {0: 7, 2: 7}


@pytest.mark.parametrize(
    ("wish", "counts"),
    [("max", {1: 45, 2: 30}), ("60", {0: 10, 1: 55, 2: 40}), ("30", {1: 25, 2: 10}), ("dog=9,owl=21", {1: 4, 2: 1})]
    + [(word, {1: 45, 2: 30}) for word in ("auto", "all", "not majority")]
    + [("minority", {1: 45}), ("not minority", {2: 30})],
)
def test_filling_adds_what_is_lacking(wish, counts):
    assert filling(wish, COUNTS, NAMES) == counts


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("lots", "not max, a number"),
        ("", "not max, a number"),
        ("dog=", "not max, a number"),
        ("dgo=9", "did you mean 'dog'"),
        ("cat=10", "has 50 images already"),
        ("3", "every class has as many"),
        ("dog=9,dog=12", "names class 'dog' twice"),
    ],
)
def test_wishes_that_cannot_be_met(wish, words):
    with pytest.raises(DataError, match=words):
        filling(wish, COUNTS, NAMES)


def test_nothing_a_class():
    with pytest.raises(DataError, match="--per-class 0"):
        exactly(0, NAMES)
    with pytest.raises(DataError, match="--classes names no class; known: "):
        exactly(1, NAMES, [])


def test_a_class_cannot_be_filled_and_left_out():
    with pytest.raises(DataError, match="names class 'owl', which --classes leaves out"):
        filling("owl=50", COUNTS, NAMES, ["cat"])
    with pytest.raises(DataError, match="fills 'dog', the smallest class, which --classes leaves out"):
        filling("minority", COUNTS, NAMES, ["owl"])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cat, dog", ["cat", "dog"]),
        ('"goldfish, Carassius",dog', ["goldfish, Carassius", "dog"]),
        (',cat,,\n"owl",', ["cat", "owl"]),
        ('5" nail,dog', ['5" nail', "dog"]),
        ("", []),
    ],
)
def test_a_name_with_a_comma_stands_in_quotes(text, parts):
    assert separated(text) == parts


def test_a_class_with_a_comma_is_named_as_in_a_table():
    names = ("goldfish, Carassius", "dog")
    assert filling('"goldfish, Carassius"=9', np.array([4, 2]), names) == {0: 5}
    assert exactly(3, names, separated('"goldfish, Carassius"')) == {0: 3}
    with pytest.raises(
        DataError, match=r"class 'goldfish' is not known.*; a name with a comma stands in double quotes"
    ):
        exactly(3, names, separated("goldfish, Carassius"))


def test_more_than_anybody_waits_for():
    for n in (10**9 + 1, 10**18):
        with pytest.raises(DataError, match="give 1 to 1,000,000,000"):
            exactly(n, NAMES)
        with pytest.raises(DataError, match="ask for 1,000,000,000 at most"):
            filling(f"dog={n + 5}", COUNTS, NAMES)
        with pytest.raises(DataError, match="give 0 to 1,000,000,000"):
            checked_counts({0: n}, NAMES)
    assert exactly(10**9, NAMES)[0] == 10**9
    for wish in ("9" * 5000, "dog=" + "9" * 5000):
        with pytest.raises(DataError, match="is not max, a number") as caught:
            filling(wish, COUNTS, NAMES)
        assert len(str(caught.value)) < 200
