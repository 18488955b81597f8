"""A study that mixes a platform's own data into the team's, and asks for public benchmarks, from end to end."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from ratio_search.errors import SpecError
from ratio_search.plan import Plan
from ratio_search.plan_report import plan_lines
from ratio_search.recipe import Recipe
from ratio_search.study import Study
from tests.ratio_search.conftest import DOMAINS, MakeRemote, Program, SmallStudy
from tests.ratio_search.test_remote_study import created, driven, once
from tests.services.server import PretendServer

SETTINGS: dict[str, Any] = {
    "categories": {"code": 10.0, "chat": 0.5, "math": 2.0, "rag": 7.5},
    "benchmarks": ["mmlu", "ifeval"],
    "rows": 200,
}
OWN = {
    name: {split: f"data/{name}.{split}.jsonl" for split in ("train", "test", "final")} for name in ("support", "legal")
}
MIXED: dict[str, Any] = {
    **OWN,
    "code": {"category": "code", "share": [0, 0.3]},
    "sums": {"category": {"math": 3, "chat": 1}},
    "other": {"category": "rest"},
    "general": {"benchmarks": ["mmlu", "ifeval"]},
}
METRICS = [
    {"name": "support/accuracy"},
    {"name": "legal/accuracy"},
    {"name": "general/mmlu", "guard": 0.2},
    {"name": "general/ifeval", "guard": 0.2},
]


@pytest.fixture
def small(remote_study: MakeRemote) -> SmallStudy:
    return remote_study(
        settings=SETTINGS, domains=MIXED, metrics=METRICS, search={"trials": 6, "parallel": 3, "sampler": "simplex-gp"}
    )


def test_a_plan_says_what_is_the_platforms_affair(small: SmallStudy, program: Program) -> None:
    plan = Plan.of(small.spec, (), count=True)
    lines = plan_lines(plan)
    assert lines[:4] == [
        "code: the platform's own data, code 100.0%",
        "sums: the platform's own data, math 75.0%, chat 25.0%",
        "other: the platform's own data, rag 100.0%",
        "general: public benchmarks that the platform runs, mmlu, ifeval",
    ]
    usual, uniform = plan.anchors
    assert (usual.name, uniform.name) == ("usual", "uniform")
    # Half of it is the platform's; there, 10, 2.5 and 7.5 of 20; of the rest 30 rows and 20.
    assert usual.mixture.shares == pytest.approx((0.3, 0.2, 0.25, 0.0625, 0.1875))
    assert dict(plan.supplies["code"].rows) == {} and plan.supplies["code"].shares == pytest.approx((0.0, 0.3))
    assert plan.supplies["code"].epochs is None
    assert plan.supplies["general"].shares is None
    assert plan.supplies["legal"].epochs == pytest.approx((0.0, 200 / DOMAINS["legal"]))
    assert plan.rows is None, "how many tokens the platform's rows have is not known"
    assert any(
        "how long the platform's own rows are shows when the first fine-tune has ended" in line for line in lines
    )

    done = program("check", str(small.file), "--json")
    assert done.code == 0, done.err
    domains = json.loads(done.out)["domains"]
    assert (domains["sums"]["categories"], domains["sums"]["train"]) == ({"math": 3.0, "chat": 1.0}, None)
    assert domains["general"]["benchmarks"] == ["mmlu", "ifeval"]
    assert program("check", str(small.file)).code == 0


def test_max_epochs_limit_the_teams_own_data_alone(remote_study: MakeRemote) -> None:
    small = remote_study(settings=SETTINGS, domains=MIXED, metrics=METRICS, data={"max_epochs": 1})
    plan = Plan.of(small.spec, (), count=False)
    assert plan.supplies["support"].shares == pytest.approx((0.0, 0.15)), "30 rows of 200"
    assert plan.supplies["other"].shares == (0.0, 1.0), "nobody knows how much there is of it"


def test_it_runs_is_shown_explained_confirmed_and_learned_from(
    small: SmallStudy, server: PretendServer, program: Program
) -> None:
    study = created(small)
    driven(study)
    once(server, jobs=7)
    assert [record.origin for record in study.records()][:2] == ["anchor:usual", "anchor:uniform"]
    baseline = study.baseline()
    assert baseline is not None and baseline.values["general/mmlu"] == 0.75
    for record in study.records():
        mixture = record.job.mixture
        assert mixture is not None and mixture["code"] <= 0.3
        assert record.values["general/mmlu"] == pytest.approx(0.75 - 0.3 * (mixture["support"] + mixture["legal"]))
    folder = str(study.folder.path)

    recipe = Recipe.of(study, study.folder.recipe_file)
    assert set(recipe.compared) >= {"baseline", "usual"}
    assert recipe.ingredients["code"].size is None and recipe.ingredients["code"].sha256 == ()
    assert recipe.ingredients["support"].size == 30 and len(recipe.ingredients["support"].sha256) == 1
    assert "general" not in recipe.ingredients
    if not recipe.tried:
        assert recipe.ingredients["code"].rows is not None and recipe.ingredients["code"].epochs is None

    for command in ("status", "explain", "trials", "export", "resume"):
        done = program(command, folder)
        assert done.code == 0, done.err
        assert "code" in done.out
    assert "general/mmlu" in program("explain", folder).out

    table = program("trials", folder, "--csv").out
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {f"share/{name}" for name in ("support", "legal", "code", "sums", "other")} <= set(rows[0])
    assert "share/general" not in rows[0]
    assert all(row["artefact/model"].startswith("platform:") for row in rows)

    (small.file.parent / "past.csv").write_text(table)
    text = small.file.read_text().replace("name: small", "name: again", 1)
    (small.file.parent / "again.yaml").write_text(text)
    again = Study.create(small.spec.load(small.file.parent / "again.yaml"), small.runs)
    done = program("import", str(again.folder.path), str(small.file.parent / "past.csv"), "--json")
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["imported"]) == 6

    done = program("confirm", folder, "--seeds", "1", "--json")
    assert done.code == 0, done.err
    confirmation = json.loads(done.out)
    assert {"general/mmlu", "general/ifeval"} <= set(confirmation["values"])
    assert any("usual" in name for name in confirmation["contenders"])


def test_a_domain_with_test_files_needs_final_ones_to_be_confirmed_and_one_with_benchmarks_does_not(
    remote_study: MakeRemote,
) -> None:
    domains = {**MIXED, "legal": {"train": "data/legal.train.jsonl", "test": "data/legal.test.jsonl"}}
    small = remote_study(settings=SETTINGS, domains=domains, metrics=METRICS)
    with pytest.raises(SpecError, match=r"states no final files for legal; add domains\.legal\.final"):
        small.spec.on_final()
