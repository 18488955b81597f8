"""The table of formats."""

from __future__ import annotations

import subprocess
import sys

import pytest

from objectives.errors import OptionsError
from ratio_search.formats import Format, named


def test_every_format_has_its_own_name_and_class() -> None:
    loaded = [format_.load() for format_ in Format]
    assert [writer.NAME for writer in loaded] == list(Format)
    assert len({type(writer) for writer in loaded}) == len(Format)


def test_a_format_is_found_by_its_name() -> None:
    for format_ in Format:
        assert named(format_.value).NAME is format_


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("jsno", "did you mean 'json'? known are json, yaml, nova-job, nova-sdk, nova-hyperpod"),
        ("nova_sdk", "did you mean 'nova-sdk'? "),
        ("?", "unknown format of recipes '?'; known are json"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_known(name: str, hint: str) -> None:
    with pytest.raises(OptionsError) as raised:
        named(name)
    assert hint in str(raised.value)


def test_the_table_loads_nothing() -> None:
    code = (
        "import sys\nfrom ratio_search.formats import Format\nsys.argv = ['ratio-search', 'export', '--help']\n"
        "from ratio_search.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "ratio_search.formats" in loaded
    assert not {name for name in loaded if name.startswith("ratio_search.formats.")}
    assert not {"boto3", "botocore", "numpy", "optuna", "ray", "torch", "yaml"} & loaded
    assert "nova-hyperpod" in done.stdout


def test_writing_for_a_platform_needs_none_of_its_libraries() -> None:
    code = (
        "import sys\nfrom ratio_search.formats import Format\nfor format_ in Format:\n    format_.load()\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"boto3", "botocore", "ray", "sagemaker", "torch"} & set(done.stdout.split())
