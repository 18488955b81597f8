"""What jobs write when they are done.

Sources: Amazon Nova user guide, "customize-fine-tune-evaluate-access-results" (the files and their fields) and
"nova-forge-sft-datamix-smtj" (the manifest); SageMaker's guide, "model-customize-evaluation-metrics-formats" (names).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from tests.services.sagemaker import rules
from tests.services.sagemaker.answers import SHARED, answers
from tests.services.sagemaker.effects import generator
from tests.services.sagemaker.files import Files, digest
from tests.services.sagemaker.job import ACCOUNT, Job
from tests.services.sagemaker.options import Options
from tests.services.sagemaker.refusal import invalid
from tests.services.sagemaker.training import Training
from tests.services.sagemaker.world import UNTUNED, World

LONG = {"em": "exact_match", "qem": "quasi_exact_match", "f1": "f1_score"}
"""Names as the documentation describes them, for those that its example shows."""

QUESTIONS = {"mmlu": 14_042, "ifeval": 541}
"""Of benchmarks, as far as they matter; others have `FEWER`."""

FEWER = 1_000

ALIKE = 2 / math.pi * math.asin(SHARED)
"""Correlation of whether two equally good models are right, where one in two answers is."""


class Outcome:
    """The results of the simulated model's jobs."""

    def __init__(self, world: World, options: Options) -> None:
        self._world = world
        self._options = options

    @classmethod
    def of(cls, options: Options) -> Self:
        """By the model that the options name."""
        world = World.blank(options.seed) if options.world is None else World.of(Path(options.world), options.seed)
        return cls(world, options)

    def seen(self, asked: dict[str, Any], data: tuple[str, bytes] | None) -> tuple[dict[str, Any], str | None]:
        """What a job's data is, and why it will fail by it.

        Args:
            asked: the request.
            data: its address and what it is; None where the job has none.
        """
        if data is None:
            return {}, None
        doom = rules.doom(asked, *data)
        if doom is not None:
            return {"rows": 0}, doom
        rows = _rows(data[1])
        found = self._world.seen(rows) if "train" in rules.stages(asked) else {"rows": len(rows)}
        return {"sha256": digest(data[1]), **found}, None

    def of_training(self, job: Job) -> dict[str, bytes]:
        """A training job's files: where its weights are, which stay with Amazon."""
        place = f"s3://customer-escrow-{ACCOUNT}-smtj-0a1b2c3d/{job.name}/step_{job.steps}"
        return {"manifest.json": _json({"checkpoint_s3_bucket": place})}

    def of_evaluation(self, job: Job, tuned: Job | None, files: Files) -> dict[str, bytes]:
        """An evaluation job's files.

        Args:
            job: the evaluation.
            tuned: the training job whose model it is of; None for the untuned one.
            files: where the questions are.

        Raises:
            Refusal: the questions are not there any more.
        """
        training = UNTUNED if tuned is None else Training.of(tuned.parameters, tuned.seen)
        task, folder = job.parameters["task"], f"{job.name}/eval_results"
        written = {}
        if "evaluate" in job.stages:
            lines = self._inference(job, training, files)
            written[f"{folder}/inference_output.jsonl"] = b"".join(_json(line) + b"\n" for line in lines)
            found = _measured([(line["inference"], line["gold"]) for line in lines])
        else:
            found = self._benchmark(task, job.parameters["metric"], training)
        if self._options.long_names:
            found = {_long(name): value for name, value in found.items()}
        results = {f"custom|{task}_{job.parameters['strategy']}|0": found, "all": found}
        stamp = datetime.fromtimestamp(job.created, UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        content = {"config_general": {"model_name": job.name, "job_id": job.name}, "results": results}
        written[f"{folder}/results_{stamp}.json"] = _json(content)
        return written

    def _inference(self, job: Job, training: Training, files: Files) -> list[dict[str, str]]:
        """`inference_output.jsonl`."""
        uri = rules.uris(job.asked)[0]
        keys = files.keys(uri)
        if not keys:
            raise invalid(f"No S3 objects found under {uri}")
        questions = _rows(files.read(keys[0]))
        lines = []
        for question, answer in zip(questions, answers(self._world, training, questions), strict=True):
            system = question.get("system")
            prompt = question["query"] if system is None else f"{system}\n{question['query']}"
            line = {"prompt": prompt, "inference": answer, "gold": question["response"]}
            if self._options.metadata and "metadata" in question:
                line["metadata"] = question["metadata"]
            lines.append(line)
        if self._options.shuffled:
            random.Random(job.name).shuffle(lines)
        return lines

    def _benchmark(self, task: str, metric: str, training: Training) -> dict[str, float]:
        value, stderr = benchmarked(self._world, task, training)
        return {metric: value, f"{metric}_stderr": stderr}


def benchmarked(world: World, task: str, training: Training) -> tuple[float, float]:
    """What a benchmark finds of a model, and its standard error.

    As all models are asked the same questions, most of the luck is theirs: as much of it as `answers` with its `SHARED`
    leaves to the mean of many.

    Args:
        world: the model before it was tuned.
        task: the benchmark.
        training: how it was.
    """
    questions, right = QUESTIONS.get(task, FEWER), world.benchmark(task, training)
    common = generator(world.seed, "questions", task).normal()
    own = generator(world.seed, "benchmark", training.identity, task).normal()
    luck = math.sqrt(ALIKE) * common + math.sqrt(1 - ALIKE) * own
    hits = round(questions * right + luck * math.sqrt(questions * right * (1 - right)))
    value = min(max(hits, 0), questions) / questions
    return value, math.sqrt(value * (1 - value) / questions)


def _measured(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """The service's own metrics of the answers. Those of overlapping words are rough; nobody here needs more."""
    exact = [float(answer == gold) for answer, gold in pairs]
    words = [_overlap(answer.split(), gold.split()) for answer, gold in pairs]
    found: dict[str, float] = {}
    for name, values in {
        "em": exact, "qem": exact, "f1": words, "f1_score_quasi": words, "rouge1": words, "rouge2": exact,
        "rougeL": words, "bleu": [100 * one for one in words],
    }.items():  # fmt: skip
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1) / len(values))
        found |= {name: mean, f"{name}_stderr": spread}
    return found


def _overlap(answer: Sequence[str], gold: Sequence[str]) -> float:
    common = len(set(answer) & set(gold))
    return 2 * common / max(1, len(set(answer)) + len(set(gold)))


def _long(name: str) -> str:
    base, stderr, _ = name.partition("_stderr")
    return LONG.get(base, base) + stderr


def _rows(content: bytes) -> list[dict[str, Any]]:
    # Not splitlines: a text may hold other line separators of Unicode's.
    return [json.loads(line) for line in content.decode().split("\n") if line]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
