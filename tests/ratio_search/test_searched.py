"""Hyperparameters as a study file states them, and as the objective can take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ratio_search.errors import SpecError
from ratio_search.hyperparameters import Choice, Real, Whole
from ratio_search.searched import usual
from ratio_search.spec import StudySpec

HF = {"kind": "hf", "steps": 100}
COMMAND = {"kind": "command", "argv": ["true"], "rows": 60}


def spec(objective: dict[str, Any] = HF, /, **searched: Any) -> StudySpec:
    """A study file with these hyperparameters; `lora_rank` stands for `lora.rank`."""
    document = {
        "name": "small",
        "domains": {name: {"train": name, "test": name} for name in "ab"},
        "objective": objective,
        "metrics": [{"name": "a/exact_match"}],
        "search": {"hyperparameters": {key.replace("lora_", "lora."): value for key, value in searched.items()}},
    }
    return StudySpec.parse(yaml.safe_dump(document), Path("/data"))


def refusal(objective: dict[str, Any] = HF, /, **searched: Any) -> str:
    with pytest.raises(SpecError) as error:
        spec(objective, **searched)
    return str(error.value).removeprefix("study file:\nsearch.hyperparameters")


def ends(low: Any, high: Any, **keys: Any) -> dict[str, Any]:
    return {"low": low, "high": high, **keys}


class TestKinds:
    def test_follow_from_what_is_stated(self) -> None:
        found = spec(
            COMMAND,
            rate=ends(1e-5, 1e-3, log=True),
            steps=ends(50, 200, step=50),
            rank=ends(4, 64, log=True),
            mixed=ends(0, 1.5),
            real=ends(0, 1, whole=False),
            whole=ends(1.0, 8.0, whole=True),
            loss={"choices": ["hinge", 2, 0.5, True]},
        ).hyperparameters
        assert found == {
            "rate": Real(low=1e-5, high=1e-3, log=True),
            "steps": Whole(low=50, high=200, step=50),
            "rank": Whole(low=4, high=64, log=True),
            "mixed": Real(low=0, high=1.5),
            "real": Real(low=0, high=1),
            "whole": Whole(low=1, high=8),
            "loss": Choice(choices=("hinge", 2, 0.5, True)),
        }
        assert [type(choice) for choice in found["loss"].probes] == [str, int, float, bool]

    def test_there_are_none_unless_they_are_stated(self) -> None:
        assert spec().hyperparameters == {}

    def test_they_are_policy(self) -> None:
        before, after = spec(steps=ends(50, 200)), spec(steps=ends(50, 300), lora_rank=ends(1, 8))
        assert before.identity == after.identity == spec().identity
        assert before.policy != after.policy
        assert before.policy["search"]["hyperparameters"] == {
            "steps": {"low": 50, "high": 200, "step": 1, "log": False}
        }

    @pytest.mark.parametrize(
        ("searched", "message"),
        [
            ({"steps": {}}, ".steps: expected low and high, or choices, found neither"),
            ({"steps": {"low": 5}}, ".steps: expected low and high, or choices, found low"),
            ({"steps": ends(5, 5)}, ".steps: expected low < high, found 5 and 5"),
            ({"steps": ends(5, "many")}, ".steps.high: expected a finite number, found 'many'"),
            ({"steps": ends(5, True)}, ".steps.high: expected a finite number, found true"),
            ({"steps": ends(5, float("inf"))}, ".steps.high: expected a finite number, found inf"),
            ({"steps": ends(5, 9, step=0)}, ".steps.step: expected a number of at least 1, found 0"),
            ({"steps": ends(5, 9, stp=0)}, ".steps.stp: unknown key; did you mean 'step'?"),
            (
                {"learning_rate": ends(0.1, 0.9, step=1)},
                ".learning_rate.step: is for whole numbers; remove it, or state whole numbers as low and high",
            ),
            (
                {"steps": ends(1.5, 9.0, whole=True)},
                ".steps: whole numbers need whole bounds, found 1.5 and 9",
            ),
            (
                {"learning_rate": ends(0, 1.0, log=True)},
                ".learning_rate: expected a low above 0 on a logarithmic scale, found 0",
            ),
            (
                {"method": {"choices": ["lora", "full"], "log": True}},
                ".method: expected low and high, or choices, found both (log); remove one",
            ),
            ({"method": {"choices": ["lora"]}}, ".method: expected at least two choices, found 1"),
            ({"method": {"choices": "lora"}}, ".method.choices: expected a list of values, found 'lora'"),
            (
                {"method": {"choices": ["lora", None]}},
                ".method.choices: expected text, finite numbers, true or false, found nothing",
            ),
            (
                {"share/a": ends(0.0, 1.0)},
                ".share/a: expected a name of letters, digits, '_', '.' and '-', found 'share/a'",
            ),
        ],
    )
    def test_what_is_none_is_refused(self, searched: dict[str, Any], message: str) -> None:
        assert refusal(**searched) == message


class TestTheObjective:
    def test_takes_its_own_settings(self) -> None:
        searched = {
            "learning_rate": ends(1e-5, 1e-3, log=True),
            "steps": ends(50, 200),
            "warmup_steps": ends(0, 49),
            "lora_rank": ends(4, 64, log=True),
            "method": {"choices": ["lora", "full"]},
        }
        assert set(spec(**searched).hyperparameters) == {key.replace("lora_", "lora.") for key in searched}

    @pytest.mark.parametrize(
        ("searched", "message"),
        [
            (
                {"lora_rnk": ends(4, 64)},
                ".lora.rnk: is nothing that can be searched with objective 'hf'; did you mean 'lora.rank'? possible "
                "are batch_size, learning_rate, lora.alpha, lora.dropout, lora.rank, method, steps, warmup_steps, "
                "weight_decay",
            ),
            ({"lora_rank": ends(0, 64)}, ".lora.rank: expected a number of at least 1, found 0"),
            ({"lora_dropout": ends(0.0, 1.0)}, ".lora.dropout: expected a number below 1, found 1.0"),
            ({"steps": ends(50.0, 200.0)}, ".steps: expected a whole number, found 142.705098312"),
            ({"method": {"choices": ["lora", "half"]}}, ".method: expected 'lora' or 'full', found 'half'"),
            (
                {"learning_rate": ends(1e-5, 1e-3), "steps": ends(10, 90), "warmup_steps": ends(2, 10)},
                ".steps: warmup_steps (10) must be less than steps (10)",
            ),
        ],
    )
    def test_refuses_what_its_settings_cannot_be(self, searched: dict[str, Any], message: str) -> None:
        assert refusal(**searched).startswith(message)

    def test_refuses_what_does_not_go_with_what_is_fixed(self) -> None:
        fixed = {**HF, "warmup_steps": 60}
        assert refusal(fixed, steps=ends(50, 200)) == ".steps: warmup_steps (60) must be less than steps (50)"
        full = {**HF, "method": "full"}
        assert refusal(full, lora_rank=ends(2, 4)).startswith(".lora.rank: lora describes an adapter, but method: full")
        spec(HF, lora_rank=ends(2, 4), method={"choices": ["lora", "full"]})

    def test_a_setting_that_is_always_replaced_need_not_go_with_the_others(self) -> None:
        spec({**HF, "steps": 10}, steps=ends(100, 200), warmup_steps=ends(20, 50))

    def test_a_program_or_a_caller_takes_any(self) -> None:
        searched = {"temperature": ends(0.0, 2.0), "base_model": {"choices": ["a", "b"]}}
        assert set(spec(COMMAND, **searched).hyperparameters) == set(searched)


class TestUsual:
    def test_is_what_the_objective_states_or_the_middle(self) -> None:
        stated = {**HF, "weight_decay": 0.1, "learning_rate": 1.0}
        found = spec(
            stated,
            steps=ends(50, 200),
            weight_decay=ends(0.0, 0.2),
            learning_rate=ends(1e-5, 1e-3, log=True),
            lora_rank=ends(4, 64, log=True),
            lora_dropout=ends(0.2, 0.4),
            method={"choices": ["full", "lora"]},
        )
        assert usual(found.hyperparameters, found.backend) == {
            "steps": 100,
            "weight_decay": 0.1,
            "learning_rate": pytest.approx(1e-4),
            "lora.rank": 8,
            "lora.dropout": pytest.approx(0.3),
            "method": "lora",
        }

    def test_what_only_the_program_knows_is_in_the_middle(self) -> None:
        found = spec(COMMAND, rate=ends(0.0, 1.0), loss={"choices": ["hinge", "log"]}, deep_rate=ends(1, 3))
        expected = {"rate": 0.5, "loss": "hinge", "deep_rate": 2}
        assert usual(found.hyperparameters, found.backend) == expected


class TestTheLongestRun:
    def test_is_of_the_most_steps_with_the_largest_batches(self) -> None:
        assert spec().train_rows == 100 * 16
        assert spec(steps=ends(50, 200, step=50)).train_rows == 200 * 16
        assert spec(steps=ends(50, 200), batch_size={"choices": [4, 32, 8]}).train_rows == 200 * 32
        assert spec(learning_rate=ends(1e-5, 1e-3)).train_rows == 100 * 16

    def test_is_what_it_is_where_nothing_of_it_is_searched(self) -> None:
        assert spec(COMMAND, rows=ends(10, 1000)).train_rows == 60
        assert spec({"kind": "external"}, steps=ends(10, 1000)).train_rows is None
