"""The study of Amazon Nova that ships: its rows are frozen and fit for the service, and it begins where Amazon does."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.catalogue import CATEGORIES
from objectives.data import Row, read_rows
from ratio_search.spec import StudySpec

STUDIES = Path(__file__).parents[2] / "studies"
FOLDER = STUDIES / "nova"
SPLITS = ("train", "test", "final")

FEWEST = 200
"""Rows of a task that Amazon advises at least."""

RESERVED = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")
"""What no row may hold."""


def rows_of(split: str) -> tuple[Row, ...]:
    return read_rows([FOLDER / f"voc-{split}.jsonl"])


def generate(root: Path, *arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "nova" / "generate.py"), *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def spec() -> StudySpec:
    return StudySpec.load(STUDIES / "nova.yaml")


class TestRows:
    def test_the_words_alone_give_the_same_bytes(self, tmp_path: Path) -> None:
        for folder, files in {"nova": ["generate.py", "leaves.toml"], "data": ["generate.py"]}.items():
            (tmp_path / folder).mkdir()
            for file in files:
                shutil.copy(STUDIES / folder / file, tmp_path / folder)
        done = generate(tmp_path, hash_seed="4242")
        assert done.returncode == 0, done.stderr
        for split in SPLITS:
            file = f"voc-{split}.jsonl"
            assert (tmp_path / "nova" / file).read_bytes() == (FOLDER / file).read_bytes()

    def test_check_names_a_file_that_differs(self, tmp_path: Path) -> None:
        assert generate(STUDIES, "--check").returncode == 0
        shutil.copytree(FOLDER, tmp_path / "nova")
        shutil.copytree(STUDIES / "data", tmp_path / "data")
        file = tmp_path / "nova" / "voc-test.jsonl"
        file.write_bytes(file.read_bytes() + b"\n")
        done = generate(tmp_path, "--check")
        assert (done.returncode, done.stderr) == (1, "studies/nova/voc-test.jsonl: differs from what the words give\n")
        assert generate(tmp_path, "--chekc").returncode == 2

    def test_no_feedback_occurs_twice_in_a_split_or_in_two(self) -> None:
        asked = [" ".join(re.findall(r"\w+", row.instruction.casefold())) for s in SPLITS for row in rows_of(s)]
        assert len(set(asked)) == len(asked)

    def test_every_leaf_is_trained_and_tested(self) -> None:
        labels = {split: {row.label for row in rows_of(split)} for split in SPLITS}
        assert labels["train"] == labels["test"] == labels["final"]
        assert len(labels["train"]) == 36
        assert all(row.output == row.label for split in SPLITS for row in rows_of(split))

    def test_each_task_has_rows_enough_and_none_with_a_reserved_word(self, spec: StudySpec) -> None:
        for domain in spec.domains:
            for files in filter(None, (domain.train, domain.test, domain.final)):
                rows = read_rows(files)
                assert len(rows) >= FEWEST
                said = [message.text for row in rows for message in row.messages]
                assert not [text for text in said if any(word in text for word in RESERVED)]

    def test_the_files_are_small(self) -> None:
        assert sum(file.stat().st_size for file in FOLDER.glob("*.jsonl")) < 600_000


class TestStudy:
    def test_every_category_of_nova_is_in_one_domain(self, spec: StudySpec) -> None:
        named = [category for domain in spec.domains for category in domain.categories]
        assert sorted(named) == sorted(CATEGORIES)

    def test_neither_what_amazon_calls_indispensable_nor_rai_can_be_lost(self, spec: StudySpec) -> None:
        at_most_of_nova = 1 - 0.25
        for category in ("rai", "reasoning-instruction-following"):
            domain = next(domain for domain in spec.domains if category in domain.categories)
            part = domain.categories[category] / math.fsum(domain.categories.values())
            assert domain.lower * part / at_most_of_nova >= 0.001, "a tenth of a per cent is the least that can be sent"

    def test_todays_mixture_is_that_of_amazons_example(self, spec: StudySpec) -> None:
        """Three quarters of own data, and Nova's in its usual proportions."""
        assert spec.current is not None
        for domain in spec.domains:
            if domain.categories:
                usual = math.fsum(CATEGORIES[category] for category in domain.categories) / 100
                assert spec.current[domain.name] == pytest.approx(usual / 4)
        assert spec.current["voc"] + spec.current["support"] == pytest.approx(0.75)
        assert spec.current in spec.space

    def test_what_must_be_replaced_is_nobodys(self, spec: StudySpec) -> None:
        assert isinstance(spec.backend, SagemakerBackend)
        assert "000000000000" in spec.backend.role and "replace-me" in spec.backend.role
        assert "replace-me" in spec.backend.place and "replace-me" in spec.backend.model_package_group
        assert not spec.backend.accept_eula

    def test_forgetting_is_guarded_and_nothing_else_than_the_teams_own_is_lifted(self, spec: StudySpec) -> None:
        assert {metric.name for metric in spec.metrics if metric.weight > 0} == {"voc/f1", "support/rouge_l"}
        assert {m.name: m.guard for m in spec.metrics if m.weight == 0} == {
            "general/mmlu": 0.02,
            "general/ifeval": 0.06,
        }
        assert (spec.search.trials, spec.search.parallel) == (20, 4)
