from __future__ import annotations

import dataclasses

import pytest

from objectives.base import Seeds
from objectives.mixture import Mixture
from ratio_search.rerun import FIRST_REPLICATE, Rerun

from .trials import trial

HALVES = Mixture.of({"a": 0.5, "b": 0.5})
RERUN = Rerun(mixture=HALVES, hyperparameters={"rate": 1e-4}, replicate=1, split="0123")


def test_its_seeds_are_those_of_no_trial_and_of_every_mixture_of_its_replicate() -> None:
    assert RERUN.seeds(7) == dataclasses.replace(RERUN, mixture=None).seeds(7) == Seeds.of(7, FIRST_REPLICATE + 1)
    assert RERUN.seeds(7) not in [Seeds.of(7, replicate) for replicate in range(FIRST_REPLICATE)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (RERUN, True),
        (dataclasses.replace(RERUN, mixture=Mixture.of({"a": 0.50005, "b": 0.49995})), True),
        (dataclasses.replace(RERUN, mixture=Mixture.of({"a": 0.51, "b": 0.49})), False),
        (dataclasses.replace(RERUN, mixture=None), False),
        (dataclasses.replace(RERUN, hyperparameters={"rate": 1e-3}), False),
        (dataclasses.replace(RERUN, replicate=0), False),
        (dataclasses.replace(RERUN, split="4567"), False),
    ],
)
def test_it_knows_its_own_job(other: Rerun, same: bool) -> None:
    record = trial(0, HALVES, hyperparameters={"rate": 1e-4})
    record = dataclasses.replace(record, origin=RERUN.origin, replicate=1)
    assert other.same(record) is same
