"""The simulated model behind the local SageMaker: the published trade-off, and what is assumed beyond it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.data import read_rows
from tests.services.sagemaker.answers import answers
from tests.services.sagemaker.study import small_nova_study
from tests.services.sagemaker.training import Training, worth
from tests.services.sagemaker.world import World

SEEDS = range(40)
USUAL = {f"nova_{name}_percent": str(value) for name, value in CATEGORIES.items()}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_nova_study(tmp_path_factory.mktemp("study"), test=200)


@pytest.fixture(scope="module")
def worlds(study: Path) -> list[World]:
    first = World.of(study, SEEDS[0])
    return [dataclasses.replace(first, seed=seed) for seed in SEEDS]


def mixed(customer: float, **nova: float) -> dict[str, float]:
    """A mixture with the team's domains in equal parts, and Nova's in their usual ones if nothing is said."""
    parts = nova or {"code": 10.0, "reasoning": 45.5, "other": 44.5}
    shares = {name: (1 - customer) * part / sum(parts.values()) for name, part in parts.items()}
    return {"voc": customer / 2, "support": customer / 2, **shares}


def test_the_published_trade_off_holds(worlds: list[World]) -> None:
    for world in worlds:
        untuned, alone, blended = (world.truth(mix) for mix in (None, mixed(1), mixed(0.75)))
        assert untuned["voc/f1"] == pytest.approx(0.39, abs=0.02)
        assert alone["voc/f1"] == pytest.approx(0.55, abs=0.03)
        assert untuned["general/mmlu"] == pytest.approx(0.75, abs=0.01)
        assert alone["general/mmlu"] == pytest.approx(0.47, abs=0.02)
        assert blended["general/mmlu"] == pytest.approx(0.74, abs=0.015)
        assert blended["voc/f1"] - untuned["voc/f1"] == pytest.approx(0.12, abs=0.02)
        assert alone["general/ifeval"] < untuned["general/ifeval"] - 0.1


def test_nova_s_categories_differ(worlds: list[World]) -> None:
    differences = []
    for world in worlds:
        by = {name: world.truth(mixed(0.85, **{name: 1.0})) for name in ("code", "reasoning", "other")}
        for metric in ("voc/f1", "general/mmlu", "general/ifeval"):
            found = [truth[metric] for truth in by.values()]
            differences.append((metric, max(found) - min(found)))
    for metric, least in (("voc/f1", 0.02), ("general/mmlu", 0.03), ("general/ifeval", 0.02)):
        several = [difference for name, difference in differences if name == metric]
        assert sum(difference > least for difference in several) > len(SEEDS) / 2


def test_the_usual_proportions_are_good_but_not_best(worlds: list[World]) -> None:
    def judged(world: World, mix: Mapping[str, float]) -> float:
        truth, untuned = world.truth(mix), world.truth(None)
        lost = untuned["general/mmlu"] - truth["general/mmlu"]
        return min(truth[name] - untuned[name] for name in ("voc/f1", "support/f1")) - (lost > 0.02)

    better = 0
    for world in worlds:
        usual = max(judged(world, mixed(customer)) for customer in (0.9, 0.75, 0.5, 0.25))
        tried = [
            judged(world, mixed(customer, code=code, reasoning=reasoning, other=1 - code - reasoning))
            for customer in (0.9, 0.85, 0.8, 0.75)
            for code in (0.0, 0.3, 0.6)
            for reasoning in (0.0, 0.2, 0.4)
        ]
        assert usual > 0.07
        better += max(tried) > usual + 0.01
    assert better > len(worlds) / 2


def test_repeated_rows_are_worth_less() -> None:
    assert worth(100, 200) == 100
    assert 150 < worth(400, 100) < 400
    assert worth(10_000, 100) < 550


def test_a_run_has_noise_of_its_own(worlds: list[World]) -> None:
    world = worlds[0]
    seen = {"sha256": "a", "domains": {"voc": [320, 160], "support": [320, 160]}}
    parameters = {"max_steps": "20", "global_batch_size": "32"}
    runs = [Training.of(parameters, {**seen, "sha256": str(i)}) for i in range(200)]
    found = [world.value("voc", run) for run in runs]
    assert len(set(found)) == 200
    assert sum(found) / 200 == pytest.approx(world.truth(mixed(1))["voc/f1"], abs=0.002)
    assert world.value("voc", runs[0]) == world.value("voc", Training.of(parameters, {**seen, "sha256": "0"}))


def test_what_a_job_is_told_is_what_it_is_trained_on(worlds: list[World]) -> None:
    seen = {"sha256": "a", "domains": {"voc": [300, 160], "support": [100, 100]}}
    told = {"max_steps": "20", "global_batch_size": "32", "customer_data_percent": "80.0", **USUAL}
    run = Training.of(told, seen)
    assert run.own == pytest.approx({"voc": 640 * 0.8 * 0.75, "support": 640 * 0.8 * 0.25})
    assert run.categories["code"] == pytest.approx(0.2 * 0.1)
    assert sum(run.categories.values()) == pytest.approx(0.2)
    assert Training.of({"max_steps": "20"}, seen).categories == {}
    assert Training.of({"customer_data_percent": "70"}, seen).categories["code"] == pytest.approx(0.03)


def test_models_answer_the_same_questions_alike(worlds: list[World], study: Path) -> None:
    world = worlds[0]
    rows = read_rows([study.parent / "voc-test.jsonl"])
    asked = [{"query": row.instruction, "response": row.output} for row in rows]
    seen = {"domains": {"voc": [320, 160], "support": [320, 160]}}
    right = []
    for digest in ("a", "b"):
        said = answers(world, Training.of({"max_steps": "20"}, {**seen, "sha256": digest}), asked)
        right.append([answer == question["response"] for answer, question in zip(said, asked, strict=True)])
        assert sum(right[-1]) / 200 == pytest.approx(0.54, abs=0.12)
        assert set(said) <= {row.output for row in rows}
    agreed = sum(one == other for one, other in zip(*right, strict=True))
    assert 130 < agreed < 200


def test_texts_are_as_good_as_the_model_is(worlds: list[World]) -> None:
    asked = [
        {
            "query": f"tell {i}",
            "response": " ".join(f"word{i}-{j}" for j in range(20)),
            "metadata": json.dumps({"domain": "support"}),
        }
        for i in range(400)
    ]
    run = Training.of({"max_steps": "20"}, {"sha256": "a", "domains": {"voc": [1, 1], "support": [1, 1]}})
    said = answers(worlds[0], run, asked)
    kept = [
        len(set(answer.split()) & set(question["response"].split())) / 20
        for answer, question in zip(said, asked, strict=True)
    ]
    assert sum(kept) / 400 == pytest.approx(worlds[0].value("support", run), abs=0.04)
    assert min(kept) < 0.3 and max(kept) > 0.8
