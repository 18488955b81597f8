"""Settings of Nova: what they refuse, what they foresee, and that they stay light."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.catalogue import CATEGORIES

Backends = Callable[..., SagemakerBackend]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("max_steps", r"objective\.steps"),
        ("global_batch_size", r"objective\.batch_size"),
        ("learning_rate", r"objective\.learning_rate"),
        ("customer_data_percent", "domains with category"),
        ("nova_code_percent", "domains with category"),
    ],
)
def test_hyperparameters_that_have_their_own_key_are_refused(backend: Backends, key: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: .*{said}"):
        backend(hyperparameters={key: 1})


def test_tokens_of_a_fine_tune_are_foreseen_and_nothing_limits_them(backend: Backends) -> None:
    """The service bills evaluations as well, and what they take nobody knows before."""
    settings = backend(steps=50, batch_size=64)
    assert settings.expected_cost(tuned=True, row_tokens=120.5) == {"tokens": 50 * 64 * 120.5}
    assert settings.expected_cost(tuned=True, row_tokens=None) == {}
    assert settings.expected_cost(tuned=False, row_tokens=120.5) == {"tokens": 0.0}
    assert settings.most_cost(tuned=True, row_tokens=120.5) == {}


def test_results_depend_on_novas_usual_proportions(backend: Backends, tmp_path: Path) -> None:
    """Domains of the rest are made of them, and a later release may know others."""
    usual = backend().fingerprint(tmp_path)
    assert set(usual) == {"rules", "categories"}
    assert backend(categories=dict(reversed(CATEGORIES.items()))).fingerprint(tmp_path) == usual
    assert backend(categories={**CATEGORIES, "rai": 2}).fingerprint(tmp_path) != usual


def test_a_study_is_read_without_boto3(study_file: Path) -> None:
    code = (
        "import sys; from ratio_search.spec import StudySpec; from pathlib import Path; "
        f"spec = StudySpec.load(Path({str(study_file)!r})); spec.backend.fingerprint(spec.root); "
        "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
