from __future__ import annotations

import pytest

from objectives.metrics import exact_match, rate


@pytest.mark.parametrize(
    ("expected", "generated", "right"),
    [
        ("yes", "yes", True),
        ("yes", " yes\n", True),
        ("yes", "Yes", False),
        ("yes", "yes.", False),
        ("two words", "two  words", False),
        ("", "  ", True),
    ],
)
def test_forgives_white_space_at_the_ends_alone(expected: str, generated: str, right: bool) -> None:
    assert exact_match([expected], [generated]) == rate([right])


def test_is_the_share_of_rows() -> None:
    assert exact_match(["a", "b", "c", "d"], ["a", "b", "c", "x"]).value == 0.75
