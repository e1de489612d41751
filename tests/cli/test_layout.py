"""Lines that several commands say."""

import pytest

from augmentgan.cli.layout import numbers_renamed


@pytest.mark.parametrize(
    ("class_names", "said"),
    [
        (("0", "1", "2"), None),
        (("cat", "dog"), None),
        (("1", "cat"), None),
        (("1", "2", "3"), "label 0 is class '1'"),
        (("0", "1", "10", "2"), "label 2 is class '10'"),
        (("-1", "1"), "label 0 is class '-1'"),
    ],
)
def test_numbers_that_are_not_the_labels_are_told(class_names, said):
    line = numbers_renamed(class_names)
    assert line is None if said is None else line.endswith(said)
