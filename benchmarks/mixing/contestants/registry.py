"""The contestants by name, and when a result of one of them counts as still valid."""

from __future__ import annotations

import ast
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..problems import digest
from . import boxes, log_linear, optuna_boxes, ours, random_search, regmix
from .base import Contestant, Maker, Setting

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent

OURS = ("ratio_search.sampler", "ratio_search.model", "ratio_search.space", "ratio_search.anchors", "objectives.scorer")
"""Our method's packages and modules: they decide whether results are still valid. How rows are read, for one, does not.
"""

OWN = "ours"
SUFFIX = f"+{OWN}"
"""Behind a contestant's name: recommended by our model from that contestant's trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contestant.

    Attributes:
        name: unique.
        make: makes one for a run.
        files: its code; with the libraries' versions, it decides whether results are still valid.
        libraries: distributions that do its work.
        most_seeds, most_trials: how many runs of a problem it gets at most, and how long ones: some take minutes.
        modules: likewise code: packages and modules of this repository.
    """

    name: str
    make: Maker
    files: tuple[Path, ...]
    libraries: tuple[str, ...] = ()
    most_seeds: int = 1000
    most_trials: int = 1000
    modules: tuple[str, ...] = ()


@functools.cache
def code(name: str) -> str:
    """A hash of all the code behind a contestant: where it differs, results may."""
    found = entry(name)
    files = sorted({*found.files, HERE / "base.py", *sources(found.modules)})
    versions = [(name, version(name)) for name in found.libraries]
    return digest([name, *map(meaning, files), *versions])


def meaning(file: Path) -> str:
    """A Python file's code without layout, comments and docstrings, none of which changes a result."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ]
    return ast.dump(tree)


def entry(name: str) -> Entry:
    """The contestant of a name; `ours:<variant>` are ablations.

    Raises:
        KeyError: there is none.
    """
    kind, _, variant = name.partition(":")
    if kind == OWN:
        make = ours.VARIANTS[variant] if variant else ours.OurStudy
        return Entry(name=name, make=make, files=(HERE / "ours.py",), libraries=("numpy", "scipy"), modules=OURS)
    return _REGISTER[name]


def _botorch(name: str, setting: Setting) -> Contestant:
    # Loaded only where it takes part: it is no dependency of the others.
    from .botorch_gp import MAKERS

    return MAKERS[name](setting)


_OPTUNA = (HERE / "optuna_boxes.py", HERE / "boxes.py")
_RANDOM = HERE / "random_search.py"

_REGISTER = {
    one.name: one
    for one in (
        Entry(name="random", make=random_search.RandomSearch, files=(_RANDOM,)),
        Entry(
            name="regmix",
            make=regmix.RegMix,
            files=(HERE / "regmix.py", _RANDOM),
            libraries=("lightgbm",),
            most_seeds=3,
        ),
        Entry(
            name="log-linear",
            make=log_linear.LogLinear,
            files=(HERE / "log_linear.py", _RANDOM, HERE.parent / "maximise.py"),
            libraries=("scipy",),
            most_seeds=3,
        ),
        Entry(name="tpe-faq", make=optuna_boxes.tpe(boxes.Proportions), files=_OPTUNA, libraries=("optuna",)),
        Entry(name="tpe-sticks", make=optuna_boxes.tpe(boxes.Sticks), files=_OPTUNA, libraries=("optuna",)),
        Entry(
            name="gp-faq",
            make=optuna_boxes.gp(boxes.Proportions),
            files=_OPTUNA,
            libraries=("optuna", "torch"),
            most_seeds=3,
        ),
        Entry(
            name="gp-sticks",
            make=optuna_boxes.gp(boxes.Sticks),
            files=_OPTUNA,
            libraries=("optuna", "torch"),
            most_seeds=3,
        ),
        *(
            Entry(
                name=name,
                make=functools.partial(_botorch, name),
                files=(HERE / "botorch_gp.py", _RANDOM),
                libraries=("botorch", "gpytorch", "torch"),
                most_seeds=2,
                most_trials=40,
            )
            for name in ("botorch", "botorch-composite")
        ),
    )
}

OPTUNA = ("tpe-faq", "tpe-sticks", "gp-faq", "gp-sticks")
_USUAL = ("random", *OPTUNA, *(f"{name}{SUFFIX}" for name in OPTUNA), "regmix", "log-linear")
PEERS = {"none": (), "optuna": _USUAL, "all": (*_USUAL, "botorch", "botorch-composite")}
"""What `--peers` names."""


@functools.cache
def sources(modules: Sequence[str]) -> frozenset[Path]:
    """The files of some packages and modules of this repository."""
    found: set[Path] = set()
    for name in modules:
        path = ROOT.joinpath(*name.split("."))
        found.update(path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")])
    return frozenset(found)
