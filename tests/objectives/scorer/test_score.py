from __future__ import annotations

from tests.objectives.scorer.judges import judged


def test_scores_with_the_same_key_are_equal() -> None:
    assert judged(0.5, 1.0) == judged(1.0, 0.5)
    assert hash(judged(0.5, 1.0)) == hash(judged(1.0, 0.5))
    assert judged(0.5, 1.0) != judged(0.5, 1.5)
    assert judged(0.5, 1.0) != "a score"
