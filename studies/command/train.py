"""A trainer for the `command` objective: one linear classifier for all domains.

It shows the whole contract of docs/command-objective.md: it trains on the blended rows in their order, saves and
continues from checkpoints, reports progress, and measures accuracy and macro F1 of every domain with their standard
errors. The classifier's features are few on purpose, so that the domains compete for them.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score

FEATURES = 2**10
BATCH = 32
CHECKPOINT_EVERY = 10
RESAMPLES = 100

Rows = list[dict[str, str]]


def read(paths: Iterable[str]) -> Rows:
    """The rows of JSONL files."""
    return [json.loads(line) for path in paths for line in Path(path).read_text(encoding="utf-8").splitlines()]


class Classifier:
    """Assigns each instruction one of its domain's labels. A fresh one knows nothing and takes the first."""

    def __init__(self, labels: list[str], seed: int) -> None:
        self.steps = 0
        self._labels = labels
        self._words = HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), alternate_sign=False)
        self._model = SGDClassifier(loss="log_loss", alpha=1e-5, random_state=seed)

    def learn(self, batch: Rows) -> None:
        """One step on a batch."""
        features = self._words.transform([row["instruction"] for row in batch])
        self._model.partial_fit(features, [row["label"] for row in batch], classes=self._labels)
        self.steps += 1

    def answer(self, rows: Rows, labels: list[str]) -> list[str]:
        """The most likely of `labels` for every row."""
        if not self.steps:
            return [labels[0]] * len(rows)
        scores = self._model.decision_function(self._words.transform([row["instruction"] for row in rows]))
        columns = [self._labels.index(label) for label in labels]
        return [labels[best] for best in scores[:, columns].argmax(axis=1)]

    def save(self, path: Path) -> None:
        """Keeps everything that the next step depends on; the file appears complete or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(self))
        partial.replace(path)


def measure(truth: list[str], answers: list[str], rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    """Accuracy with its binomial standard error, and macro F1 with a bootstrap's."""
    labels, n = sorted(set(truth)), len(truth)
    right, given = np.array(truth), np.array(answers)

    def f1(rows: Any) -> float:
        return float(f1_score(right[rows], given[rows], labels=labels, average="macro", zero_division=0))

    accuracy = float((right == given).mean())
    spread = np.std([f1(rng.integers(0, n, size=n)) for _ in range(RESAMPLES)], ddof=1)
    return {
        "accuracy": {"value": accuracy, "stderr": math.sqrt(accuracy * (1 - accuracy) / n), "rows": n},
        "f1": {"value": f1(slice(None)), "stderr": float(spread), "rows": n},
    }


def main() -> None:
    """Runs the job that the environment names."""
    job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text(encoding="utf-8"))
    tests = {domain: read(paths) for domain, paths in job["test_files"].items()}
    labels = {domain: sorted({row["label"] for row in rows}) for domain, rows in tests.items()}
    # The untuned baseline has no rows to train on.
    train = read([job["train_file"]]) if job["train_file"] else []
    batches = [train[start : start + BATCH] for start in range(0, len(train), BATCH)]

    checkpoint = Path(job["checkpoint_folder"]) / "classifier.pickle"
    if checkpoint.exists():
        classifier = pickle.loads(checkpoint.read_bytes())
        print(f"continued after {classifier.steps} steps")
    else:
        everything = {label for some in labels.values() for label in some} | {row["label"] for row in train}
        classifier = Classifier(sorted(everything), job["seeds"]["training"])

    with Path(job["progress_file"]).open("a", encoding="utf-8", buffering=1) as progress:
        for batch in batches[classifier.steps :]:
            classifier.learn(batch)
            if classifier.steps % CHECKPOINT_EVERY == 0:
                classifier.save(checkpoint)
                progress.write(json.dumps({"step": classifier.steps, "total": len(batches)}) + "\n")

        metrics = {}
        for domain, rows in tests.items():
            note = f"evaluating {domain}"
            progress.write(json.dumps({"step": len(batches), "total": len(batches), "note": note}) + "\n")
            rng = np.random.default_rng(job["seeds"]["data"])
            answers = classifier.answer(rows, labels[domain])
            for name, estimate in measure([row["label"] for row in rows], answers, rng).items():
                metrics[f"{domain}/{name}"] = estimate
                print(f"{domain}/{name} {estimate['value']:.4f} +- {estimate['stderr']:.4f}")

    Path(job["result_file"]).write_text(json.dumps({"metrics": metrics}), encoding="utf-8")


if __name__ == "__main__":
    main()
