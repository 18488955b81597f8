"""What is read from a file of SQLite is what Optuna reads from it, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from ratio_search.distributions import distribution
from ratio_search.hyperparameters import Choice, Hyperparameter, Real, Whole
from ratio_search.stored_trials import OptunaTrials, SqliteTrials, StoredTrial, stored_trials

SEARCHED: dict[str, Hyperparameter] = {
    "share/a": Real(low=0, high=1),
    "rate": Real(low=1e-5, high=1e-3, log=True),
    "steps": Whole(low=50, high=200, step=50),
    "lora.rank": Whole(low=4, high=64, log=True),
    "method": Choice(choices=("lora", "full", 3, 0.5)),
    "packed": Choice(choices=(True, False)),
}
KNOWN = {"origin": "random", "basis": [1, 2], "seeds": {"data": 2**32 - 1}, "words": 'ü "\n', "nothing": None}


class Both:
    """A study in a file beside another one, and what is read of it in both ways."""

    def __init__(self, file: Path) -> None:
        self.storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
        other = optuna.create_study(study_name="another", storage=self.storage)
        self.study = optuna.create_study(study_name="small", storage=self.storage)
        other.tell(other.ask(), 1.0)
        self.stored = stored_trials(self.study, self.storage)

    def begin(self) -> optuna.Trial:
        trial = self.study.ask({name: distribution(of) for name, of in SEARCHED.items()})
        for name, value in KNOWN.items():
            trial.set_user_attr(name, value)
        return trial

    def check(self) -> list[TrialState]:
        """That both say the same; the states of the trials."""
        optunas = OptunaTrials(self.study, self.storage)
        found = self.stored.all()
        assert [told(trial) for trial in found] == [told(trial) for trial in optunas.all()]
        for trial in self.study.trials:
            assert told(self.stored.one(trial._trial_id)) == told(optunas.one(trial._trial_id))
        return [trial.state for trial in found]


def told(trial: StoredTrial) -> tuple[object, ...]:
    times = (trial.datetime_start, trial.datetime_complete)
    values = [(name, type(value), value) for name, value in trial.params.items()]
    return trial.number, trial.state, values, dict(trial.distributions), dict(trial.user_attrs), times


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "study.db")


def test_a_file_is_read_from_its_tables_and_memory_by_optuna(both: Both) -> None:
    memory = optuna.storages.InMemoryStorage()
    assert isinstance(both.stored, SqliteTrials)
    assert isinstance(stored_trials(optuna.create_study(storage=memory), memory), OptunaTrials)


def test_a_study_without_trials_has_none(both: Both) -> None:
    assert both.check() == []


def test_trials_are_as_optuna_reads_them_in_every_state(both: Both) -> None:
    running, complete, failed = (both.begin() for _ in range(3))
    both.study.tell(complete, 0.5)
    both.study.tell(failed, state=TrialState.FAIL)
    both.study.ask()  # without anything known of it
    both.study.add_trial(create_trial(value=1.0, user_attrs=KNOWN))
    states = [TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.COMPLETE]
    assert both.check() == states
    assert running.number == 0


def test_what_changes_is_read_again_whoever_changed_it(both: Both, tmp_path: Path) -> None:
    slow, quick = both.begin(), both.begin()
    both.study.tell(quick, 0.5)
    both.check()
    slow.set_user_attr("origin", "another")
    both.begin()
    assert both.check() == [TrialState.RUNNING, TrialState.COMPLETE, TrialState.RUNNING]
    elsewhere = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path}/study.db")
    elsewhere.tell(slow.number, 0.25)
    elsewhere.ask().set_user_attr("origin", "elsewhere")
    assert both.check() == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING, TrialState.RUNNING]


def test_what_is_closed_is_not_read_again(both: Both) -> None:
    open_, closed = both.begin(), both.begin()
    both.study.tell(closed, 0.5)
    first, again = both.stored.all(), both.stored.all()
    assert first[1] is again[1]
    assert first[0] is not again[0]
    both.study.tell(open_, 0.5)
    last = both.stored.all()
    assert both.stored.all()[0] is last[0]


@pytest.mark.parametrize("trial_id", [0, 99, 1])
def test_a_trial_that_is_not_there_or_another_studys_is_missed(both: Both, trial_id: int) -> None:
    """The other study's one is the storage's first."""
    both.begin()
    with pytest.raises(KeyError):
        both.stored.one(trial_id)
