"""Token counts, by the base model's own tokenizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from objectives.backends.hf import HfBackend
from objectives.backends.hf.counter import HfCounter
from objectives.backends.hf.encoding import encode
from objectives.backends.hf.template import Template
from objectives.data import Dataset, Row
from objectives.errors import OptionsError
from tests.objectives.backends.hf.conftest import rows_of, write_rows

ROWS = [
    *rows_of("colours", 5, "count"),
    Row.of("", "x"),
    Row.of("\u00e9t\u00e9 \u4f60\u597d \U0001f600", "!" * 500),
    Row.of("why?", "so", system="Be brief."),
]


def counter(model: Path | str, root: Path = Path("/nowhere")) -> HfCounter:
    found = HfCounter.of(HfBackend(kind="hf", base_model=str(model)), root)
    assert found is not None
    return found


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


class TestCounts:
    def test_are_the_lengths_of_rows_of_which_nothing_is_cut(self, base: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        whole = encode(ROWS, tokenizer, Template.of(tokenizer), 10_000)
        assert whole.truncated == 0
        assert counter(base).count(ROWS) == whole.lengths.tolist()

    def test_are_kept_by_the_data_under_the_counters_name(
        self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = Dataset.open([write_rows(tmp_path / "rows.jsonl", ROWS[:6])], tmp_path / "cache")
        counts = [data.files[0].tokens(counter(base)).tolist() for _ in range(1)]
        assert counts == [counter(base).count(ROWS[:6])]
        monkeypatch.setattr(HfCounter, "_load", None)
        assert data.files[0].tokens(counter(base)).tolist() == counts[0]

    def test_need_a_tokenizer_that_can_be_loaded(self, copy: Path) -> None:
        (copy / "tokenizer.json").write_text("{")
        subject = counter(copy)
        with pytest.raises(OptionsError, match=r"^objective\.base_model: the tokenizer of .*copy cannot be loaded: "):
            subject.count(ROWS)


class TestName:
    def test_is_that_of_the_models_content_wherever_it_lies(self, base: Path, copy: Path) -> None:
        assert counter(base).name == counter(copy).name == counter("copy", copy.parent).name

    def test_changes_with_the_model(self, base: Path, copy: Path) -> None:
        file = copy / "tokenizer.json"
        file.write_text(file.read_text().replace("<sep>", "<SEP>"))
        assert len({counter(base).name, counter(copy).name, counter("tiny").name}) == 3

    def test_changes_with_the_templates_rule(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = [counter(base).name, counter("tiny").name]
        monkeypatch.setattr("objectives.backends.hf.counter.TEMPLATE", "another")
        assert not set(before) & {counter(base).name, counter("tiny").name}

    def test_can_be_that_of_a_file(self, base: Path) -> None:
        assert all(name.replace("-", "").isalnum() for name in (counter(base).name, counter("tiny").name))

    def test_is_known_before_a_model_is_made_or_a_tokenizer_loaded(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from objectives.backends.hf import HfBackend\n"
            "print(HfBackend(kind='hf').capacity(Path()).counter.name)\n"
            "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "RATIO_SEARCH_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == [counter("tiny").name, "[]"]
        assert list(tmp_path.iterdir()) == []


class TestCapacity:
    def test_is_the_objectives_own(self, base: Path, tmp_path: Path) -> None:
        found = HfBackend(kind="hf", base_model=str(base), max_length=48).capacity(tmp_path)
        assert found.context == 48
        assert found.counter is not None
        assert found.counter.about == f"counted with the tokenizer of {base}"

    def test_a_path_without_a_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match=r"objective\.base_model: .*gone is no folder"):
            HfBackend(kind="hf", base_model="./gone").capacity(tmp_path)

    def of_the_hub(self, home: Path, *more: str) -> list[str]:
        """What a new process, whose hub nobody answers for, says of team/model: lines that the code prints."""
        code = (
            "from pathlib import Path; from objectives.backends.hf import HfBackend; from objectives.data import Row\n"
            "found = HfBackend(kind='hf', base_model='team/model', max_length=99).capacity(Path())\n"
            "print(found.context)\n" + "\n".join(more)
        )
        environment: dict[str, Any] = {"HF_HOME": str(home), "HF_ENDPOINT": "http://127.0.0.1:1"}
        environment |= {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=Path.cwd()
        )
        return done.stdout.splitlines()

    def test_a_model_that_the_hub_alone_has_is_not_counted_with(self, tmp_path: Path) -> None:
        assert self.of_the_hub(tmp_path, "print(found.counter)") == ["99", "None"]

    def test_one_that_is_in_the_hubs_cache_is(self, base: Path, tmp_path: Path) -> None:
        folder = tmp_path / "hub" / "models--team--model"
        names = set()
        for commit in ("1" * 40, "2" * 40):
            shutil.copytree(base, folder / "snapshots" / commit)
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / "main").write_text(commit)
            context, about, name, counts = self.of_the_hub(
                tmp_path,
                "print(found.counter.about, found.counter.name, sep='\\n')",
                "print(found.counter.count([Row.of('why?', 'so'), Row.of('', 'red')]))",
            )
            assert (context, about) == ("99", "counted with the tokenizer of team/model")
            assert counts == str(counter(base).count([Row.of("why?", "so"), Row.of("", "red")]))
            names.add(name)
        assert len(names) == 2, "another state of the model counts anew"
