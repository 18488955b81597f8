"""Recipes that no search had to find."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from objectives.base import Seeds
from ratio_search.recipe import Expected, Ingredient, Recipe
from ratio_search.spec import StudySpec
from ratio_search.yaml_file import read


def recipe_of(file: Path, shares: Mapping[str, float], epochs: Mapping[str, float | None] | None = None) -> Recipe:
    """A recipe as the study of a file would export it that recommends these shares.

    Args:
        file: the study file.
        shares: of its mixed domains.
        epochs: passes over each that its trial made; None where nobody knows.
    """
    expected = Expected(
        value=0.5, interval=(0.4, 0.6), gain=0.3, reference=0.2, limit=None, holds=None, measured=None, stderr=None
    )
    return Recipe(
        study=StudySpec.load(file).name,
        identity="0123456789abcdef",
        created="2026-01-01T00:00:00+00:00",
        trial="trial-0004",
        tried=False,
        basis="by hand",
        shares=dict(shares),
        ingredients={
            name: Ingredient(
                share=share, rows=None, epochs=None if epochs is None else epochs[name], size=1, sha256=("old",)
            )
            for name, share in shares.items()
        },
        expected={f"{name}/accuracy": expected for name in shares},
        score={"balanced": 0.3, "feasible": True, "violations": {}, "guards_hold": None},
        alternatives=(),
        compared={},
        study_file=read(file),
        root=str(file.parent),
        seeds=Seeds(data=5, training=6),
        artefacts={},
        versions={},
        command=("ratio-search", "train"),
    )
