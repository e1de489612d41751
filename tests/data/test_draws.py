"""Training draws: nested, uneven where that is asked for, and refused in words that help."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from augmentgan.data.draws import Imbalance, draw_training, draws_of, parse_imbalance
from augmentgan.errors import DataError


def test_draws_are_nested_and_tested_on_the_same_images(pool):
    draws = list(draws_of(pool, [5, 10, 20], 3, test_fraction=0.2))
    assert [draw.name for draw in draws][:4] == ["5-r0", "10-r0", "20-r0", "5-r1"]
    for k in range(0, 9, 3):
        small, middle, large = draws[k : k + 3]
        assert set(small.train) < set(middle.train) < set(large.train)
        assert small.test.tolist() == middle.test.tolist() == large.test.tolist()
        assert not set(large.train) & set(large.test)
        assert np.bincount(pool.labels[middle.train]).tolist() == [10] * 10
    assert draws[0].test.tolist() != draws[3].test.tolist()
    fixed = replace(pool, split=(np.arange(len(pool)) % 4 == 0).astype(np.int64))
    own = list(draws_of(fixed, [5], 2, test_fraction=0.2))
    assert own[0].test.tolist() == own[1].test.tolist() == list(range(0, len(pool), 4))
    assert own[0].train.tolist() != own[1].train.tolist()


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("10:1", [2] * 5 + [20] * 5),
        ("step:4:1", [5] * 5 + [20] * 5),
        ("long-tail:10:1", [2, 3, 3, 4, 6, 7, 9, 12, 15, 20]),
    ],
)
def test_imbalance(pool, text, counts):
    wish = parse_imbalance(text)
    assert parse_imbalance(str(wish)) == wish
    first, second = draws_of(pool, [20], 2, test_fraction=0.2, imbalance=wish)
    found = [np.bincount(pool.labels[draw.train]) for draw in (first, second)]
    assert sorted(found[0]) == sorted(found[1]) == counts
    assert found[0].tolist() != found[1].tolist()  # another draw, other rare classes
    assert np.bincount(pool.labels[first.test]).tolist() == [8] * 10


@pytest.mark.parametrize("text", ["50", "1:1", "50:2", "wild:5:1", "step:x:1", "inf:1", ""])
def test_imbalance_that_is_none(text):
    with pytest.raises(DataError, match="not of the form 50:1"):
        parse_imbalance(text)


def test_draws_that_the_data_cannot_give(pool):
    with pytest.raises(DataError, match="largest class has 32"):
        list(draws_of(pool, [33], 1, test_fraction=0.2))
    with pytest.raises(DataError, match=r"rarest would keep 1, .* use --train-per-class 30 to 32"):
        list(draws_of(pool, [20], 1, test_fraction=0.2, imbalance=Imbalance("step", 15)))
    with pytest.raises(DataError, match="needs real test images"):
        list(draws_of(pool, [5], 1, test_fraction=0))


@pytest.mark.parametrize("kind", ["step", "long-tail"])
def test_what_is_told_of_an_imbalance_that_cannot_be_drawn_can_be_drawn(kind):
    """For small and large sets, ratios and sizes: whoever does as the message says gets a draw, and not the next message."""
    told = set()
    for smallest, ratio, size in itertools.product((2, 3, 4, 5, 9, 30, 101), (1.5, 2, 7.3, 50), (None, 2, 8, 31, 100)):
        labels = np.repeat([0, 1, 2], [smallest, smallest + 40, 150])
        rows = np.arange(len(labels))
        try:
            draw_training(labels, rows, 3, size, Imbalance(kind, ratio), seed=0)
        except DataError as error:
            hint = str(error).rpartition("; ")[2]
            told.add(hint.split()[1])
            if found := re.search(r"--imbalance (\S+)", hint):
                most = int(re.search(r"--train-per-class (\d+)", hint)[1])
                for level in (None, most):
                    draw_training(labels, rows, 3, level, parse_imbalance(found[1]), seed=0)
            elif found := re.findall(r"\d+", hint):
                for level in map(int, found):
                    draw_training(labels, rows, 3, level, Imbalance(kind, ratio), seed=0)
            else:
                for level in range(1, smallest + 1):
                    with pytest.raises(DataError):
                        draw_training(labels, rows, 3, level, Imbalance(kind, ratio), seed=0)
    assert told == {"--imbalance", "--train-per-class", "it"}
