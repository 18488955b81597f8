"""Domains of a platform's own data and of public benchmarks, as study files state them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.backends import BACKENDS
from objectives.metrics import Comparison, Goal
from ratio_search.errors import SpecError
from ratio_search.identity import digest
from ratio_search.spec import StudySpec
from tests.services.backend import PlatformBackend

CATEGORIES = {"code": 10.0, "chat": 0.5, "math": 2.0, "rag": 7.5, "gone": 0.0}
OBJECTIVE = {"kind": "pretend", "url": "", "categories": CATEGORIES, "benchmarks": ["mmlu", "ifeval", "own"]}
DOMAINS: dict[str, Any] = {
    "voc": {"train": "voc.jsonl", "test": "voc.test.jsonl"},
    "code": {"category": "code", "share": [0, 0.3]},
    "sums": {"category": {"math": 3, "chat": 1}},
    "other": {"category": "rest"},
    "general": {"benchmarks": ["mmlu", "ifeval"]},
}


@pytest.fixture(autouse=True)
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "pretend", f"{PlatformBackend.__module__}:{PlatformBackend.__name__}")


def spec(
    objective: Mapping[str, Any] = OBJECTIVE, metrics: Any = None, weigh_by: str = "rows", **domains: Any
) -> StudySpec:
    """The study of the file above with other domains, or without those that are None."""
    stated = {name: section for name, section in {**DOMAINS, **domains}.items() if section is not None}
    document = {
        "name": "voc-platform",
        "domains": stated,
        "objective": dict(objective),
        "metrics": metrics or [{"name": "voc/accuracy"}],
        "data": {"weigh_by": weigh_by},
    }
    return StudySpec.parse(yaml.safe_dump(document, sort_keys=False), Path("/data"))


def refusal(**changes: Any) -> str:
    with pytest.raises(SpecError) as error:
        spec(**changes)
    return str(error.value).partition(":\n")[2].strip()


def categories(study: StudySpec) -> dict[str, dict[str, float]]:
    return {domain.name: dict(domain.categories) for domain in study.domains if domain.categories}


class TestCategories:
    def test_have_their_usual_proportions_or_stated_ones_and_the_rest_is_all_others(self) -> None:
        found = spec()
        assert categories(found) == {"code": {"code": 10.0}, "sums": {"math": 3, "chat": 1}, "other": {"rag": 7.5}}
        assert [domain.name for domain in found.mixed] == ["voc", "code", "sums", "other"]
        assert [(d.lower, d.upper) for d in found.mixed][1] == (0.0, 0.3)

    def test_are_mixed_by_rows(self) -> None:
        assert refusal(weigh_by="tokens") == (
            "data.weigh_by: found tokens, but the platform mixes its own data, as of domain 'code', by rows; expected "
            "rows, or no domain with category"
        )
        own = spec(weigh_by="tokens", code={"train": "code.jsonl"}, sums=None, other=None)
        assert [domain.name for domain in own.mixed] == ["voc", "code"]

    def test_may_be_listed(self) -> None:
        assert categories(spec(sums={"category": ["math", "chat"]}))["sums"] == {"math": 2.0, "chat": 0.5}

    def test_may_be_new_where_their_proportion_is_stated(self) -> None:
        assert categories(spec(sums={"category": {"newest": 2}}))["sums"] == {"newest": 2}
        assert categories(spec(sums={"category": {"gone": 2}}))["sums"] == {"gone": 2}

    def test_may_be_all_that_is_mixed_with_one_domain(self) -> None:
        assert [d.name for d in spec(code=None, sums=None, general=None).mixed] == ["voc", "other"]

    def test_may_have_test_files_and_benchmarks_of_their_own(self) -> None:
        code = {"category": "code", "test": "code.test.jsonl", "benchmarks": ["own"]}
        found = spec(code=code, metrics=[{"name": "code/accuracy"}, {"name": "code/own"}])
        assert [metric.weight for metric in found.metrics] == [1.0, 1.0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"code": {"category": "coda"}},
                "domains.code.category: 'coda' is no category that is known here; did you mean 'code'?; if the "
                "platform has it, state its proportion: {coda: 1}",
            ),
            (
                {"code": {"category": "gone"}},
                "domains.code.category: 'gone' usually has no part in it; state its proportion: {gone: 1}",
            ),
            (
                {"sums": {"category": ["math", "code"]}},
                "domains.sums.category: 'code' is a part of domain 'code' already",
            ),
            (
                {"sums": {"category": "rest"}},
                "domains.other.category: 'rest' is a part of domain 'sums' already",
            ),
            (
                {"other": {"category": ["rest", "rag"]}},
                "domains.other.category: 'rest' stands for all categories that no other domain has, in their usual "
                "proportions; write it alone",
            ),
            (
                {"other": {"category": {"rest": 2}}},
                "domains.other.category: 'rest' stands for all categories that no other domain has, in their usual "
                "proportions; write it alone",
            ),
            (
                {"sums": {"category": ["math", "chat", "rag"]}},
                "domains.other.category: other domains have every category, so that nothing is left for 'rest'; remove "
                "it",
            ),
            (
                {"code": {"category": "code", "train": "code.jsonl"}},
                "domains.code: found train files and a category of the platform's own data; make two domains of it",
            ),
            (
                {"code": {"category": "code", "max_epochs": 2}},
                "domains.code.max_epochs: a domain without train files is never repeated; remove it, or add train "
                "files",
            ),
            (
                {"code": {"category": ["math", "math"]}},
                "domains.code.category: expected each category once, found ['math', 'math']",
            ),
            (
                {"code": {"category": {"code": 0}}},
                "domains.code.category: expected a proportion above 0 for 'code', found 0",
            ),
            ({"code": {"category": {"code": None}}}, "domains.code.category: expected a finite number, found nothing"),
            (
                {"code": {"category": []}},
                "domains.code.category: expected a category of the platform's own data, a list of them, or each with "
                "its proportion, found []",
            ),
            (
                {"code": None, "sums": None, "other": None},
                "domains: expected at least two domains with train files, or a category of the platform's own data, to "
                "mix, found only 'voc'",
            ),
            (
                {"general": {"benchmarks": ["mmlu"], "share": 0.1}},
                "domains.general.share: a domain without train files has no share; remove it, or add train files",
            ),
        ],
    )
    def test_are_refused_with_what_to_do(self, changes: dict[str, Any], message: str) -> None:
        assert refusal(**changes) == message

    @pytest.mark.parametrize(
        "objective", [{"kind": "pretend", "url": ""}, {"kind": "hf"}, {"kind": "external"}], ids=lambda of: of["kind"]
    )
    def test_need_a_platform_that_has_data(self, objective: dict[str, Any]) -> None:
        assert refusal(objective=objective, general=None) == (
            f"domains.code.category: objective {objective['kind']!r} has no training data of its own; remove it, or "
            "state train files"
        )


class TestBenchmarks:
    def test_are_metrics_that_need_no_goal_and_only_guard_where_nothing_is_mixed(self) -> None:
        metrics = [{"name": "voc/accuracy"}, {"name": "general/mmlu", "guard": 0.02}, {"name": "general/own"}]
        found = spec(general={"benchmarks": ["mmlu", "own"]}, metrics=metrics)
        _, mmlu, own = found.metrics
        for metric in (mmlu, own):
            assert (metric.goal, metric.comparison, metric.upper, metric.weight) == (
                Goal.MAXIMIZE,
                Comparison.DIFFERENCE,
                1.0,
                0.0,
            )
        found.check_produced({"voc": False})
        assert [domain.benchmarks for domain in found.domains][-1] == ("mmlu", "own")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"general": {"benchmarks": ["mmlo"]}},
                "domains.general.benchmarks: 'mmlo' is no benchmark that is known here; did you mean 'mmlu'?",
            ),
            (
                {"general": {"benchmarks": ["mmlu", "mmlu"]}},
                "domains.general.benchmarks: expected each benchmark once, found ['mmlu', 'mmlu']",
            ),
            (
                {"general": {"benchmarks": "mmlu"}},
                "domains.general.benchmarks: expected a list of one or more benchmarks, found 'mmlu'",
            ),
            (
                {"metrics": [{"name": "voc/accuracy"}, {"name": "general/own"}]},
                "metrics[1].name: 'general/own' needs test files to be measured on; add domains.general.test, or "
                "name 'own' among domains.general.benchmarks",
            ),
            (
                {"metrics": [{"name": "voc/accuracy"}, {"name": "general/mmlu", "weight": 1}]},
                "metrics[1].weight: 'general' has no train files, so it can only be guarded; remove the weight",
            ),
        ],
    )
    def test_are_refused_with_what_to_do(self, changes: dict[str, Any], message: str) -> None:
        assert refusal(**changes) == message

    def test_need_an_objective_that_runs_them(self) -> None:
        only = dict.fromkeys(("code", "sums", "other"))
        support = {"train": "support.jsonl"}
        assert refusal(objective={"kind": "hf"}, support=support, **only) == (
            "domains.general.benchmarks: objective 'hf' runs no public benchmarks; remove them"
        )

    def test_of_another_domain_are_nothing_that_can_be_measured(self) -> None:
        assert "metrics[0].name: 'mmlu' is not a known metric" in refusal(metrics=[{"name": "voc/mmlu"}])
        stated = [{"name": "voc/mmlu", "goal": "maximize", "scale": 1}]
        with pytest.raises(SpecError, match=r"'voc/mmlu' is nothing that objective 'pretend' can measure"):
            spec(metrics=stated).check_produced({"voc": False})


class TestIdentity:
    """What results depend on."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"code": {"category": "rag"}},
            {"sums": {"category": {"math": 3, "chat": 2}}},
            {"sums": {"category": {"math": 3}}},
            {"general": {"benchmarks": ["mmlu"]}},
            {"objective": {**OBJECTIVE, "categories": {**CATEGORIES, "rag": 8}}},
            {"objective": {**OBJECTIVE, "categories": {**CATEGORIES, "newest": 1}}},
        ],
    )
    def test_is_what_domains_are_made_of(self, changes: dict[str, Any]) -> None:
        assert digest(spec(**changes).identity) != digest(spec().identity)

    def test_is_not_how_that_is_written_or_how_much_of_it_is_allowed(self) -> None:
        same = spec(
            code={"category": {"code": 10.0}, "share": [0, 0.2]},
            sums={"category": {"chat": 1, "math": 3}},
            general={"benchmarks": ["ifeval", "mmlu"]},
        )
        assert digest(same.identity) == digest(spec().identity)

    def test_of_a_study_without_either_is_what_it_was(self) -> None:
        none = dict.fromkeys(("code", "sums", "other"))
        found = spec(support={"train": "support.jsonl"}, general={"test": "general.jsonl"}, **none)
        assert found.identity["domains"] == {"voc": "mixed", "general": "tested", "support": "mixed"}
