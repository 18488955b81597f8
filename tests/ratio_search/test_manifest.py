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

    def test_it_survives_json(self, spec: StudySpec) -> None:
        manifest = Manifest.of(spec)
        restored = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
        assert (restored, restored.identity) == (manifest, manifest.identity)


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
            "domains.legal.test: legal.test.jsonl: cannot be read (No such file or directory); "
            "expected a file of JSON lines"
        )

    def test_a_folder_in_a_files_place(self, spec: StudySpec) -> None:
        (spec.root / "legal.train.jsonl").unlink()
        (spec.root / "legal.train.jsonl").mkdir()
        assert refusal(spec).startswith("domains.legal.train: legal.train.jsonl: cannot be read (Is a directory)")

    @pytest.mark.parametrize("content", ["", "\n \n"])
    def test_an_empty_domain(self, spec: StudySpec, content: str) -> None:
        (spec.root / "legal.train.jsonl").write_text(content)
        assert refusal(spec).startswith("domains.legal.train: no rows in legal.train.jsonl: expected JSON lines")

    def test_bad_lines_are_named_by_key_file_and_line(self, spec: StudySpec) -> None:
        (spec.root / "support.2.jsonl").write_bytes(
            ROW.encode() + b'hello\n{"instruction": "i"}\n{"output": "o"}\n{"instruction": "\xff", "output": "o"}\n'
        )
        summary, *lines = refusal(spec).splitlines()
        assert summary == "domains.support.train: 4 bad lines; correct or remove them:"
        assert [line.split(": ", 1)[0] for line in lines] == [f"  support.2.jsonl:{n}" for n in (2, 3, 4, 5)]
        for line, found in zip(
            lines, ["not JSON", "lacks 'output'", "lacks 'instruction'", "not valid UTF-8"], strict=True
        ):
            assert found in line
        assert "hello" in lines[0]

    def test_all_bad_lines_are_counted_and_ten_are_shown(self, spec: StudySpec) -> None:
        (spec.root / "support.1.jsonl").write_text("x\n" * 7)
        (spec.root / "support.2.jsonl").write_text("x\n" * 6)
        summary, *lines, rest = refusal(spec).splitlines()
        assert summary == "domains.support.train: 13 bad lines; correct or remove them:"
        assert len(lines) == 10
        assert lines[-1].startswith("  support.2.jsonl:3: not JSON")
        assert rest == "  and 3 more"

    def test_a_metric_that_needs_labels_which_are_not_there(self, spec: StudySpec) -> None:
        (spec.root / "support.test.jsonl").write_text('{"instruction": "i", "output": "yes"}\n')
        with pytest.raises(SpecError, match=r"metrics\[0\]\.name: 'support/f1' needs a label in every test row"):
            Manifest.of(spec)
