"""The lifecycle of a study, and the only writer of its storage."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from optuna.study import StudyDirection

from objectives.base import Job
from objectives.errors import DataError, OptionsError
from objectives.metrics import Goal
from ratio_search.budget import Foreseen
from ratio_search.charter import Charter
from ratio_search.distributions import incompatible
from ratio_search.errors import IdentityError, StudyError
from ratio_search.identity import differences, listed
from ratio_search.in_flight import InFlight
from ratio_search.lineup import Lineup
from ratio_search.past_runs import Imported, PastRuns
from ratio_search.record import JobState, Record
from ratio_search.rerun import Rerun
from ratio_search.sampler.strategy import check_installed
from ratio_search.spec import StudySpec
from ratio_search.standing import (
    DENIED,
    DISCARDED,
    DRIVER_HOURS,
    EARLY_STOP,
    FORESEEN,
    IDENTIFIER,
    LINEUP,
    OVERRIDES,
    POLICY,
    overridden,
)
from ratio_search.stopping import EarlyStop, StopKind
from ratio_search.storage import StudyFolder, StudyHome, StudyMemory
from ratio_search.study_file import SearchSection, StorageKind
from ratio_search.yaml_file import read, validated

IDENTIFIER_DIGITS = 8
"""Digits that tell a study from others of its name."""

_DIRECTIONS = {Goal.MAXIMIZE: StudyDirection.MAXIMIZE, Goal.MINIMIZE: StudyDirection.MINIMIZE}


class Study(InFlight):
    """A search for the best mixture, kept in a folder so that it can go on after anything.

    Reading is safe at any time and from any process. Only one process may call what changes the study, and
    must hold its `Lease`.
    """

    # Making and opening

    @classmethod
    def create(cls, spec: StudySpec, runs: str | Path = "runs") -> Self:
        """Makes a new study; its folder appears complete or not at all, and there is none where it is kept in memory.

        Args:
            spec: what the study is.
            runs: folder that holds the folders of studies.

        Raises:
            StudyError: a study of this name is there; the message says how to go on.
            IdentityError: likewise, and it is not the same study; the differing paths are listed.
            DataError, SpecError: the study's data cannot be used, or what its sampler needs is not installed.
        """
        check_installed(spec.search.sampler)
        folder = StudyFolder(Path(runs) / spec.name, spec.server)
        home: StudyHome = StudyMemory(spec.name) if spec.storage is StorageKind.MEMORY else folder
        if not home.exists:
            home.check_new()
        charter = Charter.of(spec)
        if home.exists:
            raise cls._there_already(folder, spec, charter)
        home.make(spec.text, charter, {metric.name: _DIRECTIONS[metric.goal] for metric in spec.metrics})
        home.log("created")
        return cls(spec, home, charter.manifest)

    @classmethod
    def open(cls, folder: str | Path | StudyFolder, root: Path | None = None) -> Self:
        """Opens a study for reading, by the study file in its folder and the data as it was.

        Args:
            folder: the study's.
            root: absolute folder that relative paths refer to, where that is another one by now; see `relocate`.

        Raises:
            StudyError: there is no study, or it is damaged.
            IdentityError: the study file in the folder was edited into another study's.
            SpecError: it was edited into something that cannot be used.
        """
        folder = folder if isinstance(folder, StudyFolder) else StudyFolder(Path(folder))
        charter = folder.charter()
        spec = StudySpec.parse(read(folder.study_file), root or charter.root, source=str(folder.study_file))
        if spec.storage is StorageKind.MEMORY:
            raise StudyError(
                f"{folder.study_file}: storage: expected sqlite, or the URL of the database that keeps this study; "
                f"found {spec.storage}; put it back"
            )
        # Without these two the records could not even be read.
        before, now = (
            {key: side.get(key) for key in ("name", "domains")} for side in (charter.identity, spec.identity)
        )
        if differing := differences(before, now):
            raise IdentityError(
                f"{folder.study_file}: describes another study now, because this changed:\n{listed(differing)}\n"
                "put it back, or launch a new study under another name"
            )
        study = cls(spec, folder.kept_by(spec.server), charter.manifest)
        study._check_hyperparameters()
        return study

    @classmethod
    def reopen(cls, spec: StudySpec, runs: str | Path = "runs") -> Self | None:
        """Opens the study that a study file describes; None where it was not made yet.

        Args:
            spec: of the study file.
            runs: folder that holds the folders of studies.

        Raises:
            IdentityError: another study of this name is there; the differing paths are listed.
            StudyError: it is damaged.
        """
        folder = StudyFolder(Path(runs) / spec.name)
        if not folder.exists:
            return None
        charter = Charter.of(spec)
        if differences(folder.charter().identity, charter.identity):
            raise cls._there_already(folder, spec, charter)
        return cls.open(folder)

    def _check_hyperparameters(self) -> None:
        """Checks that values of what is searched now can be kept beside those that were tried."""
        differing = incompatible(self._trials.distributions, self.spec.hyperparameters)
        if differing:
            lines = [f"search.hyperparameters.{name}: {how}" for name, how in differing.items()]
            raise IdentityError(
                f"{self.home.place}: bounds and steps of a hyperparameter may change, but not its kind, its scale or "
                f"its choices, once it was tried:\n{listed(lines)}\n"
                "put it back, give it another name, or launch a new study"
            )

    @classmethod
    def _there_already(cls, folder: StudyFolder, spec: StudySpec, charter: Charter) -> StudyError:
        """Why a study cannot be made where one of its name is, and how to go on."""
        differing = differences(folder.charter().identity, charter.identity)
        if differing:
            return IdentityError(
                f"{folder.path} holds another study of this name; it differs in:\n{listed(differing)}\n"
                "give the new one another name, or remove that folder"
            )
        how = f"Study.open({str(folder.path)!r})" if spec.backend.EXTERNAL else f"`ratio-search resume {folder.path}`"
        message = f"{folder.path}: the study is already there; {how} goes on with it, or give the new one another name"
        changed = differences(cls.open(folder).spec.policy, spec.policy)
        if changed:
            message += f"\nits own study file, {folder.study_file}, says otherwise here:\n{listed(changed)}"
        return StudyError(message)

    def check_identity(self) -> None:
        """Checks that results of now could be compared with those on record: reads all data again.

        Raises:
            IdentityError: the data or the study file's identity changed; the differing paths are listed.
            DataError: data can no longer be read.
        """
        try:
            now = Charter.of(self.spec).identity
        except (DataError, OptionsError) as error:
            if all(file.exists() for d in self.spec.domains for file in (*d.train, *d.test, *d.final)):
                raise
            raise type(error)(
                f"{error}\nrelative paths of {self.home.place} start from {self.spec.root}; if its data lies elsewhere "
                f"by now, say where once: ratio-search resume {self.home.place} --data-root DIR"
            ) from error
        differing = differences(self.home.charter().identity, now)
        if differing:
            raise IdentityError(
                f"{self.home.place}: results would no longer be comparable, because this changed:\n"
                f"{listed(differing)}\nput it back, or launch a new study under another name"
            )

    # Changing: one process at a time

    def ask(self) -> Job | None:
        """The next new job, its intent stored: the baseline first, then trials; None when enough are asked for.

        With `search.stop: auto` it is also None while what still runs may turn out to be enough; ask again once a
        trial is told.
        """
        seed = self.spec.search.seed
        if self.spec.baseline and ((baseline := self.baseline()) is None or baseline.state is JobState.FAILED):
            return self._references.add(None, [], {}, seed)
        records = self._trials.records()
        if sum(r.state is not JobState.FAILED and not r.imported for r in records) >= self.spec.search.trials:
            return None
        self._sampler.scorer, self._sampler.trials = self.scorer(), self.spec.search.trials
        if self.spec.search.stop is StopKind.AUTO and not self._goes_on():
            return None
        return self._trials.add(self._sampler.propose(records), records, self.spec.hyperparameters, seed)

    def _goes_on(self) -> bool:
        """Whether to ask for another trial by `search.stop: auto`; that none is worth it is decided here, and kept."""
        stop, records = self.early_stop, self._trials.records()
        if stop is None:
            gain = self._too_little(records)
            if gain is None:
                return True
            if any(record.state is JobState.RUNNING for record in records):
                return False
            stop = self._stop_early(gain, records)
        if len(records) < stop.final:
            self._sampler.trials = self._last
            return True
        return False

    def _stop_early(self, gain: float, records: Sequence[Record]) -> EarlyStop:
        """Decides that no more trials are worth it, but for one of what is recommended, where that was not tried."""
        search = self.spec.search
        stop = EarlyStop(
            gain=gain,
            worth=search.worth,
            trials=search.trials,
            records=len(records),
            closing=self._closes(records),
            judgement=self._judgement,
        )
        self._optuna.set_user_attr(EARLY_STOP, stop.to_json())
        self.home.log("stopped_early", gain=gain, worth=search.worth, trials=self.complete)
        return stop

    def line_up(self, lineup: Lineup) -> None:
        """Notes who is compared from now on to confirm what the study recommends."""
        if lineup != self.lineup:
            self._optuna.set_user_attr(LINEUP, lineup.to_json())
            entrants = {entrant.name: dict(entrant.mixture) for entrant in lineup.entrants}
            self.home.log("confirming", entrants=entrants, replicates=lineup.replicates)

    def repeat(self, rerun: Rerun) -> Job:
        """A new job that confirms, its intent stored; it is judged on the final files."""
        return self._confirmations.repeat(rerun, self.spec.search.seed)

    def override(self, *, trials: int | None = None, parallel: int | None = None) -> None:
        """Runs the study with other numbers than its file states, from now on and until the file is edited.

        Args:
            trials: fine-tunes to finish in all, >= 1.
            parallel: fine-tunes at a time, >= 1.

        Raises:
            SpecError: a number is not what the study file's key expects.
        """
        wanted = {key: n for key, n in (("trials", trials), ("parallel", parallel)) if n is not None}
        validated(SearchSection, wanted, at="search")
        overrides = dict(self._optuna.user_attrs.get(OVERRIDES, {}))
        stated = StudySpec.parse(self.spec.text, self.spec.root)
        for key, value in wanted.items():
            overrides[key] = {"stated": getattr(stated.search, key), "now": value}
        self._optuna.set_user_attr(OVERRIDES, overrides)
        self.spec = overridden(stated, overrides)

    def foresee(self, foreseen: Foreseen) -> None:
        """Keeps what jobs are expected to cost, before any was run."""
        self._optuna.set_user_attr(FORESEEN, foreseen.to_json())

    def spend(self, hours: float) -> None:
        """Adds wall-clock hours of a driver to the study's account."""
        self._optuna.set_user_attr(DRIVER_HOURS, self.driver_hours + hours)

    def note_denied(self, why: str) -> None:
        """Keeps why the study's platform lets its driver do nothing, until the next one begins."""
        self._optuna.set_user_attr(DENIED, why)

    def note_discarded(self, job_id: str, place: str) -> None:
        """Keeps that something was deleted that a job had left on its platform.

        Raises:
            LeaseError: the study is somebody else's by now.
        """
        self.check_lease()
        self._optuna.set_user_attr(f"{DISCARDED}{job_id}", [*self.discarded(job_id), place])
        self.home.log("discarded", job=job_id, place=place)

    def begin(self) -> None:
        """Notes in the study's history that a driver starts, and which policy changed since the last one.

        From now on an anchor that failed before may be tried again, as its cause may be gone.

        Raises:
            StudyError: the database is an older copy than the folder.
        """
        self._check_known()
        if self.identifier is None:
            # Short, as it stands in names that a platform limits. Older studies have no mark.
            mark = self.home.charter().mark or secrets.token_hex(IDENTIFIER_DIGITS)
            self._optuna.set_user_attr(IDENTIFIER, mark[:IDENTIFIER_DIGITS])
        if self.denied is not None:
            self._optuna.set_user_attr(DENIED, None)
        self._sampler.forgiven = frozenset(record.number for record in self._trials.records(JobState.FAILED))
        last = self._optuna.user_attrs.get(POLICY, self.spec.policy)
        changed = differences(last, self.spec.policy)
        self.home.log("started", **({"policy_changed": changed} if changed else {}))
        self._optuna.set_user_attr(POLICY, self.spec.policy)

    def _check_known(self) -> None:
        """Checks that the database knows of every job that was started, or new ones would be taken for those."""
        unknown = self.home.started() - {record.job.id for record in self.jobs()}
        if unknown:
            raise StudyError(
                f"{self.home.place}: the database does not know of {', '.join(sorted(unknown))}, whose folders are in "
                "jobs/ there: it is an older copy; restore a newer one, or move these folders away, so that their work "
                "is done again"
            )

    def import_runs(self, source: str | Path | PastRuns) -> Imported:
        """Adds runs from elsewhere as finished trials, which are learned from but do not count as the study's own.

        Those that the study has already are left alone, so that the same file may be imported again.

        Args:
            source: a CSV file, or the runs that were read from one.

        Raises:
            DataError: anything in the file is wrong; then nothing is imported.
        """
        runs = source if isinstance(source, PastRuns) else PastRuns.read(source, self.spec)
        judged = self._optuna.metric_names or ()
        # By what was measured, as few runs have all values in common.
        known: dict[tuple[float, ...], list[Record]] = {}
        for record in self._trials.records(JobState.COMPLETE):
            known.setdefault(tuple(record.values[name] for name in judged), []).append(record)
        added = []
        for run in runs.runs:
            values = tuple(run.values[name] for name in judged)
            alike = known.setdefault(values, [])
            if not any(map(run.same, alike)):
                added.append(self._trials.take(run, self.spec.hyperparameters, values, self.spec.search.seed))
                alike.append(added[-1])
        found = Imported(
            source=runs,
            added=tuple(added),
            already=len(runs.runs) - len(added),
            outside=sum(not self.allows(record) for record in added),
        )
        self.home.log("imported", file=str(runs.path), runs=len(added), already=found.already)
        return found
