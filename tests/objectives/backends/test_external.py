from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from objectives.backends import Blueprint, load
from objectives.backends.external import ExternalBackend
from objectives.domain import Domain
from objectives.errors import OptionsError


def settings(**others: object) -> ExternalBackend:
    return ExternalBackend.model_validate({"kind": "external", **others})


def test_is_found_by_its_kind() -> None:
    assert load("external") is ExternalBackend


def test_the_caller_runs_its_trials_and_those_of_the_others_we_do() -> None:
    assert settings().EXTERNAL
    assert not load("command").EXTERNAL and not load("hf").EXTERNAL


def test_how_long_a_run_is_may_be_stated() -> None:
    assert settings().train_rows is None
    assert settings(rows=100).train_rows == 100
    assert settings(rows=100).rows_per_step is None


def test_what_is_measured_is_not_known_beforehand() -> None:
    assert settings().produces({"a": True}) is None


def test_it_can_be_used_on_any_machine(tmp_path: Path) -> None:
    settings().check(tmp_path)
    assert settings().fingerprint(tmp_path) == {}


@pytest.mark.parametrize("change", [{"rows": 0}, {"rows": "many"}, {"argv": ["true"]}])
def test_settings_that_mean_nothing_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**change)


def test_nothing_can_be_built_of_it(tmp_path: Path) -> None:
    domains = tuple(Domain(name=name, elsewhere=True) for name in "ab")
    with pytest.raises(OptionsError, match=r"objective\.kind: .*Study\.ask.*Study\.tell"):
        Blueprint(backend=settings(), domains=domains, root=tmp_path).build()
