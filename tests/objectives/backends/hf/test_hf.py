from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from objectives.backends import load
from objectives.backends.hf import HfBackend, LoraOptions, Method
from objectives.errors import OptionsError
from objectives.metrics import KINDS


def test_is_found_by_its_kind() -> None:
    assert load("hf") is HfBackend


def test_settings_load_nothing_heavy() -> None:
    code = (
        "import sys; from objectives.backends import load; load('hf')(kind='hf');"
        "print([m for m in ('torch', 'transformers', 'peft', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_job_trains_on_steps_times_batch_size_rows() -> None:
    assert HfBackend(kind="hf", steps=7, batch_size=3).train_rows == 21
    assert HfBackend(kind="hf", steps=7, batch_size=3).rows_per_step == 3


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, 1e-2),
        ({"method": "full"}, 2e-3),
        ({"base_model": "org/model"}, 2e-4),
        ({"base_model": "org/model", "method": "full"}, 2e-5),
        ({"learning_rate": 0.5}, 0.5),
    ],
)
def test_the_learning_rate_fits_method_and_base(settings: dict[str, object], rate: float) -> None:
    assert HfBackend.model_validate({"kind": "hf", **settings}).peak_learning_rate == rate


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"steps": 10, "warmup_steps": 10}, "must be less than steps"),
        ({"lora": {"dropout": 1}}, "dropout"),
        ({"lora": {"target_modules": []}}, "target_modules"),
        ({"method": "full", "lora": {"rank": 4}}, "remove one of the two"),
        ({"resources": {"gpus": 2}}, "at most one GPU"),
        ({"resources": {"gpus": 1.5}}, "a part of one GPU, or a whole number"),
        ({"max_length": 4}, "max_length"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 9, "max_length": 16}, "must leave half of max_length"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HfBackend.model_validate({"kind": "hf", **settings})


@pytest.mark.parametrize("method", list(Method))
def test_settings_survive_being_written_and_read(method: Method) -> None:
    settings = HfBackend(kind="hf", method=method)
    assert HfBackend.model_validate(settings.model_dump(mode="json")) == settings


def test_policy_names_settings() -> None:
    assert set(HfBackend.model_fields) >= HfBackend.POLICY


def test_a_domain_is_judged_by_labels_when_all_its_test_rows_have_one() -> None:
    produced = HfBackend(kind="hf").produces({"all": True, "some": False})
    assert {name.removeprefix("all/") for name in produced if name.startswith("all/")} == set(KINDS)
    assert {name.removeprefix("some/") for name in produced if name.startswith("some/")} == {
        "perplexity",
        "loss",
        "bits_per_byte",
        "exact_match",
        "token_f1",
        "rouge_l",
    }


class TestCheck:
    def test_passes_for_tiny_and_for_the_folder_of_a_model(self, base: Path, tmp_path: Path) -> None:
        HfBackend(kind="hf").check(tmp_path)
        HfBackend(kind="hf", base_model=str(base)).check(tmp_path)
        found = HfBackend(kind="hf", base_model=base.name)
        found.check(base.parent)
        assert found.base_folder(base.parent) == base

    @pytest.mark.parametrize("name", ["./model", "/nowhere/model", "~/no-such-model-folder", "../model"])
    def test_a_path_must_be_a_folder(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match=r"objective\.base_model: .*model.* is no folder"):
            HfBackend(kind="hf", base_model=name).check(tmp_path)

    def test_a_folder_must_hold_a_model(self, tmp_path: Path) -> None:
        (tmp_path / "model").mkdir()
        with pytest.raises(OptionsError, match=r"has no config\.json"):
            HfBackend(kind="hf", base_model="model").check(tmp_path)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("org/model", "HF_HUB_OFFLINE forbids"), ("a hub never allows: this", "it cannot be the name")],
    )
    def test_a_hub_name_that_cannot_be_had_is_refused(
        self, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        settings = HfBackend(kind="hf", base_model=name)
        with pytest.raises(OptionsError, match=rf"{name!r} is neither a folder .*, and {reason}"):
            settings.check(tmp_path)
        assert settings.base_folder(tmp_path) is None

    def test_says_what_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("torch", "peft"):
            monkeypatch.setitem(sys.modules, name, None)  # as Python marks what cannot be imported
        with pytest.raises(OptionsError, match=r"needs torch, peft, .*pip install 'ratio-search\[hf\]'"):
            HfBackend(kind="hf").check(tmp_path)


class TestFingerprint:
    def test_follows_the_base_models_content(self, base: Path, tmp_path: Path) -> None:
        before = HfBackend(kind="hf", base_model=str(base)).fingerprint(tmp_path)
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in base.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        settings = HfBackend(kind="hf", base_model="copy")
        assert settings.fingerprint(tmp_path) == before
        weights = bytearray((copy / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (copy / "model.safetensors").write_bytes(weights)
        after = settings.fingerprint(tmp_path)
        assert after["base_model"] != before["base_model"]
        assert after["template"] == before["template"]

    def test_of_tiny_needs_no_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path))
        assert HfBackend(kind="hf").fingerprint(tmp_path)["base_model"]
        assert not list(tmp_path.iterdir())

    def test_of_a_hub_name_is_the_name(self, tmp_path: Path) -> None:
        assert set(HfBackend(kind="hf", base_model="org/model").fingerprint(tmp_path)) == {"template"}


class TestHyperparameters:
    def test_replace_settings_at_dotted_keys_and_leave_the_rest(self) -> None:
        stated = HfBackend(kind="hf", steps=100, lora=LoraOptions(alpha=32))
        changed = stated.with_hyperparameters({"steps": 50, "learning_rate": 1e-4, "lora.rank": 4})
        assert (changed.steps, changed.learning_rate, changed.lora) == (50, 1e-4, LoraOptions(rank=4, alpha=32))
        assert changed.train_rows == 50 * 16
        assert changed.model_copy(update={"steps": 100, "learning_rate": None, "lora": stated.lora}) == stated
        assert stated.with_hyperparameters({}) == stated

    def test_another_method_leaves_the_adapters_settings_aside(self) -> None:
        stated = HfBackend(kind="hf", lora=LoraOptions(rank=4))
        full = stated.with_hyperparameters({"method": "full", "lora.rank": 16, "lora.dropout": 0.1})
        assert (full.method, full.lora) == (Method.FULL, LoraOptions())
        assert full.peak_learning_rate == 2e-3
        assert stated.with_hyperparameters({"method": "lora"}) == stated

    @pytest.mark.parametrize(
        "values",
        [
            {"lora.rank": 0},
            {"steps": 2.5},
            {"method": "half"},
            {"lora.dropout": 1.0},
            {"steps": 10, "warmup_steps": 10},
            {"learning_rate": 0.0},
        ],
    )
    def test_must_be_settings(self, values: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            HfBackend(kind="hf").with_hyperparameters(values)

    def test_every_one_that_can_be_searched_is_a_setting_that_results_depend_on(self) -> None:
        assert HfBackend.SEARCHED is not None
        for key in HfBackend.SEARCHED:
            section, _, nested = key.partition(".")
            assert section in HfBackend.model_fields and section not in HfBackend.POLICY
            assert not nested or nested in LoraOptions.model_fields
