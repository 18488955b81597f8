from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.data import Row
from objectives.errors import ObjectiveError, OptionsError
from objectives.metrics import OwnMetric, source_digest

Module = Callable[..., str]


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Module]:
    """Writes a module of a name of its own into the study's folder."""
    before = set(sys.modules)

    def write(text: str, name: str = "") -> str:
        name = name or f"own_{abs(hash(request.node.nodeid))}"
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def length(generated: list[str]) -> list[int]:
    return [len(text) for text in generated]


def metric(function: Callable[..., object]) -> OwnMetric:
    asked = tuple(name for name in ("expected", "generated", "rows") if name in function.__code__.co_varnames)
    return OwnMetric(path="own:function", root=Path("/nowhere"), function=function, asked=asked)


class TestLoad:
    def test_a_function_of_an_installed_module(self, tmp_path: Path) -> None:
        own = OwnMetric.load(f"{__name__}:length", tmp_path)
        assert own.asked == ("generated",)
        assert own.measure(["x"], ["four"], ()).value == 4

    def test_a_function_beside_the_study_file(self, tmp_path: Path, module: Module) -> None:
        before = list(sys.path)
        name = module("def share(expected, generated):\n    return [e == g for e, g in zip(expected, generated)]\n")
        own = OwnMetric.load(f"{name}:share", tmp_path)
        assert own.measure(["a", "b", "c", "d"], ["a", "b", "c", "x"], ()).value == 0.75
        assert sys.path == before

    def test_of_a_package_that_imports_its_neighbours_also_later(self, tmp_path: Path, module: Module) -> None:
        module("WORD = 'bad'\n", "ownpackage.words")
        module("", "ownpackage.__init__")
        name = module(
            """
            def toxicity(generated):
                from ownpackage.words import WORD
                return [text.count(WORD) for text in generated]
            """,
            "ownpackage.judges",
        )
        own = OwnMetric.load(f"{name}:toxicity", tmp_path)
        assert own.measure(["", ""], ["bad bad", "good"], ()).value == 1

    @pytest.mark.parametrize(
        ("parameters", "asked"),
        [
            ("expected, generated, rows", ("expected", "generated", "rows")),
            ("rows, expected", ("expected", "rows")),
            ("*, generated, strict=True", ("generated",)),
            ("**given", ("expected", "generated", "rows")),
        ],
    )
    def test_is_told_what_its_parameters_name(
        self, tmp_path: Path, module: Module, parameters: str, asked: tuple[str, ...]
    ) -> None:
        name = module(f"def f({parameters}):\n    return sorted(locals())\n")
        assert OwnMetric.load(f"{name}:f", tmp_path).asked == asked

    @pytest.mark.parametrize("path", ["module", "module:", ":f", "a/b.py:f", "a.b:f()", "a b:f", "a..b:f"])
    def test_a_path_must_be_one(self, tmp_path: Path, path: str) -> None:
        for use in (OwnMetric.load, source_digest):
            with pytest.raises(OptionsError, match=r"expected an import path such as mypackage\.module:function"):
                use(path, tmp_path)

    @pytest.mark.parametrize("name", ["no_such_module", "no_such_package.module", "json.no_such_module"])
    def test_a_module_must_be_there(self, tmp_path: Path, name: str) -> None:
        for use in (OwnMetric.load, source_digest):
            with pytest.raises(
                OptionsError, match=rf"'{name}:f': there is no module 'no_such|there is no module 'json"
            ):
                use(f"{name}:f", tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("import no_such_library\ndef f(generated): pass\n", "No module named 'no_such_library'; install what it"),
            ("1 / 0\n", "importing .* fails: ZeroDivisionError"),
            ("def f(generated:\n", "importing .* fails: SyntaxError"),
            ("def g(generated): pass\n", r"own_\d+\.py has no function 'f'"),
            ("f = 3\n", "is no function in it: 'f'"),
            (
                "def f(predictions, references): pass\n",
                "takes predictions, references; expected .* expected, generated",
            ),
            ("def f(generated, threshold): pass\n", "takes threshold; expected"),
            ("def f(expected, /): pass\n", "takes expected; expected"),
            ("def f(): pass\n", "takes nothing; expected"),
        ],
    )
    def test_it_must_work(self, tmp_path: Path, module: Module, text: str, message: str) -> None:
        path = f"{module(text)}:f"
        with pytest.raises(OptionsError, match=message) as caught:
            OwnMetric.load(path, tmp_path)
        assert path in str(caught.value)

    def test_a_module_of_another_study_by_the_same_name_is_not_taken_for_it(
        self, tmp_path: Path, module: Module
    ) -> None:
        name = module("def f(generated): return 1\n")
        OwnMetric.load(f"{name}:f", tmp_path)
        other = tmp_path / "other"
        other.mkdir()
        (other / f"{name}.py").write_text("def f(generated): return 2\n")
        for use in (OwnMetric.load, source_digest):
            with pytest.raises(OptionsError, match=r"was imported before by the name of .*other.*rename one"):
                use(f"{name}:f", other)


class TestMeasure:
    def test_is_given_the_answers_and_the_rows(self) -> None:
        def f(expected: list[str], generated: list[str], rows: list[Row]) -> list[float]:
            assert (expected, generated) == (["a", "b"], ["c", "d"])
            return [float(row.instruction) for row in rows]

        rows = [Row.of("2", "a"), Row.of("4", "b")]
        assert metric(f).measure(("a", "b"), ("c", "d"), rows).value == 3

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
    def test_a_number_for_each_row_becomes_their_mean(self, worth: list[float]) -> None:
        for as_given in (list, np.array, tuple, iter):
            estimate = metric(lambda expected, of=as_given: of(expected)).measure(worth, [""] * len(worth), ())
            assert estimate.value == pytest.approx(np.mean(worth))
            assert estimate.rows == len(worth)
            if len(worth) == 1:
                assert estimate.stderr is None
            else:
                assert estimate.stderr == pytest.approx(np.std(worth, ddof=1) / math.sqrt(len(worth)))

    @pytest.mark.parametrize("worth", [0.25, np.float32(0.25), True, np.array(0.25)])
    def test_one_number_for_all_has_no_known_error(self, worth: float) -> None:
        estimate = metric(lambda generated: worth).measure(["a", "b"], ["", ""], ())
        assert (estimate.value, estimate.stderr, estimate.rows) == (float(worth), None, 2)

    @pytest.mark.parametrize(
        "worth",
        [None, "0.5", [], [1.0], [1.0, 2.0, 3.0], [1.0, math.nan], math.inf, [[1.0], [2.0]], ["a", "b"], {"a": 1}],
    )
    def test_something_else_is_refused(self, worth: object) -> None:
        with pytest.raises(ObjectiveError, match=r"'own:function' gives .*one finite number for each of the 2 rows"):
            metric(lambda generated: worth).measure(["a", "b"], ["", ""], ())

    def test_a_function_that_fails_is_named(self) -> None:
        def f(generated: list[str]) -> float:
            raise KeyError("toxic")

        with pytest.raises(ObjectiveError, match="the metric 'own:function' fails: KeyError: 'toxic'"):
            metric(f).measure(["a"], ["b"], ())


class TestSource:
    def test_follows_the_file_and_does_not_run_it(self, tmp_path: Path, module: Module) -> None:
        name = module("1 / 0\n")
        first = source_digest(f"{name}:f", tmp_path)
        assert len(first) == 64
        assert source_digest(f"{name}:g", tmp_path) == first
        module("2 / 0\n", name)
        assert source_digest(f"{name}:f", tmp_path) != first

    def test_what_is_built_in_has_none(self, tmp_path: Path) -> None:
        assert source_digest("builtins:len", tmp_path) == ""
