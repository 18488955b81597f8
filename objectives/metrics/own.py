"""A metric of the user's own: a Python function, named by its import path."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from objectives.base import Estimate
from objectives.data.rows import Row
from objectives.errors import ObjectiveError, OptionsError

ARGUMENTS = ("expected", "generated", "rows")
"""What a function can ask for, by the names of its parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric:
    """A function that judges the answers to a test set.

    It is called once for each domain that it judges, with those of these that its parameters name: `expected` and
    `generated`, the right answers and the model's as lists of text, and `rows`, the test rows as `Row` objects, which
    have `instruction`, `output`, `label` and `messages`. It gives a number for each row, whose mean is the value, or
    one number for all.

    Attributes:
        path: `module:function`.
        root: the study's folder, where the module is looked for last.
        function: it.
        asked: which of `ARGUMENTS` it asks for.
    """

    path: str
    root: Path
    function: Callable[..., Any]
    asked: tuple[str, ...]

    @classmethod
    def load(cls, path: str, root: Path) -> Self:
        """Imports the function.

        Args:
            path: `module:function`.
            root: the study's folder; a module that lies there can be named as well as an installed one.

        Raises:
            OptionsError: there is no such function, or it cannot be called with what there is.
        """
        module, name = _split(path)
        try:
            with _importable(root):
                found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{module}.".startswith(f"{error.name}."):
                raise OptionsError(_not_there(path, error.name, root)) from error
            raise OptionsError(f"{path!r}: importing {module!r} fails: {error}; install what it needs") from error
        except Exception as error:  # the module is the user's own program and may raise anything
            raise OptionsError(f"{path!r}: importing {module!r} fails: {type(error).__name__}: {error}") from error
        _check_place(path, getattr(found, "__file__", None), root)
        function = getattr(found, name, None)
        if not callable(function):
            what = "has no function" if function is None else "is no function in it:"
            raise OptionsError(f"{path!r}: {_place(found)} {what} {name!r}; correct the name after the colon")
        return cls(path=path, root=root, function=function, asked=_asked(path, function))

    def measure(self, expected: Sequence[str], generated: Sequence[str], rows: Sequence[Row]) -> Estimate:
        """Judges the answers to a test set; the standard error is that of a mean, and unknown of one number for all.

        Args:
            expected: the right answer per row, (n_rows,), n_rows >= 1.
            generated: the model's answer per row, (n_rows,).
            rows: the test rows, (n_rows,); may be empty where the function does not ask for them.

        Raises:
            ObjectiveError: the function fails, or gives something else than numbers.
        """
        given: dict[str, Any] = {"expected": list(expected), "generated": list(generated), "rows": list(rows)}
        try:
            with _importable(self.root):
                worth = self.function(**{name: given[name] for name in self.asked})
        except Exception as error:  # as above
            raise ObjectiveError(f"the metric {self.path!r} fails: {type(error).__name__}: {error}") from error
        return self._estimate(worth, len(expected))

    def _estimate(self, worth: Any, n: int) -> Estimate:
        try:
            if isinstance(worth, str | bytes):
                raise TypeError
            values = np.asarray(list(worth) if isinstance(worth, Iterator) else worth, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.empty((0, 0))
        if values.ndim > 1 or (values.ndim == 1 and len(values) != n) or not np.isfinite(values).all():
            found = repr(worth)
            raise ObjectiveError(
                f"the metric {self.path!r} gives {found if len(found) <= 80 else found[:77] + '...'}; expected one "
                f"finite number for each of the {n} rows, or one for all"
            )
        if values.ndim == 0:
            return Estimate(value=float(values), stderr=None, rows=n)
        spread = None if n < 2 else float(values.std(ddof=1)) / math.sqrt(n)
        return Estimate(value=float(values.mean()), stderr=spread, rows=n)


def source_digest(path: str, root: Path) -> str:
    """SHA-256 of the file that a function stands in, without running that file; empty for what is in no file.

    What the file imports is not looked at.

    Args:
        path: `module:function`.
        root: the study's folder.

    Raises:
        OptionsError: there is no such module.
    """
    module, _ = _split(path)
    try:
        with _importable(root):
            found = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        raise OptionsError(_not_there(path, error.name or module, root)) from error
    except Exception as error:  # to find a module, the packages that it is in are imported
        raise OptionsError(f"{path!r}: importing {module!r} fails: {type(error).__name__}: {error}") from error
    if found is None:
        raise OptionsError(_not_there(path, module, root))
    if not found.has_location or found.origin is None:
        return ""
    _check_place(path, found.origin, root)
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()


def source_files(path: str, root: Path) -> tuple[Path, ...]:
    """The Python files in the study's folder that a function may need: of its package, or beside its module.

    Empty for a function that is installed.

    Args:
        path: `module:function`.
        root: the study's folder.
    """
    top = root / _split(path)[0].partition(".")[0]
    if (top / "__init__.py").is_file():
        return tuple(sorted(top.rglob("*.py")))
    if top.with_name(f"{top.name}.py").is_file():
        return tuple(sorted(root.glob("*.py")))
    # A package without a file of its own.
    return tuple(sorted(top.rglob("*.py")))


def _split(path: str) -> tuple[str, str]:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", path):
        raise OptionsError(f"{path!r}: expected an import path such as mypackage.module:function")
    module, _, name = path.partition(":")
    return module, name


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Lets modules in a folder be imported, after all others: one of a common name must not hide an installed one."""
    place = str(root)
    sys.path.append(place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            # The last one: the same folder may have been there before.
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(place)]


def _check_place(path: str, origin: str | None, root: Path) -> None:
    """Checks that a module of the study's folder was not imported from another study's before, by the same name."""
    module, _ = _split(path)
    inside = module.replace(".", "/")
    here = next((file for file in (root / f"{inside}.py", root / inside / "__init__.py") if file.is_file()), None)
    if here is None or (origin is not None and here.samefile(origin)):
        return
    installed = importlib.machinery.PathFinder.find_spec(module.partition(".")[0])
    if installed is None or (installed.origin is not None and root in Path(installed.origin).parents):
        raise OptionsError(
            f"{path!r}: {origin} was imported before by the name of {here}; expected names that differ in one Python "
            "process: rename one of the two files"
        )


def _asked(path: str, function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return ARGUMENTS
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    strange = [p.name for p in parameters if p.name not in named & set(ARGUMENTS) and p.default is p.empty]
    if strange or not named & set(ARGUMENTS):
        raise OptionsError(
            f"{path!r}: takes {', '.join(strange) or 'nothing'}; expected a function with parameters of the names "
            f"{', '.join(ARGUMENTS)}, or some of them"
        )
    return tuple(name for name in ARGUMENTS if name in named)


def _not_there(path: str, missing: str, root: Path) -> str:
    return (
        f"{path!r}: there is no module {missing!r}; expected one that is installed in {sys.prefix}, or lies in {root}"
    )


def _place(module: Any) -> str:
    return str(getattr(module, "__file__", None) or module.__name__)
