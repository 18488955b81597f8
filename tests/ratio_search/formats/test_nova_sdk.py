"""The mix for the SageMaker Python SDK 3, which is asked itself where it is installed."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ratio_search.errors import StudyError
from ratio_search.formats import Format
from ratio_search.recipe import Recipe
from tests.ratio_search.formats.nova_contract import NovaContract, restated

LIBRARY = Path(sys.prefix) / "nova-sdk"
"""Where the Makefile puts sagemaker-train, without all that it requires."""


def assigned(text: str) -> dict[str, ast.expr]:
    """What each name of a module is set to."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            [target] = node.targets
            assert isinstance(target, ast.Name)
            found[target.id] = node.value
    return found


class TestContract(NovaContract):
    FORMAT: ClassVar[Format] = Format.NOVA_SDK

    def percentages(self, text: str) -> tuple[str, dict[str, str]]:
        call = assigned(text)["DATA_MIXING"]
        assert isinstance(call, ast.Call)
        stated = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        customer, categories = stated["customer_data_percent"], stated["nova_data_percentages"]
        # These are floats, each of which is read as the tenth that it was written as.
        return repr(customer), {name: repr(percent) for name, percent in categories.items()}


def in_the_library(text: str, file: Path) -> dict[str, Any]:
    """What the library makes of a written file: its hyperparameters, and its settings.

    Raises:
        CalledProcessError: it refuses the file; standard error says why.
    """
    if not LIBRARY.is_dir():
        pytest.skip(f"sagemaker-train is not in {LIBRARY}; `make test` puts it there")
    file.write_text(text, encoding="utf-8")
    code = (
        "import json, runpy, sys\nfound = runpy.run_path(sys.argv[1])\nmixing = found['DATA_MIXING']\n"
        "print(json.dumps({'mixing': mixing.to_hyperparameters(), 'settings': found['HYPERPARAMETERS']}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    command = [sys.executable, "-c", code, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("hyperparameters", [{}, {"steps": 250, "learning_rate": 0.000012345}])
def test_the_library_sends_what_a_trial_would(
    nova_recipe: Recipe, hyperparameters: dict[str, float], tmp_path: Path
) -> None:
    recipe = dataclasses.replace(nova_recipe, hyperparameters=hyperparameters)
    found = in_the_library(Format.NOVA_SDK.load().write(recipe), tmp_path / "mixing.py")
    request = json.loads(Format.NOVA_JOB.load().write(recipe))["HyperParameters"]
    sent = {key: Fraction(value) for key, value in found["mixing"].items()}
    wanted = {key: Fraction(value) for key, value in request.items() if key.endswith("_percent")}
    # The library itself sends 0 for each category of the live recipe that is not named.
    assert sent == {key: value for key, value in wanted.items() if value}
    # Its settings are checked by type, and sent as the text that `str` makes of them.
    assert {key: str(value) for key, value in found["settings"].items()} == {
        key: value for key, value in request.items() if not key.endswith("_percent")
    }
    assert isinstance(found["settings"]["max_steps"], int)


@pytest.mark.parametrize(
    "shares",
    [
        {"voc": 1.0, "support": 0.0, "code": 0.0, "reasoning": 0.0, "other": 0.0},
        {"voc": 0.0, "support": 0.0, "code": 0.0, "reasoning": 1.0, "other": 0.0},
        {"voc": 0.0004, "support": 0.0, "code": 0.3, "reasoning": 0.0, "other": 0.6996},
    ],
)
def test_the_library_takes_the_corners_too(nova_recipe: Recipe, shares: dict[str, float], tmp_path: Path) -> None:
    text = Format.NOVA_SDK.load().write(dataclasses.replace(nova_recipe, shares=shares))
    sent = in_the_library(text, tmp_path / "mixing.py")["mixing"]
    assert float(sent.pop("customer_data_percent")) == round(100 * shares["voc"], 1)
    assert sum(map(Fraction, sent.values())) == (0 if shares["voc"] == 1 else 100)


def test_the_library_refuses_what_does_not_sum_to_100(nova_recipe: Recipe, tmp_path: Path) -> None:
    text = Format.NOVA_SDK.load().write(nova_recipe).replace('"code": 25.0', '"code": 25.1')
    with pytest.raises(subprocess.CalledProcessError) as raised:
        in_the_library(text, tmp_path / "mixing.py")
    assert "nova_data_percentages must sum to 100" in raised.value.stderr


def test_names_and_values_stay_texts_whatever_is_in_them(nova_recipe: Recipe, tmp_path: Path) -> None:
    odd = 'a"], b): \\ \u2028 \U0001f680 \n"""'
    recipe = restated(
        nova_recipe, {"categories": {"code": 10, odd: 1, "reasoning-instruction-following": 45, "reasoning-math": 1}}
    )
    recipe = restated(recipe, {"hyperparameters": {odd: odd, "reasoning_enabled": True}})
    found = assigned(Format.NOVA_SDK.load().write(recipe))
    call = found["DATA_MIXING"]
    assert isinstance(call, ast.Call)
    assert odd in ast.literal_eval(call.keywords[1].value)
    settings = ast.literal_eval(found["HYPERPARAMETERS"])
    assert (settings[odd], settings["reasoning_enabled"]) == (odd, True)


def test_a_recipe_of_the_teams_own_data_alone_has_no_mix_to_state(own_recipe: Recipe) -> None:
    with pytest.raises(StudyError, match=r"nova-sdk .* has none of it: its shares are of voc, support; .* nova-job"):
        Format.NOVA_SDK.load().check(own_recipe)
