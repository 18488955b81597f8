from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from objectives.base import Value
from ratio_search.hyperparameters import Choice, Hyperparameter, Real
from ratio_search.model.points import PointSpace
from ratio_search.record import Record
from ratio_search.sampler.design import filling
from ratio_search.space import SimplexSpace
from tests.ratio_search.trials import trial

UNIFORM = dict.fromkeys("abc", 1 / 3)
RATE: Hyperparameter = Real(low=1e-5, high=1e-2, log=True)
RANK: Hyperparameter = Choice(choices=(8, 32, 128))


def designed(n: int, hyperparameters: Mapping[str, Hyperparameter], first: Mapping[str, Value]) -> list[Record]:
    """Equal shares, and what fills the space after them."""
    space = PointSpace(simplex=SimplexSpace.of(dict.fromkeys("abc", (0.0, 1.0))), hyperparameters=hyperparameters)
    records = [trial(0, UNIFORM, {"x": 0.0}, hyperparameters=first)]
    for number in range(1, n + 1):
        found = filling(space, records, seed=0)
        records.append(trial(number, found.mixture, {"x": 0.0}, hyperparameters=found.hyperparameters))
    return records


def moved(records: list[Record]) -> list[float]:
    """The parts of the rows that are other ones than with equal shares."""
    return [
        0.5 * sum(abs(record.job.mixture[name] - 1 / 3) for name in "abc") for record in records if record.job.mixture
    ]


def test_mixtures_are_wide_from_the_first_on_and_not_all_corners() -> None:
    records = designed(6, {}, {})
    assert min(moved(records[1:])) > 0.15
    shares = np.array([list(record.job.mixture.values()) for record in records if record.job.mixture])
    assert shares.max() > 0.6 and np.all(shares.max(axis=1) < 0.95)


@pytest.mark.parametrize("kinds", [{"rank": RANK}, {"rate": RATE}, {"rate": RATE, "rank": RANK}], ids=list)
def test_mixtures_and_each_hyperparameter_are_filled_alike(kinds: Mapping[str, Hyperparameter]) -> None:
    first = {name: kind.decode([0.5]) if isinstance(kind, Real) else 8 for name, kind in kinds.items()}
    records = designed(6, kinds, first)
    # As wide as without hyperparameters.
    assert min(moved(records[1:])) > 0.15
    tried = [record.job.hyperparameters for record in records]
    if "rank" in kinds:
        ranks = [values["rank"] for values in tried]
        assert set(ranks[:3]) == {8, 32, 128} and min(ranks.count(rank) for rank in (8, 32, 128)) == 2
    if "rate" in kinds:
        places = sorted(RATE.encode(values["rate"])[0] for values in tried)
        assert places[0] < 0.25 and places[-1] > 0.75 and max(np.diff(places)) < 0.35
