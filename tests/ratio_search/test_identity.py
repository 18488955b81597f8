from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.data import ORDER
from ratio_search.identity import differences, digest, identity_of, listed
from ratio_search.manifest import Manifest
from ratio_search.spec import StudySpec

PLAIN = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
)
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=3), PLAIN, max_size=3)


class TestDifferences:
    @pytest.mark.parametrize(
        ("before", "after", "lines"),
        [
            ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c: was 2, is 3"]),
            ({"a": 1}, {"a": 1, "b": "x"}, ["b: was not there, is 'x'"]),
            ({"a": {"b": [1, 2]}}, {}, ["a: was {'b': [1, 2]}, is not there"]),
            ({"a": None}, {}, []),
            ({"a": {"b": 1}}, {"a": 2}, ["a: was {'b': 1}, is 2"]),
            ({"a": 1, "b": 2}, {"b": 3, "a": 4}, ["a: was 1, is 4", "b: was 2, is 3"]),
            ({"a": [1, 2]}, {"a": [2, 1]}, ["a: was [1, 2], is [2, 1]"]),
        ],
    )
    def test_each_names_its_dotted_path_and_both_values(self, before: Any, after: Any, lines: list[str]) -> None:
        assert differences(before, after) == lines

    @settings(max_examples=50, deadline=None)
    @given(OBJECTS, OBJECTS)
    def test_there_are_none_exactly_between_equals(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        assert differences(before, before) == []
        assert bool(differences(before, after)) == (before != after)

    def test_they_are_listed_one_per_line(self) -> None:
        assert listed(["a: was 1, is 2", "b: was 3, is 4"]) == "  a: was 1, is 2\n  b: was 3, is 4"


class TestDigest:
    def test_it_does_not_depend_on_the_order_of_keys(self) -> None:
        assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})

    def test_it_is_sixteen_hex_digits_that_change_with_the_content(self) -> None:
        assert digest({"a": 1}) != digest({"a": 2})
        assert len(digest({})) == 16
        assert int(digest({}), 16) >= 0


def test_an_identity_joins_the_study_file_and_the_data(tmp_path: Path) -> None:
    for name in ("a", "b", "test"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"instruction": "{name}", "output": "o"}}\n')
    spec = StudySpec.parse(
        "name: small\n"
        "domains: {a: {train: a.jsonl, test: test.jsonl}, b: {train: b.jsonl}}\n"
        "objective: {kind: hf}\n"
        "metrics: [{name: a/perplexity}]\n",
        tmp_path,
    )
    before = identity_of(spec, Manifest.of(spec))
    assert before["rows"] == {"order": ORDER, "weigh_by": "rows", "dropped": {}}
    assert before["domains"] == {"a": "mixed", "b": "mixed"}
    assert before["metrics"] == {"a/perplexity": "minimize"}
    (tmp_path / "b.jsonl").write_text('{"instruction": "i", "output": "other"}\n')
    (line,) = differences(before, identity_of(spec, Manifest.of(spec)))
    assert line.startswith("data.b.train: was ['")


def test_an_identity_follows_a_users_own_function(tmp_path: Path) -> None:
    for name in ("a", "b", "test"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"instruction": "{name}", "output": "o"}}\n')
    judge = tmp_path / "identity_judge.py"
    judge.write_text("def length(generated): return [len(text) for text in generated]\n")

    def identity(*functions: str) -> dict[str, Any]:
        own = [{"name": f"a/{f}", "goal": "minimize", "scale": 1, "function": f"identity_judge:{f}"} for f in functions]
        spec = StudySpec.parse(
            json.dumps(
                {
                    "name": "small",
                    "domains": {"a": {"train": "a.jsonl", "test": "test.jsonl"}, "b": {"train": "b.jsonl"}},
                    "objective": {"kind": "hf"},
                    "metrics": [{"name": "a/perplexity"}, *own],
                }
            ),
            tmp_path,
        )
        return identity_of(spec, Manifest.of(spec))

    before = identity("length")
    assert "functions" not in identity()
    assert before["functions"]["a/length"]["path"] == "identity_judge:length"
    judge.write_text("def length(generated): return [len(text) + 1 for text in generated]\n")
    (line,) = differences(before, identity("length"))
    assert line.startswith("functions.a/length.source: was '")
