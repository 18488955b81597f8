"""Optuna's storage on a server, whose calls outlast a server that goes away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import optuna
from optuna.storages import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from ratio_search.storage.patience import Patience

P = ParamSpec("P")
T = TypeVar("T")


def _patient(method: Callable[Concatenate[_CachedStorage, P], T]) -> Callable[Concatenate[PatientStorage, P], T]:
    """A call that may be made again: made twice, it leaves what it leaves when it is made once."""

    def made_again(storage: PatientStorage, /, *args: P.args, **keywords: P.kwargs) -> T:
        return storage.patience.through(lambda: method(storage, *args, **keywords))

    return made_again


class PatientStorage(_CachedStorage):
    """Trials on a server.

    A connection may drop after a change was made and before that was said. So a call that failed is only made again
    where that does no harm, or after a look at what is there: there is one writer, and what is new is its own.

    Attributes:
        patience: how long a call waits.
    """

    def __init__(self, backend: optuna.storages.RDBStorage, patience: Patience) -> None:
        super().__init__(backend)
        self.patience = patience

    get_study_id_from_name = _patient(_CachedStorage.get_study_id_from_name)
    get_study_name_from_id = _patient(_CachedStorage.get_study_name_from_id)
    get_study_directions = _patient(_CachedStorage.get_study_directions)
    get_study_user_attrs = _patient(_CachedStorage.get_study_user_attrs)
    get_study_system_attrs = _patient(_CachedStorage.get_study_system_attrs)
    get_trial_id_from_study_id_trial_number = _patient(_CachedStorage.get_trial_id_from_study_id_trial_number)
    get_trial = _patient(_CachedStorage.get_trial)
    get_all_trials = _patient(_CachedStorage.get_all_trials)
    set_study_user_attr = _patient(_CachedStorage.set_study_user_attr)
    set_study_system_attr = _patient(_CachedStorage.set_study_system_attr)
    set_trial_param = _patient(_CachedStorage.set_trial_param)
    set_trial_user_attr = _patient(_CachedStorage.set_trial_user_attr)
    set_trial_system_attr = _patient(_CachedStorage.set_trial_system_attr)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Makes a trial; called again, it first looks whether that was done already."""
        known = {trial._trial_id for trial in self.get_all_trials(study_id, deepcopy=False)}
        tried = False

        def create() -> int:
            nonlocal tried
            if tried:
                trials = _CachedStorage.get_all_trials(self, study_id, deepcopy=False)
                if made := [trial._trial_id for trial in trials if trial._trial_id not in known]:
                    return made[-1]
            tried = True
            return _CachedStorage.create_new_trial(self, study_id, template_trial)

        return self.patience.through(create)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Closes a trial; called again, it first looks whether that was done already, with these very values."""
        tried = False

        def close() -> bool:
            nonlocal tried
            if tried:
                found = self._backend.get_trial(trial_id)
                if found.state is state and found.values == (None if values is None else list(values)):
                    return True
            tried = True
            return _CachedStorage.set_trial_state_values(self, trial_id, state, values)

        return self.patience.through(close)
