from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ratio_search.space import Group
from ratio_search.space.parts import Parts
from ratio_search.space.supports import Supports
from tests.ratio_search.asked import Asked, asked


def sets(found: Supports) -> Iterator[NDArray[np.bool_]]:
    """All sets of parts that will do, by trying every one."""
    parts = found.parts
    for chosen in itertools.product([False, True], repeat=len(parts.names)):
        taken = np.array(chosen)
        held = parts.sums(np.where(taken, parts.upper, 0.0))
        if (
            parts.count[taken].sum() <= found.at_most
            and np.all(taken | (parts.lower == 0))
            and np.all(held >= parts.least - 1e-9)
            and np.minimum(held, parts.most).sum() >= 1 - 1e-9
        ):
            yield taken


def supports(wanted: Asked) -> Supports:
    assert wanted.at_most is not None
    return Supports(parts=Parts.of(wanted.bounds, wanted.groups).tightened(), at_most=wanted.at_most)


@settings(max_examples=40, deadline=None)
@given(asked(grids=(None,)).filter(lambda found: found.at_most is not None), st.integers(0, 2**32 - 1))
def test_the_set_that_is_chosen_is_the_first_that_the_scores_lead_to(wanted: Asked, seed: int) -> None:
    found = supports(wanted)
    possible = [taken & (found.parts.upper > 0) for taken in sets(found)]
    scores = np.random.default_rng(seed).random((4, len(found.parts.names)))
    for taken, score in zip(found.choose(scores), scores, strict=True):
        kept = possible
        for i in np.argsort(-score):
            kept = [one for one in kept if one[i]] or kept
        assert any(np.array_equal(taken, one) for one in kept)


@settings(max_examples=40, deadline=None)
@given(asked(grids=(None,)).filter(lambda found: found.at_most is not None), st.data())
def test_how_far_a_set_reaches_is_the_best_of_all_sets(wanted: Asked, data: st.DataObject) -> None:
    found = supports(wanted)
    n = len(found.parts.names)
    taken, left = (np.array([data.draw(st.lists(st.booleans(), min_size=n, max_size=n))]) for _ in "ab")
    left &= ~taken & ~found.forced
    [most] = found.reach(taken, left)
    able = any(np.all(one[taken[0]]) and not np.any(one[left[0]]) for one in sets(found))
    assert (most >= 1 - 1e-9) == able


def test_a_set_of_shares_is_kept_where_it_will_do() -> None:
    bounds = dict.fromkeys("abcd", (0.0, 0.6))
    found = Supports(parts=Parts.of(bounds, []).tightened(), at_most=2)
    shares = np.array([[0.5, 0.5, 0, 0], [0.4, 0.2, 0.3, 0.1], [1.0, 0, 0, 0], [0.5, 1e-14, 0.5, 0]])
    assert found.of(shares).astype(int).tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0]]


def test_a_part_counts_all_its_domains() -> None:
    pair = Group.of("pair", ["a", "b"], proportions={"a": 1, "b": 1})
    found = Supports(parts=Parts.of(dict.fromkeys("abcd", (0.0, 1.0)), [pair]).tightened(), at_most=2)
    assert found.choose(np.array([[3.0, 2, 1], [2.0, 3, 1], [1.0, 3, 2]])).astype(int).tolist() == [
        [1, 0, 0],
        [0, 1, 1],
        [0, 1, 1],
    ]
