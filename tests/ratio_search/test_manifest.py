from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.errors import DataError
from ratio_search.errors import SpecError
from ratio_search.manifest import Manifest
from ratio_search.spec import StudySpec

ROW = '{"instruction": "i", "output": "yes", "label": "yes"}\n'
BAD_LINES = "bad lines; correct or remove them, or set data.audit.bad_rows to drop:"


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    """Two mixed domains, support with 2 + 3 training rows in two files, and one that is only tested."""
    files = {"support.1": 2, "support.2": 3, "support.test": 2, "support.final": 1}
    files |= {"legal.train": 4, "legal.test": 1, "general.test": 2}
    for i, (name, rows) in enumerate(files.items()):
        (tmp_path / f"{name}.jsonl").write_text(ROW.replace('"i"', f'"{i}"') * rows)
    domains = {
        "support": {
            "train": ["support.1.jsonl", "support.2.jsonl"],
            "test": "support.test.jsonl",
            "final": "support.final.jsonl",
        },
        "legal": {"train": "legal.train.jsonl", "test": "legal.test.jsonl"},
        "general": {"test": "general.test.jsonl"},
    }
    document: dict[str, Any] = {
        "name": "small",
        "domains": domains,
        "objective": {"kind": "hf"},
        "metrics": [{"name": "support/f1"}],
    }
    return StudySpec.parse(yaml.safe_dump(document), tmp_path)


def by_command(spec: StudySpec, **data: Any) -> StudySpec:
    """The same study by an objective that cannot count tokens, and with a section on its data."""
    document = yaml.safe_load(spec.text)
    document["objective"] = {"kind": "command", "argv": ["true"], "rows": 10}
    return StudySpec.parse(yaml.safe_dump({**document, "data": data}), spec.root)


def refusal(spec: StudySpec) -> str:
    with pytest.raises(DataError) as error:
        Manifest.of(spec)
    return str(error.value).replace(f"{spec.root}/", "")


class TestContent:
    def test_rows_are_counted_over_all_files_of_a_split(self, spec: StudySpec) -> None:
        manifest = Manifest.of(spec)
        assert manifest.rows == {
            "support": {"train": 5, "test": 2, "final": 1},
            "legal": {"train": 4, "test": 1},
            "general": {"test": 2},
        }
        assert manifest.train_rows == {"support": 5, "legal": 4}

    def test_each_file_has_its_hash_in_order(self, spec: StudySpec) -> None:
        contents = [(spec.root / f"support.{i}.jsonl").read_bytes() for i in (1, 2)]
        assert Manifest.of(spec).files["support"]["train"] == tuple(hashlib.sha256(c).hexdigest() for c in contents)

    @pytest.mark.parametrize("data", [{}, {"weigh_by": "tokens"}])
    def test_it_survives_json(self, spec: StudySpec, data: dict[str, Any]) -> None:
        manifest = Manifest.of(by_command(spec, **data))
        restored = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
        assert (restored, restored.identity) == (manifest, manifest.identity)


class TestWhatIsWeighed:
    def test_rows_are_counted_and_no_tokens(self, spec: StudySpec, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("objectives.backends.hf.counter.HfCounter.count", None)
        manifest = Manifest.of(spec)
        assert manifest.tokens is None
        assert manifest.natural == {"support": 5, "legal": 4}

    def test_tokens_are_those_of_the_training_rows(self, spec: StudySpec) -> None:
        long = json.dumps({"instruction": "i" * 96, "output": "yes"}) + "\n"  # 100 bytes with what stands between
        (spec.root / "support.2.jsonl").write_text(long * 3)
        manifest = Manifest.of(by_command(spec, weigh_by="tokens"))
        assert manifest.tokens == {"support": 2 * 2 + 3 * 25, "legal": 4 * 2}
        assert manifest.natural == manifest.tokens
        assert manifest.train_rows == {"support": 5, "legal": 4}

    def test_rows_that_are_left_out_count_neither_way(self, spec: StudySpec) -> None:
        rows = spec.root / "legal.train.jsonl"
        before = Manifest.of(by_command(spec, weigh_by="tokens"))
        rows.write_text(rows.read_text() + "no row\n" + ROW.replace('"i"', '"0"'))
        audit = {"duplicates": "drop", "across_domains": "drop", "bad_rows": "drop"}
        manifest = Manifest.of(by_command(spec, weigh_by="tokens", audit=audit))
        # Of its own duplicates the first one stays, and of those that stand in several domains the first domain's.
        assert [domain.name for domain in spec.mixed] == ["legal", "support"]
        assert manifest.rows["legal"] == {"train": 2, "test": 1}
        assert manifest.rows["support"] == {"train": 1, "test": 2, "final": 1}
        assert manifest.tokens == {"legal": 4, "support": 2}
        assert manifest.files["legal"] != before.files["legal"]


class TestWhatIsLookedFor:
    """Where nothing is said, only what would be refused: the rest is told by `check`."""

    @pytest.fixture
    def leaky(self, spec: StudySpec) -> StudySpec:
        """Half of the training rows of legal are test rows."""
        rows = spec.root / "legal.train.jsonl"
        rows.write_text(rows.read_text() + (spec.root / "support.test.jsonl").read_text())
        return spec

    def test_leaks_are_refused(self, leaky: StudySpec) -> None:
        summary, first, second = refusal(leaky).splitlines()
        assert summary == (
            "domains.legal.train: 2 rows with leakage; correct or remove them, or set data.audit.leakage to drop:"
        )
        assert first == "  legal.train.jsonl:5: the same as support.test.jsonl:1"
        assert second.startswith("  legal.train.jsonl:6: ")

    @pytest.mark.parametrize(("action", "rows"), [("warn", 6), ("drop", 4)])
    def test_unless_the_study_says_otherwise(self, leaky: StudySpec, action: str, rows: int) -> None:
        assert Manifest.of(by_command(leaky, audit={"leakage": action})).train_rows["legal"] == rows

    def test_warnings_become_errors_where_the_study_says_so(self, spec: StudySpec) -> None:
        assert refusal(by_command(spec, audit={"duplicates": "error"})).startswith(
            "domains.legal.train: 3 rows with duplicates; correct or remove them, or set data.audit.duplicates to drop:"
        )

    def test_a_domain_of_which_nothing_is_left(self, leaky: StudySpec) -> None:
        (leaky.root / "support.test.jsonl").write_text((leaky.root / "legal.train.jsonl").read_text())
        assert refusal(by_command(leaky, audit={"leakage": "drop"})) == (
            "domains.legal.train: no row is left that can be used; correct the files"
        )


class TestIdentity:
    @pytest.mark.parametrize("name", ["support.2", "support.test", "general.test"])
    def test_train_and_test_content_is_part_of_it(self, spec: StudySpec, name: str) -> None:
        before = Manifest.of(spec).identity
        with (spec.root / f"{name}.jsonl").open("a") as file:
            file.write(ROW)
        assert Manifest.of(spec).identity != before

    def test_the_final_split_is_not(self, spec: StudySpec) -> None:
        before = Manifest.of(spec)
        (spec.root / "support.final.jsonl").write_text(ROW * 9)
        after = Manifest.of(spec)
        assert after != before
        assert after.identity == before.identity

    def test_where_the_files_lie_is_not(self, spec: StudySpec) -> None:
        before = Manifest.of(spec).identity
        (spec.root / "moved").mkdir()
        (spec.root / "legal.train.jsonl").rename(spec.root / "moved" / "laws.jsonl")
        moved = StudySpec.parse(spec.text.replace("legal.train.jsonl", "moved/laws.jsonl"), spec.root)
        assert Manifest.of(moved).identity == before


class TestWhatIsRefused:
    def test_a_missing_file(self, spec: StudySpec) -> None:
        (spec.root / "legal.test.jsonl").unlink()
        assert refusal(spec) == (
            "domains.legal.test: legal.test.jsonl: cannot be read (No such file or directory); expected a file of rows"
        )

    def test_a_folder_in_a_files_place(self, spec: StudySpec) -> None:
        (spec.root / "legal.train.jsonl").unlink()
        (spec.root / "legal.train.jsonl").mkdir()
        assert refusal(spec).startswith("domains.legal.train: legal.train.jsonl: cannot be read (Is a directory)")

    @pytest.mark.parametrize("content", ["", "\n \n"])
    def test_an_empty_domain(self, spec: StudySpec, content: str) -> None:
        (spec.root / "legal.train.jsonl").write_text(content)
        assert refusal(spec).startswith("domains.legal.train: no rows in legal.train.jsonl: expected rows")

    def test_bad_lines_are_named_by_key_file_and_line(self, spec: StudySpec) -> None:
        (spec.root / "support.2.jsonl").write_bytes(
            ROW.encode() + b'hello\n{"instruction": "i"}\n{"output": "o"}\n{"instruction": "\xff", "output": "o"}\n'
        )
        summary, *lines = refusal(spec).splitlines()
        assert summary == f"domains.support.train: 4 {BAD_LINES}"
        assert [line.split(": ", 1)[0] for line in lines] == [f"  support.2.jsonl:{n}" for n in (2, 3, 4, 5)]
        for line, found in zip(lines, ["not JSON", "fits no format", "fits no format", "not valid UTF-8"], strict=True):
            assert found in line
        assert "hello" in lines[0]

    def test_all_bad_lines_are_counted_and_ten_are_shown(self, spec: StudySpec) -> None:
        (spec.root / "support.1.jsonl").write_text("x\n" * 7)
        (spec.root / "support.2.jsonl").write_text("x\n" * 6)
        summary, *lines, rest = refusal(spec).splitlines()
        assert summary == f"domains.support.train: 13 {BAD_LINES}"
        assert len(lines) == 10
        assert lines[-1].startswith("  support.2.jsonl:3: not JSON")
        assert rest == "  and 3 more"

    def test_a_metric_that_needs_labels_which_are_not_there(self, spec: StudySpec) -> None:
        (spec.root / "support.test.jsonl").write_text('{"instruction": "i", "output": "yes"}\n')
        with pytest.raises(SpecError, match=r"metrics\[0\]\.name: 'support/f1' needs a label in every test row"):
            Manifest.of(spec)
