from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from objectives.data.rows import Format, Message, Parsed, Problem, ProblemKind, Role, Row, dump, of_mapping, parse
from objectives.data.rows import plain_text as fast
from tests.objectives.data.rows.strategies import labelled_rows, objects, plain_rows, text, values


def read(data: dict[str, Any]) -> Parsed:
    parsed = parse(orjson.dumps(data))
    assert isinstance(parsed, Parsed), parsed
    assert parsed.format is Format.INSTRUCTION
    assert parsed == of_mapping(data)
    return parsed


def problem(data: dict[str, Any]) -> str:
    found = parse(orjson.dumps(data))
    assert isinstance(found, Problem) and found.kind is ProblemKind.NOT_A_ROW
    return found.message


class TestReading:
    @pytest.mark.parametrize(
        ("ask", "answer"),
        [("instruction", "output"), ("prompt", "completion"), ("question", "answer"), ("input", "output")],
    )
    def test_each_pair_of_keys_in_either_order(self, ask: str, answer: str) -> None:
        for data in ({ask: "x", answer: "y"}, {answer: "y", ask: "x"}, {"id": 7, ask: "x", answer: "y"}):
            parsed = read(data)
            assert parsed.row == Row.of("x", "y")
            assert parsed.verbatim is (ask == "instruction" and len(data) == 2)

    @pytest.mark.parametrize("further", ["", "  \n", None])
    def test_a_blank_input_says_nothing(self, further: str | None) -> None:
        parsed = read({"instruction": "x", "input": further, "output": "y"})
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y"), False)

    def test_an_input_follows_its_instruction(self) -> None:
        assert read({"instruction": "x", "input": " z", "output": "y"}).row == Row.of("x\n\n z", "y")

    def test_the_first_pair_counts(self) -> None:
        data = {"question": "q", "answer": "a", "input": "i", "output": "o", "prompt": "p", "completion": "c"}
        assert read(data).row == Row.of("p", "c")
        assert read({"question": "q", "answer": "a", "input": "i", "output": "o"}).row == Row.of("q", "a")
        assert read({**data, "instruction": "n"}).row == Row.of("n\n\ni", "o")

    def test_a_system_text(self) -> None:
        parsed = read({"system": "s", "prompt": "x", "completion": "y"})
        assert parsed.row == Row.of("x", "y", system="s")
        assert (parsed.row.system, parsed.row.instruction, parsed.row.output) == ("s", "x", "y")

    @pytest.mark.parametrize("system", ["", " ", None])
    def test_a_blank_system_text_is_none(self, system: str | None) -> None:
        parsed = read({"instruction": "x", "output": "y", "system": system})
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y"), False)

    def test_prompt_and_completion_of_messages(self) -> None:
        data = {
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}],
            "completion": [{"role": "assistant", "content": "y"}],
        }
        parsed = read(data)
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y", system="s"), False)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"instruction": 7, "output": "y"}, "'instruction' must be text, found 7"),
            ({"question": "x", "answer": None}, "'answer' must be text, found None"),
            ({"instruction": "x", "input": 3, "output": "y"}, "row: 'input' must be text, found 3"),
            ({"instruction": "x", "system": {}, "output": "y"}, "row: 'system' must be text, found {}"),
            ({"prompt": [], "completion": "y"}, "must be both text or both messages, found 'y'"),
            ({"prompt": ["x"], "completion": []}, "row: prompt 1 must be an object, found 'x'"),
            ({"prompt": "x", "output": "y"}, "fits no format, found the keys 'prompt', 'output'; expected instruction"),
        ],
    )
    def test_problems(self, data: dict[str, Any], message: str) -> None:
        assert message in problem(data)


class TestLabels:
    @given(labelled_rows)
    def test_are_written_and_read(self, row: Row) -> None:
        parsed = parse(dump(row, Format.INSTRUCTION))
        assert parsed == Parsed(row=row, format=Format.INSTRUCTION, verbatim=True)

    def test_null_is_none(self) -> None:
        parsed = read({"instruction": "x", "output": "y", "label": None})
        assert (parsed.row, parsed.verbatim) == (Row.of("x", "y"), False)

    @pytest.mark.parametrize(
        ("label", "message"),
        [(1, "must be text or absent, found 1"), ("", "found ''"), ("no", "must begin with its label 'no', found 'y'")],
    )
    def test_problems(self, label: Any, message: str) -> None:
        for pair in ({"instruction": "x", "output": "y"}, {"prompt": "x", "completion": "y"}):
            assert message in problem({**pair, "label": label})


class TestWriting:
    def test_keys_stand_in_their_order(self) -> None:
        row = Row.of('say "é\u2028"', "yes", "yes", "s")
        line = '{"instruction":"say \\"é\u2028\\"","output":"yes","system":"s","label":"yes"}'
        assert dump(row, Format.INSTRUCTION) == line.encode()

    @given(plain_rows)
    def test_keys_in_any_order_are_verbatim(self, row: Row) -> None:
        data = orjson.loads(dump(row, Format.INSTRUCTION))
        backwards = dict(reversed(data.items()))
        assert of_mapping(backwards) == Parsed(row=row, format=Format.INSTRUCTION, verbatim=True)

    def test_line_ends_between_values_are_not_verbatim(self) -> None:
        for space, verbatim in ((b" ", True), (b"\t", True), (b"\n", False), (b"\r", False)):
            parsed = parse(b'{"instruction":' + space + b'"x","output":"y"}')
            assert isinstance(parsed, Parsed) and parsed.verbatim is verbatim


class TestFastLane:
    @given(text, text)
    def test_agrees_with_the_long_way(self, instruction: str, output: str) -> None:
        for data in (
            {"instruction": instruction, "output": output},
            {"output": output, "instruction": instruction},
        ):
            parsed = of_mapping(data)
            if isinstance(parsed, Parsed):
                assert parsed.verbatim and fast(data) == (parsed.row.instruction, parsed.row.output)
            else:
                assert parsed.kind is ProblemKind.EMPTY_OUTPUT and fast(data) is None

    @given(objects, values)
    def test_takes_nothing_else(self, further: dict[str, Any], value: Any) -> None:
        others = {f"further {key}": inner for key, inner in further.items()}
        expected = ("x", "y") if not others else None
        assert fast({**others, "instruction": "x", "output": "y"}) == expected
        assert fast({**others, "instruction": "x"}) is None
        if not isinstance(value, str):
            assert fast({"instruction": value, "output": "y"}) is None
            assert fast({"instruction": "x", "output": value}) is None
        assert fast({"prompt": "x", "completion": "y"}) is None

    @pytest.mark.parametrize("blank", ["", " ", "\n\u2003"])
    def test_leaves_a_blank_output_to_the_long_way(self, blank: str) -> None:
        data = {"instruction": "x", "output": blank}
        found = of_mapping(data)
        assert fast(data) is None
        assert isinstance(found, Problem) and found.kind is ProblemKind.EMPTY_OUTPUT

    def test_the_short_way_and_the_long_way_read_the_same(self) -> None:
        for shape in ({"instruction": "x", "output": "y"}, {"question": "x", "answer": "y"}):
            short, long = of_mapping(shape), of_mapping({**shape, "label": None})
            assert isinstance(short, Parsed) and isinstance(long, Parsed)
            assert (
                short.row
                == long.row
                == Row(messages=(Message(role=Role.USER, text="x"), Message(role=Role.ASSISTANT, text="y")))
            )
