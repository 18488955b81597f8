"""What the simulated model answers to questions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from scipy.special import betaincinv

from tests.services.sagemaker.training import Training
from tests.services.sagemaker.world import UNKNOWN, World

SHARED = 0.8
"""How much of what decides over an answer is the question's own, and so the same for all models."""

SPREAD = 4.0
"""How much the answers' quality concentrates about its mean where they are texts."""

FEW = 3
"""A domain with this many questions to each different answer asks for labels."""

NORMAL = NormalDist()


def answers(world: World, training: Training, questions: Sequence[Mapping[str, Any]]) -> list[str]:
    """A model's answers, in the questions' order.

    Args:
        world: the model before it was tuned.
        training: how it was.
        questions: rows of `gen_qa.jsonl`.
    """
    domains = [_domain(world, question) for question in questions]
    right = {domain: world.value(domain, training) for domain in sorted(set(domains))}
    labels = {domain: _labels(domain, domains, questions) for domain in right}
    found = []
    for domain, question in zip(domains, questions, strict=True):
        luck = _luck(world.seed, training.identity, domain, question)
        if labels[domain]:
            found.append(_label(question, labels[domain], right[domain], luck))
        else:
            found.append(_text(question, right[domain], luck))
    return found


def _labels(domain: str, domains: Sequence[str], questions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a domain's answers are to be, where it asks for labels; nothing where for texts."""
    theirs = [question["response"] for of, question in zip(domains, questions, strict=True) if of == domain]
    different = sorted(set(theirs))
    return different if len(theirs) >= FEW * len(different) else []


def _domain(world: World, question: Mapping[str, Any]) -> str:
    domain = world.domain_of.get(question["query"])
    if domain is None and not world.domain_of:
        return UNKNOWN
    if domain is None:
        # A question that was put together from several turns: what comes with it says whose it is.
        told = json.loads(question.get("metadata", "{}"))
        domain = told.get("domain", UNKNOWN) if isinstance(told, dict) else UNKNOWN
    return str(domain)


def _luck(seed: int, identity: str, domain: str, question: Mapping[str, Any]) -> float:
    """Uniform on 0 to 1; low is good. Most of it is the question's, the rest the model's."""
    easy = NORMAL.inv_cdf(_uniform(seed, domain, question["query"]))
    chance = NORMAL.inv_cdf(_uniform(seed, identity, domain, question["query"]))
    return NORMAL.cdf(math.sqrt(SHARED) * easy + math.sqrt(1 - SHARED) * chance)


def _label(question: Mapping[str, Any], labels: Sequence[str], right: float, luck: float) -> str:
    gold = str(question["response"])
    others = [label for label in labels if label != gold]
    if luck < right or not others:
        return gold
    return others[int(_uniform(gold, question["query"], round(luck, 9)) * len(others))]


def _text(question: Mapping[str, Any], right: float, luck: float) -> str:
    """The reference's first words, as many as the answer is good, and then others."""
    words = str(question["response"]).split()
    quality = float(betaincinv(SPREAD * right, SPREAD * (1 - right), 1 - luck))
    kept = int(quality * len(words) + _uniform(question["query"], round(luck, 9)))
    return " ".join(word if i < kept else f"q{word[::-1]}" for i, word in enumerate(words))


def _uniform(*of: object) -> float:
    """A number between 0 and 1, both excluded, that only depends on what it is of."""
    hashed = hashlib.blake2b(repr(of).encode(), digest_size=7).digest()
    return (int.from_bytes(hashed, "big") + 0.5) / 2**56
