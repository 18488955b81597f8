"""The `hf` objective: fine-tunes a Hugging Face causal language model and evaluates every domain."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from objectives.backends.hf import HfBackend
from objectives.backends.hf.bench import Bench
from objectives.backends.hf.encoding import Encoded, EncodedSet
from objectives.backends.hf.evaluation import Evaluation, Reading, TestSet
from objectives.backends.hf.learner import Learner
from objectives.backends.hf.training import Schedule, Training
from objectives.backends.hf.writing import Exam, Writing
from objectives.base import Context, Job, Measurement, Progress
from objectives.data import Blend, Corpus
from objectives.errors import Cancelled, DeviceError, ObjectiveError
from objectives.metrics import ANSWERS, write_answers

REPORT_SECONDS = 0.5
"""Least time between two reports of progress."""


class HfObjective:
    """Fine-tunes and evaluates in this process, one job at a time.

    Every job begins with the same weights, whatever ran before it: the adapter is initialised anew from the
    job's training seed, or the trained weights are put back. Where a job trains another adapter than the last one,
    or by another method, the base model is loaded anew.
    """

    def __init__(
        self,
        settings: HfBackend,
        bench: Bench,
        corpus: Corpus,
        train: Mapping[str, EncodedSet],
        tests: Sequence[TestSet],
        exams: Sequence[Exam],
        reading: Reading,
    ) -> None:
        """Takes what all jobs share; `HfBackend.build` makes it.

        Args:
            settings: the study's; a job's hyperparameters replace some of them.
            bench: gives the base model, ready for a job.
            corpus: the study's data.
            train: domain to its training rows as tokens.
            tests: the domains' test rows.
            exams: those that are to be answered in words.
            reading: how a job's model is evaluated.
        """
        self._settings = settings
        self._bench = bench
        self._corpus = corpus
        self._train = dict(train)
        self._tests = tuple(tests)
        self._exams = tuple(exams)
        self._reading = reading

    def run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        """Trains on the job's mixture, unless it is the baseline, and evaluates every test set.

        The costs are those of this attempt, without what an earlier one did before its checkpoint.

        Raises:
            Cancelled: the context asked for it; a checkpoint has what is needed to go on.
            DataError: the mixture needs rows of a domain that has none.
            ObjectiveError: training diverged, or the GPU's memory is too small.
            DeviceError: the GPU failed.
        """
        try:
            yield from self._run(job, context)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise ObjectiveError(
                f"the GPU's memory is too small ({error}); lower objective.micro_batch_size, "
                "objective.eval_batch_tokens or objective.max_length"
            ) from error
        except torch.AcceleratorError as error:
            # From now on everything on that GPU fails in this process.
            raise DeviceError(f"the GPU failed: {error}") from error

    def _run(self, job: Job, context: Context) -> Iterator[Progress | Measurement]:
        wall, cpu = time.perf_counter(), time.process_time()
        settings = self._settings.with_hyperparameters(job.hyperparameters)
        blend = self._blend(job, settings.train_rows)
        tally = None if blend is None else blend.tally()
        learner = self._bench.learner(settings)
        learner.reset(job.seeds.training)
        training = None if blend is None else self._training(learner, blend, job, Schedule.of(settings))
        checkpoint = context.checkpoint / "training.pt"
        if training is not None:
            yield from self._fit(training, checkpoint, context)
        trained = time.perf_counter()
        evaluation = Evaluation(learner, self._tests, self._reading)
        yield from self._watched(_notes("evaluated", evaluation), training, checkpoint, context)
        # One generator for all mixtures: the luck of F1's resamples is then common to them.
        metrics = evaluation.metrics(np.random.default_rng(job.seeds.data))
        writing = self._writing(learner)
        yield from self._watched(_notes("answered", writing), training, checkpoint, context)
        evaluated = time.perf_counter()
        artefacts = {}
        if training is not None:
            artefact = "adapter" if learner.adapted else "model"
            learner.save(context.folder / artefact)
            artefacts[artefact] = artefact
        if self._exams:
            write_answers(context.folder / ANSWERS, writing.answers())
            artefacts["answers"] = ANSWERS
        yield Measurement(
            metrics=metrics | writing.metrics(),
            realised=None if tally is None else tally.realised,
            rows={} if tally is None else tally.rows,
            cost={
                "wall_seconds": time.perf_counter() - wall,
                "cpu_seconds": time.process_time() - cpu,
                "train_seconds": trained - wall,
                "evaluation_seconds": evaluated - trained,
                "gpu_seconds": settings.resources.gpus * (time.perf_counter() - wall),
                "tokens": 0 if training is None else training.tokens,
            },
            artefacts=artefacts,
        )

    def _writing(self, learner: Learner) -> Writing:
        reading = self._reading
        return Writing(learner, self._exams, max_length=reading.max_length, batch_tokens=reading.batch_tokens)

    def _blend(self, job: Job, rows: int) -> Blend | None:
        if job.mixture is None:
            return None
        return self._corpus.blend(
            job.mixture,
            seed=job.seeds.data,
            rows=rows,
            lengths={name: rows.lengths for name, rows in self._train.items()},
        )

    def _training(self, learner: Learner, blend: Blend, job: Job, schedule: Schedule) -> Training:
        domains, rows = (
            np.concatenate(parts) for parts in zip(*((p.domains, p.rows) for p in blend.parts()), strict=True)
        )
        data = []
        order = np.stack([domains, rows], axis=1)
        for number, name in enumerate(blend.mixture):
            here = domains == number
            wanted, order[here, 1] = np.unique(rows[here], return_inverse=True)
            data.append(self._train[name].encoded(wanted) if len(wanted) else Encoded.of([]))
        return Training(learner, data, order, schedule, job.seeds.training)

    def _fit(self, training: Training, checkpoint: Path, context: Context) -> Iterator[Progress]:
        if training.restore(checkpoint):
            yield self._progress(training, "continued from a checkpoint")
        every = self._settings.checkpoint_every
        pace = _Pace()
        while not training.done:
            _stop_if_asked(context, training, checkpoint)
            loss = training.advance()
            if every and (training.step % every == 0 or training.done):
                training.save(checkpoint)
            if pace.due() or training.done:
                yield self._progress(training, f"loss {loss:.3f}")

    def _watched(
        self, notes: Iterator[str], training: Training | None, checkpoint: Path, context: Context
    ) -> Iterator[Progress]:
        pace = _Pace()
        for note in notes:
            _stop_if_asked(context, training, checkpoint)
            if pace.due():
                yield self._progress(training, note)

    def _progress(self, training: Training | None, note: str) -> Progress:
        if training is None:
            return Progress(step=0, total=0, note=note)
        return Progress(step=training.step, total=training.steps, note=note, cost={"tokens": training.tokens})


class _Pace:
    """Says when a report is due: the first at once, the others not too often."""

    def __init__(self) -> None:
        self._last = -math.inf

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < REPORT_SECONDS:
            return False
        self._last = now
        return True


def _notes(what: str, under_way: Evaluation | Writing) -> Iterator[str]:
    return (f"{what} {done:,} of {under_way.total:,} rows" for done in under_way.run())


def _stop_if_asked(context: Context, training: Training | None, checkpoint: Path) -> None:
    if not context.cancelled():
        return
    if training is None:
        raise Cancelled("cancelled while the untuned model was evaluated")
    training.save(checkpoint)
    raise Cancelled(f"cancelled after {training.step} steps; a checkpoint has them")
