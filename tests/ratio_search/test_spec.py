from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.data import DEFAULT_POLICY, Action, Finding, Weigh
from objectives.errors import OptionsError
from objectives.metrics import Comparison, Goal
from objectives.mixture import Mixture
from ratio_search.errors import SpecError
from ratio_search.space import Group, SimplexSpace
from ratio_search.spec import StudySpec
from ratio_search.study_file import StorageKind

KNOWN = "accuracy, f1, micro_f1, exact_match, token_f1, rouge_l, perplexity, loss, bits_per_byte"
ROOT = Path("/data")
DOCUMENT: dict[str, Any] = {
    "name": "support-legal",
    "domains": {
        "support": {"train": "support.jsonl", "test": ["support.test.jsonl"], "final": "support.final.jsonl"},
        "legal": {"train": ["legal-1.jsonl", "/elsewhere/legal-2.jsonl"], "test": "legal.test.jsonl"},
        "manuals": {"train": "manuals.jsonl"},
        "general": {"test": "general.jsonl"},
    },
    "objective": {"kind": "hf"},
    "metrics": [
        {"name": "support/f1", "weight": 2},
        {"name": "legal/perplexity"},
        {"name": "general/exact_match", "guard": 0.02},
    ],
}


def edited(*changes: tuple[str, Any]) -> str:
    """The valid file with values put at dotted paths; list positions are numbers, and `-` appends."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in copy.deepcopy(changes):
        place: Any = document
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        if last == "-":
            place.append(value)
        else:
            place[last] = value
    return yaml.safe_dump(document, sort_keys=False)


def spec(*changes: tuple[str, Any]) -> StudySpec:
    return StudySpec.parse(edited(*changes), ROOT)


def refusal(*changes: tuple[str, Any]) -> str:
    with pytest.raises(SpecError) as error:
        StudySpec.parse(edited(*changes), ROOT, source="study.yaml")
    source, _, message = str(error.value).partition(":\n")
    assert source == "study.yaml"
    return message


class TestValues:
    def test_paths_start_at_the_root_unless_they_are_absolute(self) -> None:
        support, legal, manuals, general = spec().domains
        assert support.train == (ROOT / "support.jsonl",)
        assert support.final == (ROOT / "support.final.jsonl",)
        assert legal.train == (ROOT / "legal-1.jsonl", Path("/elsewhere/legal-2.jsonl"))
        assert manuals.test == ()
        assert general.train == ()

    def test_a_tilde_is_the_home_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        found = spec(("domains.support.train", "~/support.jsonl"))
        assert found.domains[0].train == (Path("/home/somebody/support.jsonl"),)

    def test_domains_without_train_files_have_no_share(self) -> None:
        assert [domain.name for domain in spec().mixed] == ["support", "legal", "manuals"]

    def test_bounds_reach_the_domains(self) -> None:
        found = spec(("domains.support.share", [0.1, 0.8]), ("domains.legal.share", 0.1))
        assert [(d.lower, d.upper) for d in found.mixed] == [(0.1, 0.8), (0.1, 0.1), (0.0, 1.0)]

    def test_what_is_asked_of_the_space_reaches_it(self) -> None:
        asks = {
            "groups": {
                "g": {"domains": ["legal", "manuals"], "share": [0.1, 0.5], "proportions": {"legal": 3, "manuals": 1}}
            }
        }
        found = spec(("search.space", {**asks, "grid": 0.01, "at_most": 3}))
        assert (found.space.grid, found.space.at_most) == (0.01, 3)
        assert found.space.groups == (Group.of("g", ["legal", "manuals"], (0.1, 0.5), {"legal": 3, "manuals": 1}),)
        assert found.space.upper == pytest.approx((0.9, 0.375, 0.125))
        assert spec().space == SimplexSpace.of(dict.fromkeys(("support", "legal", "manuals"), (0.0, 1.0)))

    def test_a_metric_follows_from_its_name(self) -> None:
        f1, perplexity, exact_match = spec().metrics
        assert (f1.goal, f1.comparison, f1.scale, f1.weight, f1.upper) == (
            Goal.MAXIMIZE,
            Comparison.DIFFERENCE,
            1.0,
            2.0,
            1.0,
        )
        assert (perplexity.goal, perplexity.comparison) == (Goal.MINIMIZE, Comparison.LOG_RATIO)
        assert (perplexity.weight, perplexity.upper) == (1.0, None)
        assert (exact_match.weight, exact_match.guard) == (0.0, 0.02), "a domain that is only tested is only guarded"

    def test_a_stated_scale_compares_by_difference_in_any_units(self) -> None:
        (metric,) = spec(("metrics", [{"name": "legal/perplexity", "scale": 5}])).metrics
        assert (metric.comparison, metric.scale, metric.upper) == (Comparison.DIFFERENCE, 5.0, None)

    def test_a_metric_of_ones_own_states_goal_and_scale(self) -> None:
        (metric,) = spec(("metrics", [{"name": "legal/bleu", "goal": "maximize", "scale": 10}])).metrics
        assert (metric.goal, metric.scale, metric.domain) == (Goal.MAXIMIZE, 10.0, "legal")

    def test_domains_that_current_does_not_name_have_share_0(self) -> None:
        current = spec(("current", {"manuals": 0.25, "support": 0.75})).current
        assert current == Mixture.of({"support": 0.75, "legal": 0.0, "manuals": 0.25})

    def test_data_is_weighed_by_rows_and_may_repeat_unless_the_file_says_otherwise(self) -> None:
        assert spec().data == DEFAULT_POLICY
        assert [domain.max_epochs for domain in spec().domains] == [None] * 4

    def test_what_is_wanted_of_the_data_reaches_the_worker(self) -> None:
        found = spec(
            ("data.weigh_by", "tokens"),
            ("data.max_epochs", 8),
            ("data.audit", {"duplicates": "drop", "leakage": "warn", "near": 0.8}),
            ("domains.legal.max_epochs", 0.5),
        )
        assert found.blueprint.policy == found.data
        assert (found.data.weigh_by, found.data.max_epochs, found.data.near) == (Weigh.TOKENS, 8, 0.8)
        assert found.data.drops == {Finding.DUPLICATES}
        assert found.data.actions == {
            **DEFAULT_POLICY.actions,
            Finding.DUPLICATES: Action.DROP,
            Finding.LEAKAGE: Action.WARN,
        }
        assert [domain.max_epochs for domain in found.blueprint.domains] == [None, 0.5, None, None]

    def test_a_pattern_stands_for_the_files_that_it_matches(self, tmp_path: Path) -> None:
        (tmp_path / "books").mkdir()
        for name in ("b.jsonl", "a.jsonl", "notes.txt", "c*.jsonl"):
            (tmp_path / "books" / name).write_text("")
        paths = {
            "books/*.jsonl": ["a.jsonl", "b.jsonl", "c*.jsonl"],
            str(tmp_path / "books" / "[ab].json*"): ["a.jsonl", "b.jsonl"],
            "books/c*.jsonl": ["c*.jsonl"],
            "books/none-*.jsonl": ["none-*.jsonl"],
        }
        for pattern, names in paths.items():
            found = StudySpec.parse(edited(("domains.support.train", pattern)), tmp_path)
            assert found.domains[0].train == tuple(tmp_path / "books" / name for name in names), pattern

    def test_load_reads_the_file_and_starts_paths_in_its_folder(self, tmp_path: Path) -> None:
        file = tmp_path / "study.yaml"
        file.write_text(edited())
        found = StudySpec.load(file)
        assert (found.root, found.text) == (tmp_path.resolve(), edited())


class TestPatterns:
    """Files that are named by a pattern, in a folder whose own name looks like one."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "data [old]"
        for name in ("legal/b.jsonl", "legal/a.jsonl", "legal/deep/c.jsonl", "legal/d.txt", "legal/odd*.jsonl"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        return root

    def files(self, root: Path, *stated: str) -> list[str]:
        found = StudySpec.parse(edited(("domains.legal.train", list(stated))), root)
        return [str(path.relative_to(root)) for path in found.domains[1].train]

    def test_stand_for_the_files_that_they_match_in_order(self, root: Path) -> None:
        names = ["legal/a.jsonl", "legal/b.jsonl", "legal/odd*.jsonl"]
        assert self.files(root, "legal/*.jsonl") == names
        assert self.files(root, f"{str(root).replace('[', '[[]')}/legal/*.jsonl") == names
        assert self.files(root, "legal/**/[ac].jsonl*", "legal/d.txt") == [
            "legal/a.jsonl",
            "legal/deep/c.jsonl",
            "legal/d.txt",
        ]

    def test_a_file_of_that_very_name_is_meant(self, root: Path) -> None:
        assert self.files(root, "legal/odd*.jsonl") == ["legal/odd*.jsonl"]

    def test_that_match_nothing_are_missed_when_the_data_is_read(self, root: Path) -> None:
        assert self.files(root, "legal/*.parquet") == ["legal/*.parquet"]


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                [("domains.manuals", {})],
                "domains.manuals: expected train files, or test files to watch; found neither",
            ),
            (
                [("domains", {"a": {"train": "a", "test": "a"}, "b": {"test": "b"}})],
                "domains: expected at least two domains with train files to mix, found only 'a'",
            ),
            ([("domains", {})], "domains: expected at least two domains with train files to mix, found none"),
            (
                [("domains.general.share", [0, 1])],
                "domains.general.share: a domain without train files has no share; remove it, or add train files",
            ),
            (
                [("domains.legal.test", "~nobody-has-this-name/x")],
                "domains.legal.test: found ~nobody-has-this-name/x, but '~' leads to no home folder; write it out",
            ),
            ([("current", {"legl": 1})], "current.legl: 'legl' is no domain with train files; did you mean 'legal'?"),
            (
                [("current", {"general": 1})],
                "current.general: 'general' is no domain with train files; known are support, legal, manuals",
            ),
            (
                [("current", {"support": 0.5, "legal": 0.6})],
                "current: shares must sum to 1, found 1.1 (support 0.5, legal 0.6, manuals 0)",
            ),
            (
                [("domains.general.max_epochs", 2)],
                "domains.general.max_epochs: a domain without train files is never repeated; remove it, or add train "
                "files",
            ),
            ([("current", {})], "current: shares must sum to 1, found 0 (support 0, legal 0, manuals 0)"),
            (
                [("objective", {})],
                "objective.kind: expected one of command, external, hf, replay, sagemaker, found nothing",
            ),
            (
                [("objective.kind", ["hf"])],
                "objective.kind: expected one of command, external, hf, replay, sagemaker, found ['hf']",
            ),
            (
                [("objective.kind", "hff")],
                "objective.kind: unknown kind of objective 'hff'; did you mean 'hf'? known are command, external, hf, "
                "replay, sagemaker",
            ),
            ([("objective.step", 3)], "objective.step: unknown key; did you mean 'steps'?"),
            ([("objective.resources.gpu", 1)], "objective.resources.gpu: unknown key; did you mean 'gpus'?"),
            ([("objective.steps", "many")], "objective.steps: expected a whole number, found 'many'"),
            ([("objective.steps", -3)], "objective.steps: expected a number of at least 1, found -3"),
            (
                [("objective.learning_rate", float("nan"))],
                "objective.learning_rate: expected a finite number, found nan",
            ),
            ([("metrics.0.name", "f1")], "metrics[0].name: expected '<domain>/<metric>', found 'f1'"),
            ([("metrics.0.name", "support/")], "metrics[0].name: expected '<domain>/<metric>', found 'support/'"),
            ([("metrics.0.name", "suport/f1")], "metrics[0].name: 'suport' is no domain; did you mean 'support'?"),
            (
                [("metrics.0.name", "x/f1")],
                "metrics[0].name: 'x' is no domain; known are support, legal, manuals, general",
            ),
            (
                [("metrics.1.name", "legal/perplexty")],
                "metrics[1].name: 'perplexty' is not a known metric; did you mean 'legal/perplexity'? known are "
                f"{KNOWN}; a metric of your own must state its goal and scale",
            ),
            (
                [("metrics.1", {"name": "legal/bleu", "goal": "maximize"})],
                f"metrics[1].name: 'bleu' is not a known metric; known are {KNOWN}; a metric of your own must state "
                "its goal and scale",
            ),
            (
                [("metrics.0.name", "manuals/f1")],
                "metrics[0].name: 'manuals/f1' needs test files to be measured on; add domains.manuals.test",
            ),
            (
                [("metrics.-", {"name": "support/f1"})],
                "metrics[3].name: 'support/f1' stands here twice; remove one",
            ),
            (
                [("metrics.2.weight", 1)],
                "metrics[2].weight: 'general' has no train files, so it can only be guarded; remove the weight",
            ),
            (
                [("metrics.0.reference", 81)],
                "metrics[0].reference: support/f1: expected a value from 0 to 1, found 81; report a rate, or state a "
                "scale for this metric to use other units",
            ),
            (
                [("metrics.1.reference", 0)],
                "metrics[1].reference: legal/perplexity: expected a value above 0, found 0; state a scale for this "
                "metric to compare by difference",
            ),
            (
                [("metrics", [])],
                "metrics: expected at least one with a weight above 0, of a domain with train files",
            ),
            (
                [("metrics.0.weight", 0), ("metrics.1.weight", 0)],
                "metrics: expected at least one with a weight above 0, of a domain with train files",
            ),
            (
                [("baseline", False), ("metrics.1.reference", 9)],
                "baseline: without the untuned baseline every metric must state its reference; add one to "
                "support/f1, general/exact_match",
            ),
        ],
    )
    def test_the_dotted_path_and_what_to_do_are_named(self, changes: list[tuple[str, Any]], message: str) -> None:
        assert refusal(*changes) == message

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                [("search.space.groups", {"g": {"domains": ["support", "leagl"]}})],
                "search.space.groups.g.domains: 'leagl' is no domain with a share; did you mean 'legal'?",
            ),
            (
                [("search.space.groups", {"g": {"domains": ["support", "general"]}})],
                "search.space.groups.g.domains: 'general' is no domain with a share; known are support, legal, manuals",
            ),
            (
                [("search.space.groups", {"g": {"domains": ["legal"]}, "h": {"domains": ["support", "legal"]}})],
                "search.space.groups.h.domains: 'legal' is in group 'g' too, expected it in one only; remove it from "
                "one",
            ),
            (
                [("search.space.groups", {"g": {"domains": ["legal", "manuals"], "proportions": {"legal": 1}}})],
                "search.space.groups.g.proportions: expected a weight for each domain of group 'g', found none for "
                "manuals; add it",
            ),
            (
                [
                    ("domains.legal.share", [0.3, 1]),
                    ("search.space.groups", {"g": {"domains": ["legal"], "share": 0.2}}),
                ],
                "search.space.groups.g.share: the lowest shares in group 'g' sum to 0.3 (legal 0.3), expected at most "
                "0.2, its highest; lower some of them, or raise that",
            ),
            (
                [("search.space.grid", 0.3)],
                "search.space.grid: found 0.3, expected 1/N for a whole N from 2 to 100,000, such as 0.01 or 0.001, so "
                "that shares can sum to 1",
            ),
            (
                [("search.space.grid", 0.01), ("domains.legal.share", 0.125)],
                "domains.legal.share: on a grid of 0.01 no share lies from 0.125 to 0.125, the bounds of legal; widen "
                "them, or choose a finer search.space.grid",
            ),
            (
                [("search.space.at_most", 1), *((f"domains.{n}.share", [0.1, 1]) for n in ("legal", "manuals"))],
                "search.space.at_most: 2 domains have a lowest share above 0 (legal 0.1, manuals 0.1), expected at "
                "most 1; lower some of them to 0, or raise search.space.at_most",
            ),
        ],
    )
    def test_a_space_that_cannot_be_says_where_and_why(self, changes: list[tuple[str, Any]], message: str) -> None:
        assert refusal(*changes) == message

    @pytest.mark.parametrize(
        "shares", [{"support": [0.7, 1], "legal": [0.6, 1]}, {"support": 0.3, "legal": [0, 0.3], "manuals": [0, 0.3]}]
    )
    def test_bounds_that_cannot_sum_to_1(self, shares: dict[str, Any]) -> None:
        message = refusal(*((f"domains.{name}.share", share) for name, share in shares.items()))
        assert message.startswith("domains.*.share: ")
        assert "1" in message

    def test_problems_of_the_yaml_name_the_file_too(self, tmp_path: Path) -> None:
        file = tmp_path / "bad.yaml"
        file.write_text("name: a\nname: b\n")
        with pytest.raises(SpecError, match=r"bad\.yaml:\nline 2: the key 'name' stands twice here; remove one"):
            StudySpec.load(file)

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from(
            [
                "name",
                "domains.legal.train",
                "metrics.0.name",
                "current.legal",
                "objective.base_model",
                "search.space.groups",
                "search.space.grid",
                "search.space.at_most",
            ]
        ),
        st.text(max_size=12) | st.floats() | st.lists(st.text(max_size=3), max_size=2),
    )
    def test_any_value_gives_a_study_or_this_error(self, path: str, value: Any) -> None:
        try:
            assert spec((path, value)).name
        except SpecError as error:
            assert str(error).startswith("study file:\n")


STORAGE = "sqlite, memory, or a URL such as postgresql://user@host:5432/database"
EXTERNAL = [
    ("objective", {"kind": "external"}),
    ("domains", {"a": {}, "b": {"share": [0, 0.5]}, "c": {"final": "c.jsonl", "train": "c.jsonl"}, "d": {"test": "d"}}),
    ("metrics", [{"name": "accuracy"}, {"name": "bleu", "goal": "maximize", "scale": 5, "reference": 30}]),
]
"""Turns the file into that of a study whose trials the caller runs."""


class TestTrialsThatTheCallerRuns:
    def test_domains_without_any_files_have_a_share(self) -> None:
        found = spec(*EXTERNAL)
        assert [(d.name, d.mixed, d.elsewhere) for d in found.domains] == [
            ("a", True, True),
            ("b", True, True),
            ("c", True, False),
            ("d", False, False),
        ]
        assert found.space.upper == (1.0, 0.5, 1.0)
        assert found.identity["domains"] == {"a": "mixed", "b": "mixed", "c": "mixed", "d": "tested"}

    def test_metrics_may_have_any_name(self) -> None:
        accuracy, bleu = spec(*EXTERNAL).metrics
        assert (accuracy.goal, accuracy.upper, accuracy.weight) == (Goal.MAXIMIZE, 1.0, 1.0)
        assert (bleu.scale, bleu.reference, bleu.upper) == (5, 30, None)

    def test_what_follows_from_a_name_stands_after_its_last_slash(self) -> None:
        changes = ("metrics", [{"name": "eval/held out/perplexity"}])
        [metric] = spec(*EXTERNAL, changes).metrics
        assert (metric.goal, metric.comparison) == (Goal.MINIMIZE, Comparison.LOG_RATIO)

    def test_those_of_a_watched_domain_are_only_guarded(self) -> None:
        changes = ("metrics.-", {"name": "d/accuracy", "guard": 0.1})
        assert [metric.weight for metric in spec(*EXTERNAL, changes).metrics] == [1.0, 1.0, 0.0]

    def test_the_baseline_is_wanted_where_a_reference_is_missing(self) -> None:
        stated = ("metrics.0.reference", 0.5)
        assert spec(*EXTERNAL).baseline
        assert not spec(*EXTERNAL, stated).baseline
        assert spec(*EXTERNAL, stated, ("baseline", True)).baseline
        assert spec(("metrics", [{"name": "support/f1", "reference": 0.5}])).baseline, "of any other kind it always is"

    def test_it_may_be_kept_in_memory(self) -> None:
        assert spec(*EXTERNAL).storage is StorageKind.SQLITE
        memory = spec(*EXTERNAL, ("storage", "memory"))
        assert memory.storage is StorageKind.MEMORY
        assert memory.server is None
        assert (memory.identity, memory.policy) == (spec(*EXTERNAL).identity, spec(*EXTERNAL).policy)

    def test_the_server_that_keeps_the_trials_may_change(self) -> None:
        url = "postgresql://user@host:5432/database"
        found = spec(*EXTERNAL, ("storage", url))
        assert (str(found.server), found.policy["storage"]) == (url, url)
        assert spec(*EXTERNAL).policy["storage"] is None
        assert found.identity == spec(*EXTERNAL).identity

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                ("metrics.0.name", "acuracy"),
                "metrics[0].name: 'acuracy' is not a known metric; did you mean 'accuracy'? known are "
                f"{KNOWN}; a metric of your own must state its goal and scale",
            ),
            (("metrics.0.name", ""), "metrics[0].name: expected a name, found ''"),
            (("metrics.1.name", "accuracy"), "metrics[1].name: 'accuracy' stands here twice; remove one"),
            (
                ("metrics.-", {"name": "d/accuracy", "weight": 1}),
                "metrics[2].weight: 'd' has no train files, so it can only be guarded; remove the weight",
            ),
            (("metrics", []), "metrics: expected at least one with a weight above 0"),
            (
                ("baseline", False),
                "baseline: without the untuned baseline every metric must state its reference; add one to accuracy",
            ),
            (
                ("domains", {"a": {}, "d": {"test": "d"}}),
                "domains: expected at least two domains with train files, or without any, to mix, found only 'a'",
            ),
            (
                ("domains.a.max_epochs", 2),
                "domains.a.max_epochs: a domain without train files is never repeated; remove it, or add train files",
            ),
            (
                ("domains.d.share", 0.1),
                "domains.d.share: a domain without train files has no share; remove it, or add train files",
            ),
            (("current", {"d": 1}), "current.d: 'd' is no domain with a share; known are a, b, c"),
            (("storage", "redis"), f"storage: expected {STORAGE}, found 'redis'"),
            (("storage", None), f"storage: expected {STORAGE}, found nothing"),
            (("storage", ["sqlite"]), f"storage: expected {STORAGE}, found ['sqlite']"),
            (("storage", "user:secret@host/database"), f"storage: expected {STORAGE}, found other text"),
            (
                ("storage", "mysql://user:secret@host/database"),
                "storage: expected sqlite, or the URL of a PostgreSQL database such as "
                "postgresql://user@host:5432/database, found a URL of mysql",
            ),
        ],
    )
    def test_what_is_refused(self, change: tuple[str, Any], message: str) -> None:
        assert refusal(*EXTERNAL, change) == message

    def test_memory_is_for_them_alone(self) -> None:
        assert refusal(("storage", "memory")).startswith(
            "storage: found memory, but trials of objective 'hf' run in the"
        )


class TestWhatTheObjectiveCanMeasure:
    def test_metrics_that_it_produces_pass(self) -> None:
        spec().check_produced({"support": True, "legal": False, "general": False})

    def test_labels_are_needed_in_every_row(self) -> None:
        with pytest.raises(SpecError) as error:
            spec().check_produced({"support": False, "legal": False, "general": False})
        assert str(error.value) == (
            "metrics[0].name: 'support/f1' needs a label in every test row of 'support'; "
            "possible are support/bits_per_byte, support/exact_match, support/loss, support/perplexity, "
            "support/rouge_l, support/token_f1"
        )

    def test_a_metric_that_it_does_not_know(self) -> None:
        own = spec(("metrics.1", {"name": "legal/bleu", "goal": "maximize", "scale": 1}))
        with pytest.raises(SpecError) as error:
            own.check_produced({"support": True, "legal": False, "general": False})
        assert str(error.value) == (
            "metrics[1].name: 'legal/bleu' is nothing that objective 'hf' can measure; "
            "possible are legal/bits_per_byte, legal/exact_match, legal/loss, legal/perplexity, legal/rouge_l, "
            "legal/token_f1"
        )

    def test_test_only_domains_are_watched_by_metrics_of_text_too(self) -> None:
        found = spec(("metrics.2", {"name": "general/token_f1", "guard": 0.02}))
        found.check_produced({"support": True, "legal": False, "general": False})
        assert (found.metrics[2].weight, found.metrics[2].guard) == (0, 0.02)


class TestOwnFunction:
    STATED: ClassVar[dict[str, Any]] = {
        "name": "legal/share",
        "function": "spec_judges:share",
        "goal": "maximize",
        "scale": 1,
    }

    def judged_by(self, root: Path, text: str, **changes: Any) -> StudySpec:
        (root / "spec_judges.py").write_text(text)
        return StudySpec.parse(edited(("metrics.-", {**self.STATED, **changes})), root)

    @pytest.fixture(autouse=True)
    def forgotten(self) -> Iterator[None]:
        yield
        sys.modules.pop("spec_judges", None)

    def test_reaches_the_worker_by_its_import_path(self, tmp_path: Path) -> None:
        found = self.judged_by(tmp_path, "def share(generated): return 1.0\n")
        found.check_produced({"support": True, "legal": False, "general": False})
        metric = found.blueprint.metrics[-1]
        assert (metric.name, metric.function) == ("legal/share", "spec_judges:share")
        assert (metric.goal, metric.comparison, metric.upper) == (Goal.MAXIMIZE, Comparison.DIFFERENCE, None)
        assert spec().metrics[0].function is None

    @pytest.mark.parametrize("missing", ["goal", "scale"])
    def test_states_its_goal_and_scale(self, missing: str) -> None:
        stated = {key: value for key, value in self.STATED.items() if key != missing}
        assert "metrics[3].name: 'share' is not a known metric" in refusal(("metrics.-", stated))

    def test_must_not_have_the_name_of_a_known_metric(self) -> None:
        assert refusal(("metrics.-", {**self.STATED, "name": "legal/rouge_l"})) == (
            "metrics[3].function: 'rouge_l' is measured without a function; remove it, or give this metric another name"
        )

    def test_that_cannot_be_used_is_named_with_its_place(self, tmp_path: Path) -> None:
        found = self.judged_by(tmp_path, "def other(generated): return 1.0\n")
        with pytest.raises(SpecError, match=r"metrics\[3\]\.function: 'spec_judges:share': .* has no function 'share'"):
            found.check_produced({"support": True, "legal": False, "general": False})

    def test_needs_an_objective_that_has_answers(self, tmp_path: Path) -> None:
        found = StudySpec.parse(
            edited(("metrics.-", self.STATED), ("objective", {"kind": "command", "argv": ["true"], "rows": 5})),
            tmp_path,
        )
        with pytest.raises(SpecError, match=r"metrics\[3\]\.function: objective 'command' reports all of its metrics"):
            found.check_produced({"support": True, "legal": False, "general": False})


class TestBaseModel:
    @pytest.mark.parametrize(
        ("made", "found"), [(False, "is no folder"), (True, r"has no config\.json")], ids=["missing", "empty"]
    )
    def test_a_folder_without_a_model_is_refused(self, made: bool, found: str, tmp_path: Path) -> None:
        if made:
            (tmp_path / "models" / "base").mkdir(parents=True)
        backend = StudySpec.parse(edited(("objective.base_model", "./models/base")), tmp_path).backend
        with pytest.raises(OptionsError, match=rf"objective\.base_model: .*models/base {found}; expected the folder"):
            backend.check(tmp_path)

    def test_a_hub_name_that_is_not_cached_is_refused_when_offline(self, tmp_path: Path) -> None:
        """In a fresh process, as the hub's client reads its settings once; nothing heavy may be imported."""
        file = tmp_path / "study.yaml"
        file.write_text(edited(("objective.base_model", "nobody/nothing")))
        program = (
            "import sys\n"
            "from objectives.errors import OptionsError\n"
            "from ratio_search.spec import StudySpec\n"
            f"spec = StudySpec.load({str(file)!r})\n"
            "try:\n"
            "    spec.backend.check(spec.root)\n"
            "except OptionsError as error:\n"
            "    print(error)\n"
            "print(sorted({'torch', 'transformers', 'peft', 'ray', 'optuna'} & set(sys.modules)))\n"
        )
        environment = {"PATH": "", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )
        message, imported = done.stdout.splitlines()
        assert message.startswith("objective.base_model: 'nobody/nothing' is neither a folder under")
        assert imported == "[]"


class TestIdentityAndPolicy:
    @pytest.mark.parametrize(
        "changes",
        [
            [("objective.steps", 200)],
            [("objective.base_model", "other/model")],
            [("objective.lora.rank", 4)],
            [("metrics.1.name", "legal/exact_match")],
            [("metrics.-", {"name": "support/accuracy"})],
            [("metrics.0.goal", "minimize")],
            [("domains.books", {"train": "books.jsonl"})],
            [("domains.manuals", {"test": "manuals.jsonl"})],
            [("search.seed", 1)],
            [("data.weigh_by", "tokens")],
            [("data.audit.duplicates", "drop")],
            [("data.audit.bad_rows", "drop")],
            [("data.audit.near_leakage", "drop"), ("data.audit.near", 0.8)],
        ],
    )
    def test_what_results_depend_on_is_identity(self, changes: list[tuple[str, Any]]) -> None:
        assert spec(*changes).identity != spec().identity

    def test_the_domains_order_is_identity_where_it_decides_what_is_left_out(self) -> None:
        turned = dict(reversed(DOCUMENT["domains"].items()))
        assert spec(("domains", turned)).identity == spec().identity
        drops = ("data.audit.across_domains", "drop")
        assert spec(("domains", turned), drops).identity != spec(drops).identity

    def test_how_near_is_identity_where_such_rows_are_left_out(self) -> None:
        dropped = [spec(("data.audit.near_leakage", "drop"), ("data.audit.near", near)) for near in (0.7, 0.8)]
        assert dropped[0].identity != dropped[1].identity
        assert dropped[0].policy == dropped[1].policy
        told = [spec(("data.audit.near", near)) for near in (0.7, 0.8)]
        assert told[0].identity == told[1].identity == spec().identity
        assert told[0].policy != told[1].policy

    @pytest.mark.parametrize(
        "changes",
        [
            [("search.trials", 48)],
            [("search.space.grid", 0.01)],
            [("search.space.at_most", 2)],
            [("search.space.groups", {"g": {"domains": ["legal", "manuals"], "share": [0.1, 0.5]}})],
            [("search.parallel", 4)],
            [("search.sampler", "tpe")],
            [("budget.hours", 3)],
            [("keep.best", 5)],
            [("keep.disk_gb", 3)],
            [("health.stuck_after_s", 3)],
            [("health.floor_gb", None)],
            [("health.wait_s", 0)],
            [("balance.kind", "weighted")],
            [("balance.mean", 0.05)],
            [("metrics.0.weight", 3)],
            [("metrics.0.guard", 0.1)],
            [("metrics.2.confidence", 0.9)],
            [("balance.kind", "target"), ("metrics.0.target", 0.9)],
            [("metrics.0.reference", 0.5)],
            [("metrics.0.scale", 2)],
            [("domains.support.share", [0.1, 0.8])],
            [("domains.support.share", 0.2)],
            [("current", {"legal": 1})],
            [("objective.resources.cpus", 2)],
            [("objective.threads", 2)],
            [("objective.micro_batch_size", 4)],
            [("baseline", False), *((f"metrics.{i}.reference", 0.5) for i in range(3))],
            [("data.max_epochs", 4)],
            [("domains.support.max_epochs", 4)],
            [("data.audit.duplicates", "error")],
            [("data.audit.leakage", "warn")],
            [("data.audit.near", 0.8)],
        ],
    )
    def test_what_may_change_while_the_study_runs_is_policy(self, changes: list[tuple[str, Any]]) -> None:
        assert spec(*changes).identity == spec().identity
        assert spec(*changes).policy != spec().policy

    @pytest.mark.parametrize(
        "changes",
        [
            [("domains.support.train", "moved/support.jsonl")],
            [("domains.support.final", "moved/final.jsonl")],
            [("objective.steps", 150)],
            [("search.trials", 24)],
            [("metrics.1.weight", 1.0)],
            [("metrics.1.goal", "minimize")],
            [("domains.support.share", [0, 1])],
            [("data.weigh_by", "rows")],
            [("data.audit", {"leakage": "error", "duplicates": "warn"})],
        ],
    )
    def test_places_of_files_and_stated_defaults_are_neither(self, changes: list[tuple[str, Any]]) -> None:
        assert (spec(*changes).identity, spec(*changes).policy) == (spec().identity, spec().policy)

    def test_every_setting_of_the_objective_is_one_or_the_other(self) -> None:
        found = spec()
        identity, policy = set(found.identity["objective"]), set(found.policy["objective"])
        assert identity | policy == set(type(found.backend).model_fields)
        assert not identity & policy


def test_on_final_test_and_final_files_are_exchanged() -> None:
    domains = {
        "a": {"train": "a.jsonl", "test": "a.test.jsonl", "final": "a.final.jsonl"},
        "b": {"train": "b.jsonl", "test": "b.test.jsonl", "final": ["b.1.jsonl", "b.2.jsonl"]},
        "untested": {"train": "c.jsonl"},
    }
    document = {
        "name": "finals",
        "domains": domains,
        "objective": {"kind": "command", "argv": ["train"], "rows": 10},
        "metrics": [{"name": "a/accuracy"}],
    }
    root = Path("/data")
    spec = StudySpec.parse(yaml.safe_dump(document), root)
    found = spec.on_final()
    assert [domain.test for domain in found.domains] == [domain.final for domain in spec.domains]
    assert [domain.final for domain in found.domains] == [domain.test for domain in spec.domains]
    assert found.on_final() == spec
    assert found.blueprint.domains == found.domains
    del domains["a"]["final"], domains["b"]["final"]
    with pytest.raises(SpecError, match=r"no final files for a, b; add domains\.a\.final"):
        StudySpec.parse(yaml.safe_dump(document), root).on_final()
