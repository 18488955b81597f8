"""The `sagemaker` objective: fine-tunes Amazon Nova in a serverless job, and has it evaluated by others."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import ClientError

from objectives.backends.sagemaker import SagemakerBackend, escrow
from objectives.backends.sagemaker.answered import answer_files, answered
from objectives.backends.sagemaker.blend import TrainingFile
from objectives.backends.sagemaker.client import clients
from objectives.backends.sagemaker.exams import Exams
from objectives.backends.sagemaker.measured import measured
from objectives.backends.sagemaker.percentages import Percentages
from objectives.backends.sagemaker.preflight import check_licence, group_arn, hub_model
from objectives.backends.sagemaker.reply import translated
from objectives.backends.sagemaker.request import Requests, base_model_arn, differences
from objectives.backends.sagemaker.results import Results, results_file
from objectives.backends.sagemaker.status import stage_status
from objectives.backends.sagemaker.store import Store
from objectives.base import Estimate, Job, Measurement
from objectives.data import Corpus, DataPolicy, Split, usable
from objectives.domain import Domain
from objectives.errors import NameInUse, ObjectiveError
from objectives.metrics import ANSWERS, Answer, write_answers
from objectives.mixture import Mixture
from objectives.remote import Leftover, StageRequest, StageStatus
from objectives.scorer import Metric

TRAIN = "train"
"""The stage that fine-tunes; its job makes the model that those of all other stages ask."""

MISSING = re.compile("not found|could not find|does not exist", re.IGNORECASE)
"""What is said of a job that there is not, by one name of error or another."""

Sent = Callable[[Path, str], str]
"""Sends a file of a content's digest to S3, or only says where it would be; its URI."""


class SagemakerObjective:
    """Fine-tunes and evaluates Amazon Nova on SageMaker; see `RemoteObjective`.

    A handle is a job's ARN. Where results lie is asked of the job itself, so that `objective.place` may change.
    """

    def __init__(
        self,
        settings: SagemakerBackend,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy,
        metrics: Sequence[Metric],
    ) -> None:
        """Looks through the rows, and makes the clients; `SagemakerBackend.build` makes it.

        Args:
            settings: the study's.
            domains: what can be mixed and tested.
            root: folder that relative paths refer to.
            policy: what the study wants of its data.
            metrics: what is judged.
        """
        self.poll_s = settings.poll_s
        self._settings = settings
        self._domains = tuple(domains)
        self._root = root.resolve()
        self._metrics = tuple(metrics)
        self._corpus = usable(Corpus.open(domains, self._root, policy), settings.capacity(self._root))
        self._exams = Exams.of(settings, domains, self._corpus.of(Split.TEST))
        self._clients = clients(settings)
        self._store = Store(self._clients.s3, settings.place, settings.kms_key)

    def stages(self, job: Job) -> tuple[str, ...]:
        """A fine-tune, but for the untuned model, then the evaluations."""
        return self._exams.stages if job.mixture is None else (TRAIN, *self._exams.stages)

    def submit(self, request: StageRequest) -> str:
        """Sends the stage's data, unless it is there, and creates its job."""
        check_licence(self._settings)
        with translated(f"starting {request.name}"):
            wanted = self._wanted(
                request,
                base_model=hub_model(self._clients, self._settings.base_model),
                group=group_arn(self._clients, self._settings.model_package_group),
                sent=self._sent,
            )
            answer = self._clients.sagemaker.create_training_job(**wanted)
            return str(answer["TrainingJobArn"])

    def find(self, request: StageRequest) -> str | None:
        """The job of this name, if it is the one that is wanted."""
        with translated(f"looking up {request.name}"):
            described = self._described(request.name)
            if described is None:
                return None
            wanted = self._wanted(
                request,
                base_model=base_model_arn(self._clients.region, self._settings.base_model),
                group=self._settings.model_package_group,
                sent=self._place,
            )
            if found := differences(described, wanted):
                raise NameInUse(
                    f"SageMaker's job {request.name!r} was asked for something else: {'; '.join(found)}; expected no "
                    "other program to use names of this study, and its files and settings as they were"
                )
            return str(described["TrainingJobArn"])

    def poll(self, stage: str, handle: str) -> StageStatus:
        """How a job is, by its description."""
        name = _name(handle)
        with translated(f"looking at {name}"):
            described = self._known(name)
        return stage_status(described, tunes=stage == TRAIN, now=datetime.datetime.now(datetime.UTC))

    def cancel(self, stage: str, handle: str) -> None:
        """Asks for a job's end, for which it has two minutes."""
        name = _name(handle)
        with translated(f"stopping {name}"):
            try:
                self._clients.sagemaker.stop_training_job(TrainingJobName=name)
            except ClientError as error:
                # One that is over, or ends anyway, is refused in words that may change.
                if error.response["Error"]["Code"] != "ValidationException" or not self._ends(name):
                    raise

    def result(self, job: Job, handles: Mapping[str, str], folder: Path) -> Measurement:
        """Fetches what evaluation jobs wrote, and judges the answers to the team's own rows here."""
        with translated(f"fetching the result of {job.id}"):
            answers = self._answers(handles)
            metrics = self._scores(handles)
            artefacts = self._artefacts(handles)
        if answers:
            write_answers(folder / ANSWERS, (answer for own in answers.values() for answer in own))
            artefacts["answers"] = ANSWERS
            # One generator for all mixtures: the luck of F1's resamples is then common to them.
            rng = np.random.default_rng(job.seeds.data)
            metrics |= measured(answers, self._corpus.of(Split.TEST), self._metrics, self._root, rng)
        if job.mixture is None:
            return Measurement(metrics=metrics, artefacts=artefacts)
        percentages = Percentages.of(job.mixture, self._domains)
        file = self._training_file(job, percentages, folder)
        file.path.unlink()  # it can be made again at any time
        return Measurement(
            metrics=metrics,
            realised=percentages.realised(file.own),
            rows=self._rows(job, percentages, file),
            artefacts=artefacts,
        )

    def leftovers(self, artefacts: Mapping[str, str]) -> tuple[Leftover, ...]:
        """The registered model, and its weights in Amazon's escrow."""
        return escrow.leftovers(artefacts)

    def discard(self, leftover: Leftover) -> None:
        """Deletes what a fine-tune left."""
        escrow.discard(leftover, self._clients, self._store)

    def _wanted(self, request: StageRequest, *, base_model: str, group: str, sent: Sent) -> dict[str, Any]:
        """The request that a stage comes to.

        Args:
            request: of the stage.
            base_model: ARN of the base model.
            group: ARN of the group of models.
            sent: what becomes of the stage's file.
        """
        settings = self._settings.with_hyperparameters(request.job.hyperparameters)
        requests = Requests(settings=settings, base_model=base_model, group=group)
        if request.stage == TRAIN:
            assert request.job.mixture is not None
            percentages = Percentages.of(request.job.mixture, self._domains)
            file = self._training_file(request.job, percentages, request.folder)
            data = sent(file.path, file.sha256)
            file.path.unlink()  # it is in S3, and can be made again at any time
            return requests.training(
                request.name, mix=percentages.hyperparameters(settings.platform_categories), data=data
            )
        model = self._tuned(request.handles)
        if (task := self._exams.benchmarks.get(request.stage)) is not None:
            return requests.benchmark(request.name, task=task, model=model)
        questions = self._exams.questions[request.stage]
        path = questions.write(request.folder)
        place = sent(path, questions.sha256)
        path.unlink()
        return requests.own_tests(request.name, questions=place, model=model)

    def _sent(self, path: Path, sha256: str) -> str:
        return self._store.put(path, sha256, path.name)

    def _place(self, path: Path, sha256: str) -> str:
        return self._store.join("data", sha256, path.name)

    def _training_file(self, job: Job, percentages: Percentages, folder: Path) -> TrainingFile:
        settings = self._settings.with_hyperparameters(job.hyperparameters)
        return TrainingFile.make(
            self._corpus,
            percentages,
            seed=job.seeds.data,
            rows=settings.train_rows,
            batch_size=settings.batch_size,
            folder=folder,
        )

    def _rows(self, job: Job, percentages: Percentages, file: TrainingFile) -> dict[str, int]:
        """Rows of the team's domains that a job trained on; its file can have more, where that would be very few."""
        settings = self._settings.with_hyperparameters(job.hyperparameters)
        return Mixture.from_weights(file.rows).counts(percentages.taken(settings.train_rows))

    def _tuned(self, handles: Mapping[str, str]) -> str | None:
        """ARN of the model that a job's fine-tune made; None for the untuned one."""
        return None if TRAIN not in handles else _made(self._known(_name(handles[TRAIN])))

    def _ends(self, name: str) -> bool:
        described = self._described(name)
        return described is not None and described["TrainingJobStatus"] != "InProgress"

    def _known(self, name: str) -> dict[str, Any]:
        described = self._described(name)
        if described is None:
            raise ObjectiveError(
                f"{name}: SageMaker knows no such job in {self._clients.region}; it may have been deleted, or be in "
                "another region"
            )
        return described

    def _described(self, name: str) -> dict[str, Any] | None:
        """A job as the service describes it; None where there is none."""
        try:
            described: dict[str, Any] = self._clients.sagemaker.describe_training_job(TrainingJobName=name)
        except ClientError as error:
            said = error.response["Error"]
            missing = said["Code"].startswith("ResourceNotFound") or (
                said["Code"] == "ValidationException" and MISSING.search(said["Message"]) is not None
            )
            if missing:
                return None
            raise
        return described

    def _answers(self, handles: Mapping[str, str]) -> dict[str, list[Answer]]:
        """Answers to the team's own rows, by domain."""
        found: dict[str, list[Answer]] = {}
        for stage, questions in self._exams.questions.items():
            files = answer_files(self._output(self._known(_name(handles[stage]))))
            found |= answered((line for uri in files for line in self._store.lines(uri)), questions)
        return found

    def _scores(self, handles: Mapping[str, str]) -> dict[str, Estimate]:
        """What came of public benchmarks, for each domain that asked for them."""
        found: dict[str, Estimate] = {}
        for stage, task in self._exams.benchmarks.items():
            file = results_file(self._output(self._known(_name(handles[stage]))))
            estimate = Results.parse(self._store.read(file)).estimate(task, self._settings.tasks[task].metric)
            found |= {f"{domain}/{task}": estimate for domain in self._exams.asked_for[task]}
        return found

    def _artefacts(self, handles: Mapping[str, str]) -> dict[str, str]:
        """What a job left on the service, and what it began with."""
        described = self._known(_name(handles.get(TRAIN) or next(iter(handles.values()))))
        found = {"base_model": str(described["ServerlessJobConfig"]["BaseModelArn"])}
        if TRAIN not in handles:
            return found
        found |= {"training_job": handles[TRAIN], escrow.PACKAGE: _made(described)}
        for uri in self._output(described):
            if uri.rpartition("/")[2] == escrow.MANIFEST:
                place = escrow.checkpoint_in(self._store.read(uri))
                found |= {} if place is None else {escrow.CHECKPOINT: place}
        return found

    def _output(self, described: Mapping[str, Any]) -> Iterator[str]:
        """URIs of the files that a job wrote."""
        place = described["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return (file.uri for file in self._store.listed(f"{place}/{described['TrainingJobName']}/"))


def _made(described: Mapping[str, Any]) -> str:
    """ARN of the model that a fine-tune made."""
    if "OutputModelPackageArn" not in described:
        raise ObjectiveError(
            f"{described['TrainingJobName']}: names no model package, so that there is no model to ask"
        )
    return str(described["OutputModelPackageArn"])


def _name(handle: str) -> str:
    """The name of a job, by its ARN."""
    return handle.rpartition("/")[2]
