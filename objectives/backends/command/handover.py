"""What a trainer is told, and where it answers: the files of docs/command-objective.md."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from objectives.attempt import write_json
from objectives.base import Context, Job, Measurement, Progress
from objectives.data import Blend, Dataset, Format, Tally, blended
from objectives.errors import MixtureError, ResultError
from objectives.log import last_lines, printable
from objectives.mixture import Mixture

NEWS_BYTES = 65_536
"""At most this much of what a trainer has added to its file of progress is read at a time: the end of it."""

LONGEST_NOTE = 200
"""Characters of a note that are shown and kept."""


@dataclass(frozen=True, kw_only=True)
class Handover:
    """The files that a job's trainer reads and writes, all in the attempt's folder.

    Attributes:
        job: what to run.
        context: where the attempt may write; absolute folders.
        blend: the rows to train on; None for the untuned baseline.
        tests: files that each domain is evaluated on.
    """

    job: Job
    context: Context
    blend: Blend | None
    tests: Mapping[str, Sequence[Path]]

    @cached_property
    def tally(self) -> Tally | None:
        """What the trainer is given to train on; None for the untuned baseline."""
        return None if self.blend is None else self.blend.tally()

    @property
    def job_file(self) -> Path:
        """What the trainer is told; its path is in the environment variable."""
        return self.context.folder / "handover.json"

    @property
    def train_file(self) -> Path:
        """The blended rows, in training order."""
        return self.context.folder / "train.jsonl"

    @property
    def result_file(self) -> Path:
        """What the trainer measured. Not the attempt's own result, which appears only after this is judged."""
        return self.context.folder / "metrics.json"

    @property
    def progress_file(self) -> Path:
        """How far the trainer is, one line at a time."""
        return self.context.folder / "progress.jsonl"

    @property
    def log_file(self) -> Path:
        """The trainer's standard output and error."""
        return self.context.folder / "log.txt"

    def write(self, train: Mapping[str, Dataset], format_: Format) -> None:
        """Writes everything that the trainer reads, and removes what an earlier one left in this folder.

        Args:
            train: every domain's training rows.
            format_: in which they are written.

        Raises:
            DataError: a training file has changed since it was looked through.
        """
        self.result_file.unlink(missing_ok=True)
        self.progress_file.unlink(missing_ok=True)
        if self.blend is not None:
            partial = self.train_file.with_name(f"{self.train_file.name}.partial")
            # Every line is an object with other keys, so that its domain can be put in front.
            begins = [f'{{"domain":{json.dumps(name)},'.encode() for name in self.blend.mixture]
            with partial.open("wb") as file:
                for part, lines in blended(self.blend, train, format_):
                    for domain, line in zip(part.domains.tolist(), lines, strict=True):
                        file.write(begins[domain] + line[1:] + b"\n")
            partial.replace(self.train_file)
        write_json(
            self.job_file,
            {
                **self.job.to_json(),
                "rows": {} if self.tally is None else self.tally.rows,
                "train_file": None if self.blend is None else str(self.train_file),
                "test_files": {name: [str(path) for path in paths] for name, paths in self.tests.items()},
                "folder": str(self.context.folder),
                "checkpoint_folder": str(self.context.checkpoint),
                "progress_file": str(self.progress_file),
                "result_file": str(self.result_file),
            },
        )

    def result(self) -> Measurement:
        """What the trainer measured; shares and rows that it does not state are the blend's.

        Raises:
            ResultError: there is no result, or it cannot be used.
        """
        try:
            data = json.loads(self.result_file.read_bytes())
        except FileNotFoundError:
            raise ResultError("the trainer ended without an error, but wrote no result; expected a JSON file") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ResultError(f"the trainer's result is not JSON: {error}") from error
        measured = Measurement.from_json(data)
        known = [field.name for field in dataclasses.fields(Measurement)]
        for key in data:
            if key not in known:
                raise ResultError(f"unknown key {key!r} in the trainer's result; known are {', '.join(known)}")
        for name, amount in measured.cost.items():
            if amount < 0:
                raise ResultError(f"cost {name!r} in the trainer's result: expected a number >= 0, found {amount:g}")
        for name in measured.metrics:
            domain, _, metric = name.partition("/")
            if domain not in self.tests or not metric or not metric.isprintable():
                raise ResultError(
                    f"metric {name!r} in the trainer's result: expected '<domain>/<metric>' of a domain with test "
                    f"files, which are {', '.join(self.tests)}"
                )
        return self._completed(measured)

    def _completed(self, measured: Measurement) -> Measurement:
        mixed = () if self.blend is None else self.blend.mixture.names
        for name in [*measured.rows, *(measured.realised or ())]:
            if name not in mixed:
                raise ResultError(
                    f"rows or realised in the trainer's result: {name!r} is not in the mixture of this job, which has "
                    f"{', '.join(mixed) or 'none: the baseline trains nothing'}"
                )
        if self.tally is None:
            return measured
        rows = {name: measured.rows.get(name, 0) for name in mixed} if measured.rows else self.tally.rows
        shares = measured.realised or (rows if measured.rows else self.tally.realised)
        try:
            realised = Mixture.from_weights({name: shares.get(name, 0) for name in mixed})
        except (MixtureError, OverflowError) as error:
            raise ResultError(f"rows or realised in the trainer's result: {error}") from error
        return dataclasses.replace(measured, rows=rows, realised=realised)

    def log(self) -> str:
        """The last lines of the trainer's output."""
        return last_lines(self.log_file)


class ProgressFile:
    """Reads a file of progress while a trainer appends to it; it may never appear."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def news(self) -> Iterator[Progress]:
        """The last of the lines that were completed since the last call; none if none is progress."""
        try:
            with self._path.open("rb") as file:
                new = file.seek(0, os.SEEK_END) - self._read
                self._read += max(0, new - NEWS_BYTES)
                file.seek(self._read)
                text = file.read(NEWS_BYTES)
        except OSError:
            return
        complete = text[: text.rfind(b"\n") + 1]
        self._read += len(complete)
        for line in reversed(complete.splitlines()):
            progress = _progress(line)
            if progress is not None:
                yield progress
                return


def _progress(line: bytes) -> Progress | None:
    """The progress that a line reports; None for any other line, since a mere report must not fail a fine-tune."""
    try:
        data = json.loads(line)
        step, total, note, cost = data["step"], data["total"], data.get("note", ""), data.get("cost", {})
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    if type(step) is not int or type(total) is not int or not isinstance(note, str) or not 0 <= step <= total:
        return None
    if not isinstance(cost, dict) or not all(map(_is_amount, cost.values())):
        return None
    return Progress(step=step, total=total, note=printable(note[:LONGEST_NOTE]), cost=cost)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
