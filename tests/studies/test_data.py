"""The sample data: frozen, repeatable, disjoint, readable, licensed."""

import hashlib
import importlib.resources
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from objectives.data import Row, read_rows

ROOT = Path(__file__).parents[2]
DATA = ROOT / "studies" / "data"
BASE = ROOT / "objectives" / "backends" / "hf" / "base"
DOMAINS = ("support", "legal", "manuals", "pydocs")
FOLDERS = {"base": BASE, "train": DATA / "train", "test": DATA / "test", "final": DATA / "final"}
FILES = [folder / f"{domain}.jsonl" for folder in FOLDERS.values() for domain in DOMAINS]
MANUALS = tomllib.loads((DATA / "sources" / "manuals.toml").read_text(encoding="utf-8"))

every_domain = pytest.mark.parametrize("domain", DOMAINS)


def rows_of(split: str, domain: str) -> tuple[Row, ...]:
    return read_rows([FOLDERS[split] / f"{domain}.jsonl"])


def generate(root: Path, *arguments: str, hash_seed: str = "0") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(root / "studies" / "data" / "generate.py"), *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def sources_alone(tmp_path: Path) -> Path:
    """A repository that holds the generator and its sources, and none of the data."""
    data = tmp_path / "studies" / "data"
    data.mkdir(parents=True)
    shutil.copy(DATA / "generate.py", data)
    shutil.copytree(DATA / "sources", data / "sources")
    return tmp_path


class TestFrozen:
    def test_every_file_has_the_digest_that_the_sums_state(self) -> None:
        stated = {}
        for line in (DATA / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
            digest, name = line.split("  ")
            stated[ROOT / name] = digest
        assert stated == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}

    @pytest.mark.parametrize("hash_seed", ["1", "4242"])
    def test_the_sources_alone_give_the_same_bytes(self, sources_alone: Path, hash_seed: str) -> None:
        done = generate(sources_alone, hash_seed=hash_seed)
        assert done.returncode == 0, done.stderr
        for path in [*FILES, DATA / "SHA256SUMS"]:
            assert (sources_alone / path.relative_to(ROOT)).read_bytes() == path.read_bytes()

    def test_check_accepts_the_files_as_they_are(self) -> None:
        done = generate(ROOT, "--check")
        assert (done.returncode, done.stderr) == (0, "")

    def test_check_names_a_file_that_differs_and_leaves_it_alone(self, sources_alone: Path) -> None:
        generate(sources_alone)
        changed = sources_alone / "studies" / "data" / "test" / "legal.jsonl"
        changed.write_bytes(changed.read_bytes() + b"\n")
        before = changed.read_bytes()
        done = generate(sources_alone, "--check")
        assert done.returncode == 1
        assert done.stderr.splitlines() == ["studies/data/test/legal.jsonl: differs from what the sources give"]
        assert changed.read_bytes() == before

    def test_an_unknown_argument_is_refused(self, sources_alone: Path) -> None:
        done = generate(sources_alone, "--chekc")
        assert done.returncode == 2
        assert "--chekc" in done.stderr
        assert not (sources_alone / "studies" / "data" / "train").exists()


class TestSplits:
    @every_domain
    def test_no_instruction_occurs_twice_in_a_split_or_in_two(self, domain: str) -> None:
        seen: dict[str, str] = {}
        for split in FOLDERS:
            for row in rows_of(split, domain):
                key = " ".join(re.findall(r"\w+", row.instruction.casefold()))
                assert key not in seen, f"{row.instruction!r} is in {seen[key]} and {split}"
                seen[key] = split

    def test_each_split_of_manuals_asks_in_phrasings_of_its_own(self) -> None:
        fields = {"machine": MANUALS["machines"], "code": MANUALS["codes"], "place": MANUALS["places"]}
        for split, asked in itertools.product(FOLDERS, FOLDERS):
            patterns = [pattern(phrasing, fields) for phrasing in MANUALS["phrasings"][asked]]
            matches = [any(p.fullmatch(row.instruction) for p in patterns) for row in rows_of(split, "manuals")]
            assert all(matches) if split == asked else not any(matches), (split, asked)

    def test_tests_of_manuals_ask_only_about_facts_that_training_states(self) -> None:
        train, test, final = ({fact(row) for row in rows_of(split, "manuals")} for split in ("train", "test", "final"))
        assert len(train) == 40
        assert train == test == final

    @every_domain
    def test_every_label_of_the_tests_is_trained_and_every_base_label_too(self, domain: str) -> None:
        labels = {split: {row.label for row in rows_of(split, domain)} for split in FOLDERS}
        assert labels["base"] == labels["train"] == labels["test"] == labels["final"]
        assert len(labels["train"]) == (10 if domain == "legal" else 8)


class TestRows:
    @pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_every_output_begins_with_its_label_and_says_more(self, path: Path) -> None:
        for row in read_rows([path]):
            assert row.label is not None
            assert row.output.startswith(f"{row.label}: ")
            assert len(row.output) > len(row.label) + 3
            assert row.instruction.strip() == row.instruction != ""
            assert "{" not in row.instruction + row.output or path.stem == "pydocs"

    def test_all_files_together_take_one_to_two_megabytes(self) -> None:
        assert 1_000_000 <= sum(path.stat().st_size for path in FILES) <= 2_000_000

    def test_natural_shares_are_far_from_uniform(self) -> None:
        sizes = [len(rows_of("train", domain)) for domain in DOMAINS]
        assert len(set(sizes)) == len(sizes)
        assert max(sizes) >= 3 * min(sizes)


class TestLicences:
    @pytest.mark.parametrize("folder", [DATA, BASE], ids=["studies", "package"])
    def test_the_licence_of_the_docstrings_lies_beside_them(self, folder: Path) -> None:
        text = (folder / "LICENSE-PSF.txt").read_text(encoding="utf-8")
        assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in text
        assert "Python Software Foundation;\nAll Rights Reserved" in text

    def test_the_readme_states_both_licences_and_what_is_synthetic(self) -> None:
        text = (DATA / "README.md").read_text(encoding="utf-8")
        assert "Apache-2.0" in text
        assert "LICENSE-PSF.txt" in text
        assert "Support, legal and manuals are synthetic" in text

    def test_pydocs_rows_are_frozen_sentences(self) -> None:
        frozen = read_sentences(DATA / "sources" / "pydocs.jsonl")
        for split in FOLDERS:
            assert {(row.instruction, row.output) for row in rows_of(split, "pydocs")} <= frozen


def test_the_package_carries_the_base_rows() -> None:
    folder = importlib.resources.files("objectives.backends.hf") / "base"
    carried = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".jsonl")}
    assert carried == {path.name: path.read_bytes() for path in FILES if path.parent == BASE}


def pattern(phrasing: str, fields: dict[str, list[str]]) -> re.Pattern[str]:
    """Matches what a phrasing can become."""
    text = re.escape(phrasing)
    for name, values in fields.items():
        text = text.replace(rf"\{{{name}\}}", f"(?:{'|'.join(map(re.escape, values))})")
    return re.compile(text)


def fact(row: Row) -> tuple[str, str, str]:
    """Machine, code and answer of a manuals row."""
    machine = next(name for name in MANUALS["machines"] if name in row.instruction)
    code = next(name for name in MANUALS["codes"] if re.search(rf"\b{name}\b", row.instruction))
    return machine, code, row.output


def read_sentences(path: Path) -> set[tuple[str, str]]:
    """Sentence and output of every frozen docstring."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return {(entry["sentence"], f"{entry['label']}: {entry['module']}.") for entry in found}
