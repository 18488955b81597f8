from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.errors import DataError
from objectives.table import MOST_PROBLEMS, Problems, Table, number, shown


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.csv"


def read(file: Path, content: str | bytes) -> Table:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Table.read(file)


def refusal(file: Path, content: str | bytes) -> str:
    with pytest.raises(DataError) as error:
        read(file, content)
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x y\n,3\n",
        "a,b\r\n1,x y\r\n,3\r\n",
        "a,b\r1,x y\r,3",
        "\ufeffa,b\n1,x y\n,3",
        " a , b \n 1 , x y \n\n,,\n,3\n".replace(",,", ","),
        'a,b,\n"1","x y",\n,,\n,3,\n',
        ",a,b\n0,1,x y\n1,,\n2,,3\n",
    ],
    ids=["plain", "crlf", "cr", "bom", "spaces and blanks", "quotes and an empty column", "numbered rows"],
)
def test_every_spreadsheets_csv_is_the_same_table(file: Path, content: str) -> None:
    table = read(file, content)
    assert table.columns == ("a", "b")
    assert [(row["a"], row["b"], row["c"]) for row in table.rows] == [("1", "x y", ""), ("", "3", "")]


def test_rows_know_their_lines(file: Path) -> None:
    table = read(file, 'a,b\n"two\nlines",1\n\n3,4\n')
    assert [row.line for row in table.rows] == [2, 5]


def test_a_first_line_alone_has_no_rows(file: Path) -> None:
    assert read(file, "trial\n") == Table(path=file, columns=("trial",), rows=())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "runs.csv: is empty; expected a CSV file whose first line names the columns"),
        ("\n\n", "runs.csv: is empty; expected a CSV file whose first line names the columns"),
        (
            "a;b\n0,5;1\n",
            "runs.csv:1: found columns separated by ';'; expected commas, and points in numbers; save it as CSV with "
            "commas",
        ),
        ("a\tb\n1\t2\n", "runs.csv:1: found columns separated by '\\t'; expected commas"),
        ("a,b\n1,2\n3\n", "runs.csv:3: expected 2 cells, as in the first line, found 1"),
        ("a,b\n1,2,3\n", "runs.csv:2: expected 2 cells, as in the first line, found 3"),
        ("a,b,a\n1,2,3\n", "runs.csv:1: a: this column is there twice; remove one"),
        ('a,b\n1,"2\n3,4\n', "runs.csv:2: not CSV (unexpected end of data); is the file whole, and is every quote"),
        (b"a\n\xff\n", "runs.csv: not valid UTF-8 (byte 3 is 0xff); save it as CSV in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "runs.csv: not valid UTF-8 (byte 1 is 0xff)"),
        (b"a,b\n1,\x002\n", "runs.csv: holds a zero byte"),
        ("a\n" + "x" * 200_000, "runs.csv:2: not CSV (field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(file: Path, content: str | bytes, message: str) -> None:
    assert refusal(file, content).startswith(f"{file.parent}/{message}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read \(No such file or directory\); expected a CSV"):
        Table.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        Table.read(tmp_path)


def test_all_problems_are_told_up_to_a_number(file: Path) -> None:
    lines = refusal(file, "a,b\n" + "1\n" * (MOST_PROBLEMS + 5)).splitlines()
    assert lines[0] == f"{file}:2: expected 2 cells, as in the first line, found 1"
    assert len(lines) == MOST_PROBLEMS + 1
    assert lines[-1] == "and 5 more"


def test_problems_name_line_and_column() -> None:
    problems = Problems(Path("x.csv"))
    problems.check()
    problems.add("is odd")
    problems.add("is odd", line=3)
    problems.add("is odd", line=3, column="b")
    with pytest.raises(DataError, match=r"^x\.csv: is odd\nx\.csv:3: is odd\nx\.csv:3: b: is odd$"):
        problems.check()


class TestNumbers:
    @given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
    def test_what_python_prints_is_read_again(self, value: float) -> None:
        assert number(str(value)) == value

    @pytest.mark.parametrize(
        "cell", ["", "nan", "inf", "-Infinity", "1e999", "1_000", "0,5", "50%", "٣", "1 2", "0x10", "true", "--1"]
    )
    def test_nothing_else_is_a_number(self, cell: str) -> None:
        assert number(cell) is None

    def test_as_people_write_them(self) -> None:
        assert [number(cell) for cell in ("+.5", "5.", "1E-3", "-0")] == [0.5, 5.0, 0.001, 0.0]


def test_cells_in_errors_are_short() -> None:
    assert (shown(""), shown("x"), len(shown("y" * 1000))) == ("nothing", "'x'", 42)


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table") / "any.csv"


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_any_cells_survive_but_for_the_spaces_round_them(scratch: Path, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("a", "b"), *rows])
    table = read(scratch, text.getvalue())
    wanted = [(one.strip(), other.strip()) for one, other in rows if one.strip() or other.strip()]
    assert [(row["a"], row["b"]) for row in table.rows] == wanted
