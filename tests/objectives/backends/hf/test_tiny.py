from __future__ import annotations

import dataclasses
import logging
import threading
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from objectives.backends.hf.tiny import TinyRecipe, base_rows, digest, tiny_model
from objectives.data import Row
from objectives.errors import OptionsError
from tests.objectives.backends.hf.conftest import rows_of

QUICK = dataclasses.replace(TinyRecipe(), steps=2, batch_size=2, warmup_steps=0)
ROWS = {"colours": rows_of("colours", 20, "base"), "echoes": rows_of("echoes", 20, "base")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_package_has_rows_for_it() -> None:
    rows = base_rows()
    assert list(rows) == ["legal", "manuals", "pydocs", "support"]
    assert all(row.label for domain in rows.values() for row in domain)


class TestTinyModel:
    def test_is_a_small_model_like_any_other(self, tmp_path: Path) -> None:
        folder = tiny_model(base_rows(), QUICK, tmp_path)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
        assert 150_000 < model.num_parameters() < 250_000
        assert model.config.vocab_size == 1024

    def test_is_made_once_and_the_same_each_time(self, tmp_path: Path) -> None:
        folder = tiny_model(ROWS, QUICK, tmp_path / "a")
        first = contents(folder)
        (folder / "mark").touch()
        assert tiny_model(ROWS, QUICK, tmp_path / "a") == folder
        assert (folder / "mark").exists()
        assert contents(tiny_model(ROWS, QUICK, tmp_path / "b")) == first

    def test_is_made_by_one_of_several_that_ask_at_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        found: list[Path] = []
        threads = [threading.Thread(target=lambda: found.append(tiny_model(ROWS, QUICK, tmp_path))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert len(set(found)) == 1
        assert caplog.text.count("making the tiny base model") == 1

    def test_is_made_anew_after_one_died_half_way(self, tmp_path: Path) -> None:
        expected = tiny_model(ROWS, QUICK, tmp_path / "a")
        left = tmp_path / "b" / f"{expected.name}.partial"
        left.mkdir(parents=True)
        (left / "config.json").write_text("half")
        folder = tiny_model(ROWS, QUICK, tmp_path / "b")
        assert contents(folder) == contents(expected)
        assert not left.exists()

    def test_needs_a_cache_that_can_be_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OptionsError, match="set RATIO_SEARCH_CACHE"):
            tiny_model(ROWS, QUICK, tmp_path / "file" / "cache")


class TestDigest:
    def test_follows_rows_and_recipe(self) -> None:
        known = digest(ROWS, QUICK)
        assert digest({**ROWS}, dataclasses.replace(QUICK)) == known
        changed = {**ROWS, "echoes": [*ROWS["echoes"][:-1], Row.of("repeat 1", "1 2")]}
        assert digest(changed, QUICK) != known
        assert digest(ROWS, dataclasses.replace(QUICK, learning_rate=1e-9)) != known
