"""Fine-tunes Amazon Nova on SageMaker, mixed with Nova's own data, through boto3. docs/nova.md is its page."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from objectives.backends.backend import Backend
from objectives.backends.sagemaker.catalogue import BENCHMARKS, CATEGORIES, CONTEXT, CUSTOMER_PERCENT, Benchmark
from objectives.data import DEFAULT_POLICY, Blend, Capacity, Corpus, DataPolicy, Lengths
from objectives.domain import Domain
from objectives.metrics import LABELLED, TEXTUAL
from objectives.mixture import Mixture
from objectives.remote import RemoteObjective
from objectives.scorer import Metric

__all__ = ["EvaluateBy", "Method", "SagemakerBackend"]

RULES = "nova-1"
"""Names the rules by which rows become files and questions, and jobs are asked; other rules get another name."""

OURS = {
    "max_steps": "objective.steps",
    "global_batch_size": "objective.batch_size",
    "learning_rate": "objective.learning_rate",
}
"""Hyperparameters of the recipe that have a key of their own."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Method(enum.StrEnum):
    """What a fine-tune changes of the model."""

    LORA = "lora"
    FULL = "full"


class EvaluateBy(enum.StrEnum):
    """How the test sets of the team's own are put to a model."""

    TRIAL = "trial"
    """All in one job, in which each row says whose it is."""
    DOMAIN = "domain"
    """A job for each domain: dearer, but nothing has to be told apart."""


class Section(BaseModel):
    """A part of the settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BenchmarkSection(Section):
    """One entry of `objective.benchmarks`: how the service is asked for a benchmark that is not known here."""

    strategy: str
    metric: str


class NetworkSection(Section):
    """`objective.network`: the private network that jobs run in."""

    subnets: Annotated[tuple[str, ...], Field(min_length=1)]
    security_groups: Annotated[tuple[str, ...], Field(min_length=1)]


class InferenceSection(Section):
    """`objective.inference`: how a model writes its answers; all models of a study alike."""

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)


class SagemakerBackend(Backend):
    """Settings of the `sagemaker` objective: serverless jobs of Amazon Nova.

    Credentials, and the region where none is stated, come from boto3's usual chain.

    Attributes:
        role: ARN of the role that jobs run as.
        place: where data goes and results come, `s3://bucket/prefix`.
        model_package_group: name or ARN of the group that tuned models are registered in.
        accept_eula: whether the model's licence is accepted; nothing is asked of the service before.
        region: of the service, and of the bucket.
        base_model: the model's name in SageMaker's public hub.
        method: what a fine-tune changes.
        steps: optimizer steps of a fine-tune.
        batch_size: rows of a step.
        learning_rate: the recipe's where none is stated.
        hyperparameters: further ones of the recipe, handed on as they are.
        sequence_length: such as `32K`; the service's where none is stated.
        categories: Nova's categories with their usual proportions, in place of those that are known here.
        benchmarks: public benchmarks that are not known here.
        evaluate_by: how the test sets are put to a model.
        inference: how a model writes its answers.
        kms_key: encrypts what is uploaded and what jobs write.
        network: that jobs run in.
        tags: of all jobs.
        time_limit_s: seconds that a job may run.
        max_concurrent_jobs: as the account's quota has it; None where only the study limits them.
        poll_s: seconds between two looks at a job.
        timeout_s: seconds that an answer of the service may take.
    """

    POLICY: ClassVar[frozenset[str]] = Backend.POLICY | {
        "kms_key", "max_concurrent_jobs", "network", "place", "poll_s", "role", "tags", "time_limit_s", "timeout_s",
    }  # fmt: skip
    REMOTE: ClassVar[bool] = True
    ANSWERS: ClassVar[bool] = True
    COSTS: ClassVar[frozenset[str]] = frozenset({"tokens"})
    SEARCHED: ClassVar[frozenset[str]] = frozenset({"steps", "batch_size", "learning_rate"})

    kind: Literal["sagemaker"]
    role: str = Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    place: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_./-]*)?$")
    model_package_group: str = Field(min_length=1)
    accept_eula: bool = Field(default=False, strict=True)
    region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    base_model: str = "nova-textgeneration-lite-v2"
    method: Method = Method.LORA
    steps: int = Field(default=100, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: Positive | None = None
    hyperparameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    sequence_length: str | None = Field(default=None, pattern=r"^\d+K$")
    categories: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None
    benchmarks: dict[str, BenchmarkSection] = Field(default_factory=dict)
    evaluate_by: EvaluateBy = EvaluateBy.TRIAL
    inference: InferenceSection = InferenceSection()
    kms_key: str | None = None
    network: NetworkSection | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    time_limit_s: int = Field(default=86_400, ge=60, le=432_000)
    max_concurrent_jobs: int | None = Field(default=None, ge=1)
    poll_s: Positive = 30.0
    timeout_s: Positive = 60.0

    @field_validator("hyperparameters")
    @classmethod
    def _not_ours(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        for key in value:
            if key in OURS:
                raise ValueError(f"{key}: state it as {OURS[key]}")
            if re.fullmatch("customer_data_percent|nova_.*_percent", key):
                raise ValueError(f"{key}: the mix is what is searched; state domains with category, and their share")
        return value

    @property
    def train_rows(self) -> int:
        """Rows that one job trains on, Nova's own and repeats counted."""
        return self.steps * self.batch_size

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step."""
        return self.batch_size

    @property
    def most_at_once(self) -> int | None:
        """What the account's quota allows, as stated: each trial has one job at a time."""
        return self.max_concurrent_jobs

    @property
    def platform_categories(self) -> Mapping[str, float]:
        """Nova's categories."""
        return CATEGORIES if self.categories is None else self.categories

    @property
    def platform_share(self) -> float:
        """What is left by the customer's usual percentage."""
        return 1 - CUSTOMER_PERCENT / 100

    @property
    def platform_benchmarks(self) -> frozenset[str]:
        """Public benchmarks that evaluation jobs run."""
        return frozenset(self.tasks)

    @property
    def tasks(self) -> dict[str, Benchmark]:
        """How evaluation jobs are asked for each public benchmark."""
        stated = {name: Benchmark(strategy=own.strategy, metric=own.metric) for name, own in self.benchmarks.items()}
        return {**BENCHMARKS, **stated}

    def filed(self, mixture: Mixture, domains: Sequence[Domain]) -> Mixture:
        """The team's own domains; the service adds what it has itself."""
        from objectives.backends.sagemaker.percentages import Percentages

        return Percentages.of(mixture, domains).own

    def training_blend(
        self, corpus: Corpus, mixture: Mixture, *, seed: int, rows: int, lengths: Mapping[str, Lengths]
    ) -> Blend:
        """What the job takes of the team's data, within what the service takes."""
        from objectives.backends.sagemaker.blend import training_blend
        from objectives.backends.sagemaker.percentages import Percentages

        percentages = Percentages.of(mixture, corpus.domains)
        return training_blend(corpus, percentages, seed=seed, rows=rows, batch_size=self.batch_size, lengths=lengths)

    def produces(self, labelled: Mapping[str, bool]) -> frozenset[str]:
        """Metrics of the answers that a model writes to test rows."""
        return frozenset(
            f"{domain}/{metric}"
            for domain, every in labelled.items()
            for metric in (*TEXTUAL, *(LABELLED if every else ()))
        )

    def check_asked(self, domains: Sequence[Domain], root: Path, *, metrics: Sequence[Metric], baseline: bool) -> None:
        """Looks through the rows for what the service would not take.

        Raises:
            DataError: there are such rows.
            OptionsError: no domain has training files of the team's.
        """
        from objectives.backends.sagemaker.questions import check_questions
        from objectives.backends.sagemaker.rules import check_rows

        check_rows(domains, root)
        check_questions(domains, root, metrics)

    def remarks(self, domains: Sequence[Domain], root: Path) -> tuple[str, ...]:
        """What Amazon recommends and this study does otherwise."""
        from objectives.backends.sagemaker.advice import advice

        return advice(domains, root, self)

    def capacity(self, root: Path) -> Capacity:
        """Tokens that the service reads of a row; nobody outside has Nova's tokenizer, so that they are estimated."""
        stated = None if self.sequence_length is None else int(self.sequence_length.removesuffix("K")) * 1024
        return Capacity(context=stated or CONTEXT)

    def expected_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """Tokens of the fine-tune, as if Nova's own rows were as long as the team's.

        The service bills evaluation as well: questions and answers of every model, the untuned one's too, and public
        benchmarks. How much that is nobody can know before one was run, so it is not in here; it is in what jobs are
        found to have cost.
        """
        if not tuned:
            return {"tokens": 0.0}
        return {} if row_tokens is None else {"tokens": self.train_rows * row_tokens}

    def most_cost(self, *, tuned: bool, row_tokens: float | None) -> dict[str, float]:
        """Nothing limits it: neither how long Nova's own rows are, nor what evaluation takes."""
        return {}

    def check(self, root: Path) -> None:
        """Asks AWS for credentials, bucket, base model and group, without starting or changing anything.

        Raises:
            AccessError: somebody has to repair something first; the message says what.
            OptionsError: the settings do not fit together.
            ServiceError: AWS does not answer.
        """
        from objectives.backends.sagemaker.preflight import check

        check(self)

    def fingerprint(self, root: Path) -> dict[str, str]:
        """The rules by which jobs are asked, and Nova's usual proportions, which domains of `rest` are made of.

        The version of the base model is the service's affair, which always takes its latest: each trial's artefacts
        tell it.
        """
        usual = json.dumps({name: float(share) for name, share in self.platform_categories.items()}, sort_keys=True)
        return {"rules": RULES, "categories": hashlib.sha256(usual.encode()).hexdigest()[:16]}

    def build(
        self,
        domains: Sequence[Domain],
        root: Path,
        policy: DataPolicy = DEFAULT_POLICY,
        metrics: Sequence[Metric] = (),
    ) -> RemoteObjective:
        """Looks through the rows, and makes the clients of the service.

        Raises:
            AccessError: there are no credentials.
            DataError: a file of rows cannot be used.
            OptionsError: the settings cannot work.
        """
        from objectives.backends.sagemaker.objective import SagemakerObjective

        return SagemakerObjective(self, domains, root, policy, metrics)
