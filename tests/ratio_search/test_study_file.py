from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.data import DEFAULT_POLICY, Action, Finding
from ratio_search.errors import SpecError
from ratio_search.study_file import NAME, AuditSection, StudyFile, parse

DOCUMENT: dict[str, Any] = {
    "name": "support-legal",
    "domains": {
        "support": {"train": "support.jsonl", "test": "support.test.jsonl", "share": [0.1, 0.8]},
        "legal": {"train": ["legal-1.jsonl", "legal-2.jsonl"]},
    },
    "objective": {"kind": "hf"},
    "metrics": [{"name": "support/f1", "weight": 2}],
    "current": {"support": 0.5, "legal": 0.5},
    "balance": {"kind": "worst", "mean": 0.05},
    "data": {"max_epochs": 8, "audit": {"duplicates": "drop"}},
    "search": {"trials": 12},
    "budget": {"hours": 8},
    "keep": {"best": 1},
    "health": {"floor_gb": 2},
}
TEXT = yaml.safe_dump(DOCUMENT, sort_keys=False)
NOT_A_PLAIN_NAME = "expected a plain name (1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit)"
NOT_BOUNDS = "expected [lowest, highest] with 0 <= lowest <= highest <= 1, or one number that fixes the share"


def edited(path: str, value: str) -> str:
    """The valid file with the YAML `value` put at a dotted path; list positions are numbers."""
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        place = place[part]
    place[last] = "<value>"
    return yaml.safe_dump(document, sort_keys=False).replace("<value>", value)


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as error:
        parse(text)
    return str(error.value)


class TestWhatIsAccepted:
    def test_only_four_keys_are_needed(self) -> None:
        file = parse("name: a\ndomains: {x: {}, y: {}}\nobjective: {kind: hf}\nmetrics: [{name: x/f1}]\n")
        assert (file.search.trials, file.search.parallel, file.search.seed) == (24, 2, 0)
        assert (file.baseline, file.storage, file.balance.kind, file.balance.mean) == (None, "sqlite", "worst", 0.0)
        assert (file.budget.hours, file.keep.best, file.current) == (None, 2, None)
        assert (file.health.stuck_after_s, file.health.floor_gb, file.health.wait_s) == (120, 1, 600)
        assert (file.data.weigh_by, file.data.max_epochs, file.data.audit.near) == ("rows", None, None)

    def test_every_finding_has_a_key_whose_default_is_that_of_the_data(self) -> None:
        stated = {finding: getattr(AuditSection(), finding.value) for finding in Finding}
        assert stated == dict(DEFAULT_POLICY.actions)
        assert set(AuditSection.model_fields) == {*Finding, "near"}

    def test_data_may_be_told_of_or_left_out(self) -> None:
        audit = parse(TEXT).data.audit
        assert (audit.duplicates, audit.leakage) == (Action.DROP, Action.ERROR)

    def test_one_file_or_a_list_of_files(self) -> None:
        domains = parse(TEXT).domains
        assert domains["support"].train == ("support.jsonl",)
        assert domains["legal"].train == ("legal-1.jsonl", "legal-2.jsonl")

    @pytest.mark.parametrize(
        ("share", "bounds"),
        [("[0.1, 0.8]", (0.1, 0.8)), ("0.3", (0.3, 0.3)), ("1", (1.0, 1.0)), ("[1e-3, 8e-1]", (0.001, 0.8))],
    )
    def test_a_share_is_a_pair_of_bounds_or_one_number_that_fixes_it(
        self, share: str, bounds: tuple[float, float]
    ) -> None:
        assert parse(edited("domains.support.share", share)).domains["support"].share == bounds

    @pytest.mark.parametrize(
        ("written", "number"), [("1e-3", 0.001), ("1E+2", 100.0), ("+.5", 0.5), ("5.", 5.0), ("010", 10.0)]
    )
    def test_numbers_are_those_of_yaml_1_2(self, written: str, number: float) -> None:
        """PyYAML alone takes 1e-3 for text and 010 for 8."""
        assert parse(edited("budget.hours", written)).budget.hours == number

    @pytest.mark.parametrize("name", ["a", "0a", "support-legal_v1.2", "2024-01-31", "1e5x", "x" * 64])
    def test_plain_names(self, name: str) -> None:
        assert parse(edited("name", name)).name == name

    def test_an_anchor_can_be_merged_and_overridden(self) -> None:
        domains = "{support: &usual {train: a.jsonl, test: b.jsonl}, legal: {<<: *usual, train: c.jsonl}}"
        legal = parse(edited("domains", domains)).domains["legal"]
        assert (legal.train, legal.test) == (("c.jsonl",), ("b.jsonl",))


class TestWhatIsRefused:
    @pytest.mark.parametrize("name", ["../x", "a/b", "''", ".hidden", "x" * 65, "a b", "-a", "é", '"a\\n"', "[a]"])
    def test_a_study_name_that_is_not_plain(self, name: str) -> None:
        assert refusal(edited("name", name)).startswith(f"name: {NOT_A_PLAIN_NAME}, found ")

    @pytest.mark.parametrize(("name", "found"), [("12", "12"), ("no", "false"), ("1e5", "100000.0")])
    def test_a_name_that_yaml_takes_for_something_else_is_to_be_quoted(self, name: str, found: str) -> None:
        assert refusal(edited("name", name)) == f"name: {NOT_A_PLAIN_NAME}, found {found}; put it in quotes"

    def test_a_domain_name_that_is_not_plain(self) -> None:
        text = edited("domains", "{a b: {}, legal/x: {}}")
        assert refusal(text).splitlines() == [
            f"domains.a b: {NOT_A_PLAIN_NAME}, found 'a b'",
            f"domains.legal/x: {NOT_A_PLAIN_NAME}, found 'legal/x'",
        ]

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("serach", "{}", "serach: unknown key; did you mean 'search'?"),
            (
                "zzz",
                "1",
                "zzz: unknown key; known are name, domains, objective, metrics, current, baseline, balance, data, "
                "search, budget, keep, health, storage",
            ),
            ("domains.legal.trian", "x", "domains.legal.trian: unknown key; did you mean 'train'?"),
            ("domains", "{test: {shar: 1}}", "domains.test.shar: unknown key; did you mean 'share'?"),
            ("metrics.0.wieght", "1", "metrics[0].wieght: unknown key; did you mean 'weight'?"),
            ("search.trails", "3", "search.trails: unknown key; did you mean 'trials'?"),
            ("search.space", "{atmost: 3}", "search.space.atmost: unknown key; did you mean 'at_most'?"),
            (
                "search.space",
                "{groups: {g: {domain: [a]}}}",
                "search.space.groups.g.domains: required, but not there; add it\n"
                "search.space.groups.g.domain: unknown key; did you mean 'domains'?",
            ),
            ("data.weigh", "rows", "data.weigh: unknown key; did you mean 'weigh_by'?"),
            ("data.audit.leaks", "warn", "data.audit.leaks: unknown key; did you mean 'leakage'?"),
            ("domains.legal.epochs", "2", "domains.legal.epochs: unknown key; did you mean 'max_epochs'?"),
            (
                "budget.dollars",
                "200",
                "budget.dollars: unknown key; known are usd, hours, gpu_hours, tokens, prices",
            ),
            (
                "budget.prices",
                "{usd_per_hours: 2}",
                "budget.prices.usd_per_hours: unknown key; did you mean 'usd_per_hour'?",
            ),
        ],
    )
    def test_an_unknown_key_is_met_with_the_nearest_known_one(self, path: str, value: str, message: str) -> None:
        assert refusal(edited(path, value)) == message

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("domains", "[support, legal]", "domains: expected keys with values, found ['support', 'legal']"),
            ("domains.legal", "null", "domains.legal: expected keys with values, found nothing"),
            ("objective", "hf", "objective: expected keys with values, found 'hf'"),
            ("metrics", "{name: x/f1}", "metrics: expected a list, found {'name': 'x/f1'}"),
            ("metrics.0", "x/f1", "metrics[0]: expected keys with values, found 'x/f1'"),
            ("metrics.0.name", "3", "metrics[0].name: expected text, found 3"),
            ("metrics.0.goal", "max", "metrics[0].goal: expected 'maximize' or 'minimize', found 'max'"),
            ("metrics.0.weight", "-1", "metrics[0].weight: expected a number of at least 0, found -1"),
            ("metrics.0.weight", "'2'", "metrics[0].weight: expected a number, found '2'"),
            ("metrics.0.weight", "yes", "metrics[0].weight: expected a number, found true"),
            ("metrics.0.weight", ".nan", "metrics[0].weight: expected a finite number, found nan"),
            ("metrics.0.scale", "0", "metrics[0].scale: expected a number above 0, found 0"),
            ("metrics.0.guard", "-0.1", "metrics[0].guard: expected a number of at least 0, found -0.1"),
            (
                "metrics.0.reference",
                "-.inf",
                "metrics[0].reference: expected a finite number, or a confirmed recipe's file, found -inf",
            ),
            (
                "metrics.0.reference",
                "[1]",
                "metrics[0].reference: expected a finite number, or a confirmed recipe's file, found [1]",
            ),
            (
                "metrics.0.reference",
                "' '",
                "metrics[0].reference: expected a number, or a confirmed recipe's file, found ' '",
            ),
            ("metrics.0.target", "high", "metrics[0].target: expected a number, found 'high'"),
            ("metrics.0.confidence", "0.4", "metrics[0].confidence: expected a number of at least 0.5, found 0.4"),
            ("metrics.0.confidence", "1", "metrics[0].confidence: expected a number below 1, found 1"),
            ("current.legal", "half", "current.legal: expected a number, found 'half'"),
            ("current.legal", "-0.5", "current.legal: expected a number of at least 0, found -0.5"),
            ("baseline", "maybe", "baseline: expected true or false, found 'maybe'"),
            ("balance.kind", "best", "balance.kind: expected 'worst', 'weighted', 'target' or 'pareto', found 'best'"),
            ("balance.mean", "-1", "balance.mean: expected a number of at least 0, found -1"),
            ("search.trials", "-1", "search.trials: expected a number of at least 1, found -1"),
            ("search.trials", "1.5", "search.trials: expected a whole number, found 1.5"),
            ("search.trials", "true", "search.trials: expected a whole number, found true"),
            ("search.parallel", "0", "search.parallel: expected a number of at least 1, found 0"),
            (
                "search.sampler",
                "gp",
                "search.sampler: expected 'simplex-gp', 'random', 'tpe' or 'optuna-gp', found 'gp'",
            ),
            ("search.seed", "4294967296", "search.seed: expected a number below 4294967296, found 4294967296"),
            ("search.space", "[]", "search.space: expected keys with values, found []"),
            ("search.space", "{grid: -0.1}", "search.space.grid: expected a number above 0, found -0.1"),
            ("search.space", "{at_most: 0}", "search.space.at_most: expected a number of at least 1, found 0"),
            ("search.space", "{at_most: 2.5}", "search.space.at_most: expected a whole number, found 2.5"),
            (
                "search.space",
                "{groups: {g: {domains: legal}}}",
                "search.space.groups.g.domains: expected a list of one or more domains, found 'legal'",
            ),
            (
                "search.space",
                "{groups: {g: {domains: [2024]}}}",
                "search.space.groups.g.domains: expected a list of one or more domains, found [2024]",
            ),
            (
                "search.space",
                "{groups: {g: {domains: [legal], share: [0.5, 0.1]}}}",
                "search.space.groups.g.share: expected [lowest, highest] with 0 <= lowest <= highest <= 1, or one "
                "number that fixes the share, found [0.5, 0.1]",
            ),
            (
                "search.space",
                "{groups: {g: {domains: [legal], proportions: {legal: 0}}}}",
                "search.space.groups.g.proportions.legal: expected a number above 0, found 0",
            ),
            ("budget.hours", "-8", "budget.hours: expected a number above 0, found -8"),
            ("budget.usd", "0", "budget.usd: expected a number above 0, found 0"),
            ("budget.tokens", "10M", "budget.tokens: expected a number, found '10M'"),
            (
                "budget.prices",
                "{usd_per_gpu_hour: -1}",
                "budget.prices.usd_per_gpu_hour: expected a number of at least 0, found -1",
            ),
            ("budget.hours", ".inf", "budget.hours: expected a finite number, found inf"),
            ("budget.hours", "1:30", "budget.hours: expected a number, found '1:30'"),
            ("domains.legal.max_epochs", "0", "domains.legal.max_epochs: expected a number above 0, found 0"),
            ("data.weigh_by", "words", "data.weigh_by: expected 'rows' or 'tokens', found 'words'"),
            ("data.max_epochs", "-1", "data.max_epochs: expected a number above 0, found -1"),
            ("data.max_epochs", ".inf", "data.max_epochs: expected a finite number, found inf"),
            ("data.audit", "drop", "data.audit: expected keys with values, found 'drop'"),
            (
                "data.audit.leakage",
                "no",
                "data.audit.leakage: expected 'error', 'warn' or 'drop', found false",
            ),
            ("data.audit.near", "1", "data.audit.near: expected a number below 1, found 1"),
            ("data.audit.near", "0", "data.audit.near: expected a number above 0, found 0"),
            ("data.audit.near", "warn", "data.audit.near: expected a number, found 'warn'"),
            (
                "data.audit.imbalance",
                "drop",
                "data.audit.imbalance: expected error or warn, found drop; which rows to leave out would be anyone's "
                "guess",
            ),
            ("keep.best", "-1", "keep.best: expected a number of at least 0, found -1"),
            ("keep.disk_gb", "0", "keep.disk_gb: expected a number above 0, found 0"),
            ("health.stuck_after_s", "0", "health.stuck_after_s: expected a number above 0, found 0"),
            ("health.floor_gb", "0", "health.floor_gb: expected a number above 0, found 0"),
            ("health.wait_s", "-1", "health.wait_s: expected a number of at least 0, found -1"),
        ],
    )
    def test_a_value_that_is_not_what_its_key_expects(self, path: str, value: str, message: str) -> None:
        assert refusal(edited(path, value)) == message

    @pytest.mark.parametrize(
        "share", ["[0.8, 0.2]", "[0.1]", "[0, 0.1, 1]", "-0.1", "[0, 1.5]", "[.nan, 1]", ".inf", "true", "'0.3'", "[]"]
    )
    def test_a_share_that_is_no_bounds(self, share: str) -> None:
        message = refusal(edited("domains.legal.share", share))
        assert message.startswith(f"domains.legal.share: {NOT_BOUNDS}, found ")

    @pytest.mark.parametrize("files", ["''", "[]", "3", "[a.jsonl, 3]", "{a: b}", '"a\\0b"', "null"])
    def test_files_that_are_no_paths(self, files: str) -> None:
        message = refusal(edited("domains.legal.train", files))
        assert message.startswith("domains.legal.train: expected a path or a list of paths, found ")

    def test_all_problems_are_listed_at_once(self) -> None:
        assert refusal("name: a b\ndomains: {}\nobjective: {}\nserach: 1\n").splitlines() == [
            f"name: {NOT_A_PLAIN_NAME}, found 'a b'",
            "metrics: required, but not there; add it",
            "serach: unknown key; did you mean 'search'?",
        ]


class TestWhatIsShown:
    def test_a_name_that_unfolds_into_gigabytes_is_shown_short(self) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        message = refusal("\n".join([*lines, "name: *a11\n"]))
        assert max(map(len, message.splitlines())) < 300

    def test_a_value_that_contains_itself(self) -> None:
        assert "search.trials: expected a whole number, found {'trials': {" in refusal("search: &s {trials: *s}\n")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
PATHS = st.sampled_from(
    [
        *DOCUMENT,
        "domains.support",
        "domains.support.share",
        "domains.legal.train",
        "metrics.0",
        "metrics.0.name",
        "metrics.0.weight",
        "search.trials",
        "search.seed",
        "search.space",
        "current.legal",
    ]
)


def accepted_or_refused(text: str) -> None:
    """Any exception but the one for bad study files fails the test."""
    try:
        file = parse(text)
    except SpecError as error:
        assert str(error)
    else:
        assert isinstance(file, StudyFile)
        assert NAME.fullmatch(file.name)
        assert all(0 <= low <= high <= 1 for d in file.domains.values() for low, high in [d.share or (0, 1)])
        assert all(m.weight is None or (m.weight >= 0 and math.isfinite(m.weight)) for m in file.metrics)


class TestFuzz:
    @settings(max_examples=150, deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        accepted_or_refused(text)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from([*"{}[]:,-?!&*#|>'\"%@ \n", "!!int", "!!", "<<", "&a", "*a", "1", ".", "name"])))
    def test_text_made_of_what_means_something_in_yaml(self, parts: list[str]) -> None:
        accepted_or_refused("".join(parts))

    @settings(max_examples=150, deadline=None)
    @given(PATHS, VALUES)
    def test_a_valid_file_with_any_value_in_any_place(self, path: str, value: Any) -> None:
        accepted_or_refused(edited(path, yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()))

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, len(TEXT)), st.integers(0, 20), st.text(max_size=5))
    def test_a_valid_file_with_a_piece_replaced(self, start: int, length: int, piece: str) -> None:
        accepted_or_refused(TEXT[:start] + piece + TEXT[start + length :])
