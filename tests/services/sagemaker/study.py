"""Writes small studies of Nova, with invented data, for tests and the rehearsal."""

from __future__ import annotations

import json
import random
from pathlib import Path

import yaml

from tests.services.sagemaker.account import GROUP
from tests.services.sagemaker.job import ACCOUNT
from tests.services.sagemaker.server import BUCKET

LABELS = {
    "voc": ("delivery", "price", "quality", "service", "website", "praise"),
    "support": ("billing", "account", "outage", "refund"),
}
"""The team's domains, with the labels of their rows."""

ROLE = f"arn:aws:iam::{ACCOUNT}:role/NovaStudy"

SYLLABLES = ("ba", "ke", "li", "mo", "nu", "pra", "sto", "tri", "vel", "wan", "xo", "zin")


def small_nova_study(
    folder: Path, *, name: str = "small-nova", train: int = 160, test: int = 60, trials: int = 6
) -> Path:
    """Writes a study of two domains of the team's, three of Nova's and two benchmarks.

    Args:
        folder: where it goes; made if it is missing.
        name: of the study.
        train, test: rows of each of the team's domains; as many final ones as test rows.
        trials: of the search.

    Returns:
        The study file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    domains: dict[str, object] = {}
    for domain, labels in LABELS.items():
        draw = random.Random(f"{domain} {train} {test}")
        for split, rows in (("train", train), ("test", test), ("final", test)):
            lines = [json.dumps(_row(domain, labels[i % len(labels)], draw)) for i in range(rows)]
            draw.shuffle(lines)
            (folder / f"{domain}-{split}.jsonl").write_text("\n".join(lines) + "\n")
        domains[domain] = {split: f"{domain}-{split}.jsonl" for split in ("train", "test", "final")}
    domains |= {
        "code": {"category": "code", "share": [0, 0.3]},
        "reasoning": {"category": {"reasoning-instruction-following": 45, "reasoning-math": 1}},
        "other": {"category": "rest"},
        "general": {"benchmarks": ["mmlu", "ifeval"]},
    }
    study = {
        "name": name,
        "domains": domains,
        "objective": {
            "kind": "sagemaker",
            "role": ROLE,
            "place": f"s3://{BUCKET}/{name}",
            "model_package_group": GROUP,
            "accept_eula": True,
            "steps": 20,
            "batch_size": 32,
            "poll_s": 0.01,
            "timeout_s": 5,
        },
        "metrics": [
            {"name": "voc/f1"},
            {"name": "support/f1"},
            {"name": "general/mmlu", "guard": 0.02},
            {"name": "general/ifeval", "guard": 0.05},
        ],
        "search": {"trials": trials, "parallel": 2},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def _row(domain: str, label: str, draw: random.Random) -> dict[str, str]:
    """A labelled row: what a customer says, in words that nobody has."""
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(2, 4))) for _ in range(draw.randint(10, 18))]
    return {"instruction": f"{domain.capitalize()}: {' '.join(words)}", "output": label, "label": label}
