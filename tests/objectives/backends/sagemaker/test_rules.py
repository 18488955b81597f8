"""What the service demands of training rows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.backends import load
from objectives.backends.sagemaker import rules
from objectives.backends.sagemaker.rules import RESERVED, check_rows
from objectives.data import Dataset, Format
from objectives.data.rows import dump, refusal
from objectives.domain import Domain
from objectives.errors import DataError, OptionsError

NOVA = Domain(name="code", categories={"code": 1.0})
GOOD = [{"instruction": f"question {number}", "output": "an answer"} for number in range(10)]


def pair(asked: str, answered: str = "an answer") -> dict[str, Any]:
    return {"instruction": asked, "output": answered}


def chat(*said: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in said], **more}


def converse(*said: tuple[str, list[dict[str, Any]]], **more: Any) -> dict[str, Any]:
    messages = [{"role": role, "content": content} for role, content in said]
    return {"schemaVersion": "bedrock-conversation-2024", **more, "messages": messages}


def tool(name: str, description: str | None = "It looks up.", **schema: Any) -> dict[str, Any]:
    spec = {"name": name, "inputSchema": {"json": schema or {"type": "object", "properties": {"a": {}}}}}
    return {"toolSpec": spec if description is None else {"description": description, **spec}}


def call(name: str, number: str = "1") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": number, "name": name, "input": {}}}


def result(number: str = "1", text: str = "found") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": number, "content": [{"text": text}]}}


def talk(*tools: dict[str, Any], calls: Iterable[dict[str, Any]], results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A conversation in which tools are called."""
    return converse(
        ("user", [{"text": "hi"}]),
        ("assistant", list(calls)),
        ("user", list(results)),
        ("assistant", [{"text": "bye"}]),
        toolConfig={"tools": list(tools)},
    )


def text(rows: Iterable[Mapping[str, Any]], *, ascii: bool = False) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=ascii)}\n" for row in rows)


def domain(folder: Path, *rows: Mapping[str, Any], name: str = "voc") -> Domain:
    path = folder / f"{name}.jsonl"
    path.write_text(text([*GOOD, *rows]))
    return Domain(name=name, train=(Path(path.name),))


def refused(folder: Path, *domains: Domain) -> str:
    with pytest.raises(DataError) as caught:
        check_rows(domains, folder)
    return str(caught.value)


class TestReservedWords:
    @pytest.mark.parametrize("word", RESERVED)
    def test_each_of_them_is_found_and_its_like_are_not(self, tmp_path: Path, word: str) -> None:
        check_rows(
            [domain(tmp_path, pair(f"{word[:-1]} x"), pair(word.swapcase().title().replace(":", " :")))], tmp_path
        )
        told = refused(tmp_path, domain(tmp_path, pair(f"a{word}b")))
        assert told.startswith(
            "domains.voc.train: 1 row with a word that Nova reserves, at which a job fails; write it"
        )
        assert f"{tmp_path}/voc.jsonl:11: {word!r} in a text of the user's" in told

    @pytest.mark.parametrize(
        ("row", "whose"),
        [
            (pair("a", "it is so. User: yes"), "assistant"),
            (chat(("system", "User: none"), ("user", "a"), ("assistant", "b")), "system"),
            (chat(("user", [{"type": "text", "text": "User: a"}]), ("assistant", "b")), "user"),
            (talk(tool("f"), calls=[call("f")], results=[result(text="User: x")]), "tool"),
        ],
    )
    def test_in_every_text_of_every_format(self, tmp_path: Path, row: dict[str, Any], whose: str) -> None:
        assert f":11: 'User:' in a text of the {whose}'s" in refused(tmp_path, domain(tmp_path, row))

    def test_not_where_nothing_is_read(self, tmp_path: Path) -> None:
        ignored = {**pair("a"), "source": "User: somebody", "id": "[EOS]"}
        in_arguments = talk(
            tool("f"),
            calls=[{"toolUse": {"toolUseId": "1", "name": "f", "input": {"q": "User: a"}}}],
            results=[result()],
        )
        check_rows([domain(tmp_path, ignored, in_arguments)], tmp_path)

    @pytest.mark.parametrize(
        "escaped", [r"\u003cimage\u003e", r"\u003Cimage>", r"\u0055ser:", r"User\u003a", r"\u005bEOS]"]
    )
    def test_however_they_are_escaped(self, tmp_path: Path, escaped: str) -> None:
        path = tmp_path / "voc.jsonl"
        path.write_text(text(GOOD) + '{"instruction": "see ' + escaped + '", "output": "b"}\n')
        assert "voc.jsonl:11: '" in refused(tmp_path, Domain(name="voc", train=(path,)))

    def test_all_are_counted_and_some_are_shown(self, tmp_path: Path) -> None:
        rows = [pair(f"User: {number}") for number in range(4000)]
        told = refused(tmp_path, domain(tmp_path, *rows, name="a"), domain(tmp_path, rows[0], name="b"))
        lines = told.splitlines()
        assert lines[0].startswith("domains.a.train: 4,000 rows with a word") and lines[11] == "  and 3,990 more"
        assert lines[12].startswith("domains.b.train: 1 row with a word") and len(lines) == 14

    def test_packed_files_are_looked_through(self, tmp_path: Path) -> None:
        path = tmp_path / "voc.jsonl.gz"
        path.write_bytes(gzip.compress(text([*GOOD, pair("Bot: a")]).encode()))
        assert "voc.jsonl.gz:11: 'Bot:'" in refused(tmp_path, Domain(name="voc", train=(path,)))

    @given(
        st.lists(
            st.sampled_from(["", "x", "User:", "a User: b", "[EOS]", "é" * 9, "Use", "r:"]), min_size=8, max_size=20
        )
    )
    @settings(max_examples=50, deadline=None)
    def test_wherever_the_file_is_cut(self, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> None:
        folder = tmp_path_factory.mktemp("cut")
        path = folder / "voc.jsonl"
        path.write_text("no row\n\n" + text(pair(f"<{one}>", "b") for one in said), encoding="utf-8")
        data = Dataset.open([path], folder / "cache")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rules, "BLOCK_BYTES", 23)
            found = rules._broken(data)
        expected = [number for number, one in enumerate(said) if "User:" in one or "[EOS]" in one]
        assert list(found.get(rules.Rule.RESERVED, {})) == expected


class TestTurns:
    @pytest.mark.parametrize(
        ("row", "why"),
        [
            (chat(("user", "a"), ("user", "b"), ("assistant", "c")), "two messages of the user's in a row"),
            (
                chat(("assistant", "a"), ("user", "b"), ("assistant", "c")),
                "a conversation that begins with the assistant",
            ),
            (chat(("user", "a"), ("system", "b"), ("assistant", "c")), "a system message that is not the only one"),
        ],
    )
    def test_what_converse_cannot_hold_is_told_before_it_would_be_written(
        self, tmp_path: Path, row: dict[str, Any], why: str
    ) -> None:
        told = refused(tmp_path, domain(tmp_path, row, pair("fine")))
        assert told.startswith(
            "domains.voc.train: 1 row that Converse, the format of Nova's training files, cannot hold;"
        )
        assert f"voc.jsonl:11: the format converse cannot hold {why}" in told

    def test_many_of_them_are_counted(self, tmp_path: Path) -> None:
        bad = chat(("user", "a"), ("user", "b"), ("assistant", "c"))
        told = refused(tmp_path, domain(tmp_path, *[bad] * 25)).splitlines()
        assert "25 rows that Converse" in told[0] and len(told) == 12 and told[11] == "  and 15 more"
        assert all("two messages" in line for line in told[1:11])

    def test_what_passes_can_be_written(self, tmp_path: Path) -> None:
        rows = [pair("a"), chat(("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))]
        own = domain(tmp_path, *rows, talk(tool("f"), calls=[call("f")], results=[result()]))
        check_rows([own, NOVA], tmp_path)
        for row in Dataset.open([tmp_path / own.train[0]]):
            assert refusal(row, Format.CONVERSE) is None and json.loads(dump(row, Format.CONVERSE))["messages"]

    @pytest.mark.parametrize(
        "row",
        [
            pair(""),
            chat(("user", "a"), ("assistant", ""), ("user", "b"), ("assistant", "c")),
            chat(("user", []), ("assistant", "c")),
            converse(("user", [{"text": ""}]), ("assistant", [{"text": "c"}])),
        ],
    )
    def test_a_message_without_text_is_told(self, tmp_path: Path, row: dict[str, Any]) -> None:
        told = refused(tmp_path, domain(tmp_path, row))
        assert (
            "1 row with a message without any text; write some, or remove them:\n" in told
            and ":11: a message of" in told
        )

    def test_a_call_needs_no_text(self, tmp_path: Path) -> None:
        check_rows([domain(tmp_path, talk(tool("f"), calls=[call("f")], results=[result()]))], tmp_path)


class TestTools:
    def test_calls_of_tools_that_are_not_told_are_not_refused(self, tmp_path: Path) -> None:
        silent = talk(calls=[call("f")], results=[result()])
        del silent["toolConfig"]
        check_rows([domain(tmp_path, silent)], tmp_path)

    @pytest.mark.parametrize(
        ("row", "why"),
        [
            (talk(tool("f", None), calls=[call("f")], results=[result()]), "tool 'f' has no description"),
            (talk(tool("f", " "), calls=[call("f")], results=[result()]), "tool 'f' has no description"),
            (talk(tool("f", properties={}), calls=[call("f")], results=[result()]), "tool 'f' have no type"),
            (talk(tool("f"), calls=[call("g")], results=[result()]), "a call of 'g', which is none of the row's tools"),
            (talk(tool("f"), tool("f"), calls=[call("f")], results=[result()]), "two of one name"),
            (talk(tool("f"), calls=[call("f"), call("f")], results=[result()]), "two calls of one id"),
            (talk(tool("f"), calls=[call("f")], results=[result(), result()]), "two results of one id"),
        ],
    )
    def test_what_amazons_checks_refuse(self, tmp_path: Path, row: dict[str, Any], why: str) -> None:
        told = refused(tmp_path, domain(tmp_path, row))
        assert "1 row with tools or calls that Amazon's own checks refuse" in told and why in told


class TestWhatIsThere:
    def test_several_rules_of_several_domains_are_told_at_once(self, tmp_path: Path) -> None:
        first = domain(tmp_path, pair("User:"), pair(""), name="first")
        second = domain(tmp_path, chat(("assistant", "a"), ("user", "b"), ("assistant", "c")), name="second")
        told = [line for line in refused(tmp_path, first, second, NOVA).splitlines() if line.startswith("domains")]
        assert [line.split(":")[0] for line in told] == ["domains.first.train"] * 2 + ["domains.second.train"]

    def test_rows_of_later_files_are_named_by_their_own(self, tmp_path: Path) -> None:
        for name, rows in (("a", GOOD), ("b", [pair("x"), pair("User:")])):
            (tmp_path / name).write_text(text(rows))
        told = refused(tmp_path, Domain(name="voc", train=(Path("a"), Path("b"))))
        assert f"  {tmp_path}/b:2: 'User:'" in told

    def test_a_study_without_training_files_has_nothing_to_send(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match="expected one or more with train files, found none"):
            check_rows([NOVA, Domain(name="math", categories={"math": 1.0})], tmp_path)

    def test_fewer_rows_than_the_service_takes(self, tmp_path: Path) -> None:
        (tmp_path / "few").write_text(text(GOOD[:7]))
        assert refused(tmp_path, Domain(name="voc", train=(Path("few"),))) == (
            "domains: 7 training rows in all; expected 8 or more, as the service does"
        )

        (tmp_path / "few").write_text(text([*GOOD[:5], pair("User:")]))
        told = refused(tmp_path, Domain(name="voc", train=(Path("few"),))).splitlines()
        assert "a word that Nova reserves" in told[0] and told[-1].startswith("domains: 6 training rows")

    def test_media_are_no_rows_in_any_case(self, tmp_path: Path) -> None:
        image = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/i.png"}}}}
        own = domain(tmp_path, converse(("user", [{"text": "see"}, image]), ("assistant", [{"text": "c"}])))
        [index] = Dataset.open([tmp_path / own.train[0]]).files
        [(number, problem)] = index.problems()
        assert number == 11 and "image" in problem.message and len(index) == 10

    def test_the_back_end_asks_for_it(self, tmp_path: Path) -> None:
        backend = load("sagemaker").model_validate(
            {
                "kind": "sagemaker",
                "role": "arn:aws:iam::123456789012:role/nova",
                "place": "s3://bucket/prefix",
                "model_package_group": "group",
            }
        )
        with pytest.raises(DataError, match="a word that Nova reserves"):
            backend.check_asked([domain(tmp_path, pair("User:"))], tmp_path, metrics=(), baseline=True)


def test_most_rows_are_not_looked_at(tmp_path: Path) -> None:
    own = domain(tmp_path, *[pair(f"user {n}: system, tool [{n}] \\ ☂") for n in range(500)], pair("User:"))
    data = Dataset.open([tmp_path / own.train[0]])
    assert np.array_equal(rules._suspects(data), [510])
