from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives.data.audit import Audit, AuditError, Capacity, Found, audit, usable
from objectives.data.corpus import Corpus, Split
from objectives.data.policy import DEFAULTS, NO_ROWS, Action, DataPolicy, Finding
from objectives.data.rows import Format, Row, dump
from objectives.domain import Domain
from objectives.errors import DataError

ANY = Capacity()
BAD = b"no JSON"
EMPTY = b'{"instruction": "x", "output": ""}'

ROOMY = Row.of("a b c d e f g h i j k l m n o p q r s t", "so it is said", "so")
NEARLY = Row.of("a b c d e f g h i j k l m n o p q r s t", "so it is written", "so")

Files = Mapping[str, Sequence[bytes | Row]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))


def rows(*names: str, answer: str = "yes") -> list[Row]:
    return [Row.of(name, answer) for name in names]


def corpus(root: Path, files: Files, near: float | None = None, **actions: str) -> Corpus:
    """The data of files named `domain.split`, or `domain.split.anything` for a second file."""
    paths: dict[str, dict[str, tuple[Path, ...]]] = {}
    for name, content in files.items():
        lines = [line if isinstance(line, bytes) else dump(line, Format.INSTRUCTION) for line in content]
        (root / name).write_bytes(b"".join(line + b"\n" for line in lines))
        domain, split = name.split(".")[:2]
        own = paths.setdefault(domain, {})
        own[split] = (*own.get(split, ()), Path(name))
    domains = [Domain(name=name, **splits) for name, splits in paths.items()]
    wanted = {Finding(finding): Action(action) for finding, action in actions.items()}
    return Corpus.open(domains, root, DataPolicy(near=near, actions={**DEFAULTS, **wanted}))


def only(found: Audit, finding: Finding) -> Found:
    """The finding, which must be the only one."""
    [one] = found.found
    assert one.finding is finding
    return one


def left(found: Audit | Corpus, key: str) -> list[str]:
    """Instructions of the rows that are left in `domain.split`."""
    data = found.corpus if isinstance(found, Audit) else found
    name, split = key.split(".")
    return [row.instruction for row in data.data[name][Split(split)]]


CASES: dict[Finding, Files] = {
    Finding.BAD_ROWS: {"a.train": [*rows("1"), BAD, *rows("2")]},
    Finding.EMPTY_OUTPUTS: {"a.train": [*rows("1"), EMPTY, *rows("2")]},
    Finding.DUPLICATES: {"a.train": [*rows("1", "1", "2")]},
    Finding.ACROSS_DOMAINS: {"b.train": [*rows("0", "9")], "a.train": [*rows("1", "9", "2")]},
    Finding.LEAKAGE: {"a.train": [*rows("1", "9", "2")], "a.test": [*rows("0", "9")]},
    Finding.NEAR_LEAKAGE: {"a.train": [*rows("1"), NEARLY, *rows("2")], "a.test": [ROOMY]},
    Finding.TOO_LONG: {"a.train": [*rows("1", "x" * 500, "2")]},
}
"""For each finding about rows, files where it is of the second line of `a.train`, and of no other."""

CAPACITY = Capacity(context=100)


class TestActions:
    @pytest.mark.parametrize("finding", list(CASES))
    def test_error_refuses(self, tmp_path: Path, finding: Finding) -> None:
        found = audit(corpus(tmp_path, CASES[finding], near=0.7, **{finding: "error"}), CAPACITY)
        one = only(found, finding)
        assert (one.key, one.count, one.action) == ("domains.a.train", 1, Action.ERROR)
        with pytest.raises(DataError) as caught:
            found.check()
        what = "1 bad line" if finding in NO_ROWS else f"1 row with {finding.value}"
        first, second = str(caught.value).splitlines()
        assert first == (f"domains.a.train: {what}; correct or remove them, or set data.audit.{finding.value} to drop:")
        assert second.startswith(f"  {tmp_path / 'a.train'}:2: ")

    @pytest.mark.parametrize("finding", list(CASES))
    def test_warn_only_tells(self, tmp_path: Path, finding: Finding) -> None:
        found = audit(corpus(tmp_path, CASES[finding], near=0.7, **{finding: "warn"}), CAPACITY)
        one = only(found, finding)
        assert (one.key, one.count, one.action) == ("domains.a.train", 1, Action.WARN)
        assert one.examples[0].startswith(f"{tmp_path / 'a.train'}:2: ")
        found.check()
        assert len(left(found, "a.train")) == (2 if finding in NO_ROWS else 3)

    @pytest.mark.parametrize("finding", list(CASES))
    def test_drop_leaves_the_rows_out_and_tells(self, tmp_path: Path, finding: Finding) -> None:
        data = corpus(tmp_path, CASES[finding], near=0.7, **{finding: "drop"})
        found = audit(data, CAPACITY)
        one = only(found, finding)
        assert (one.key, one.count, one.action) == ("domains.a.train", 1, Action.DROP)
        assert one.examples[0].startswith(f"{tmp_path / 'a.train'}:2: ")
        found.check()
        assert left(found, "a.train") == left(usable(data, CAPACITY), "a.train") == ["1", "2"]

    @pytest.mark.parametrize("finding", sorted({*CASES, Finding.IMBALANCE} - NO_ROWS))
    def test_only_what_is_wanted_is_looked_for(self, tmp_path: Path, finding: Finding) -> None:
        files = CASES.get(finding, {"a.train": [Row.of("1", "no", "no"), *rows_labelled("yes", 11)]})
        data = corpus(tmp_path, files, near=0.7)
        assert audit(data, CAPACITY, set(Finding) - {finding}).found == ()
        assert only(audit(data, CAPACITY, {finding}), finding).count == 1

    def test_the_users_files_stay_as_they_are(self, tmp_path: Path) -> None:
        files = {
            "a.train": [*rows("1", "1", "9", "x" * 500), BAD, EMPTY, NEARLY],
            "b.train": [*rows("1", "2")],
            "b.test": [*rows("9"), BAD, ROOMY],
            "b.final": rows("9"),
        }
        data = corpus(tmp_path, files, near=0.7, **dict.fromkeys(CASES, "drop"))
        before = {path: (path.read_bytes(), path.stat()) for path in tmp_path.iterdir() if path.is_file()}
        found = audit(data, CAPACITY)
        usable(data, CAPACITY)
        assert {one.finding for one in found.found} == set(CASES)
        for path, (content, status) in before.items():
            assert path.read_bytes() == content
            now = path.stat()
            assert (now.st_mtime_ns, now.st_ctime_ns, now.st_ino) == (
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
            )
        assert {path for path in tmp_path.iterdir() if path.is_file()} == set(before)


def rows_labelled(label: str, count: int) -> list[Row]:
    return [Row.of(f"{label} {number}", f"{label}!", label) for number in range(count)]


class TestBadLines:
    def test_are_counted_and_the_first_ten_are_shown(self, tmp_path: Path) -> None:
        content = [BAD, *rows("1"), b"", *[BAD] * 11]
        found = audit(corpus(tmp_path, {"a.train": content}), ANY)
        one = only(found, Finding.BAD_ROWS)
        assert (one.count, len(one.examples)) == (12, 10)
        numbers = [1, *range(4, 13)]
        assert [re.match(r".*/a\.train:(\d+): not JSON", line)[1] for line in one.examples] == list(map(str, numbers))
        with pytest.raises(DataError) as caught:
            found.check()
        lines = str(caught.value).splitlines()
        assert lines[0].startswith("domains.a.train: 12 bad lines; correct or remove them, or set data.audit.bad_rows")
        assert lines[1:-1] == [f"  {line}" for line in one.examples]
        assert lines[-1] == "  and 2 more"

    def test_are_counted_by_kind(self, tmp_path: Path) -> None:
        other = b'{"instruction": "x"}'
        files = {"a.train": [other, EMPTY, BAD, *rows("1")], "a.train.2": [BAD]}
        bad, empty = audit(corpus(tmp_path, files), ANY).found
        assert list(bad.kinds.items()) == [("not JSON", 2), ("not a row", 1)]
        assert (bad.count, empty.count, empty.kinds) == (3, 1, {})
        assert json.loads(json.dumps(bad.to_json()))["kinds"] == {"not JSON": 2, "not a row": 1}

    def test_of_several_files_and_splits_are_all_named(self, tmp_path: Path) -> None:
        files = {
            "a.train": [BAD, *rows("1")],
            "a.train.2": [*rows("2"), EMPTY, BAD],
            "a.test": [*rows("3"), BAD],
            "b.final": [EMPTY, *rows("4")],
        }
        with pytest.raises(DataError) as caught:
            audit(corpus(tmp_path, files), ANY).check()
        told = str(caught.value)
        assert re.findall(r"^domains\S+ \d+ bad lines?", told, re.MULTILINE) == [
            "domains.a.train: 2 bad lines",
            "domains.a.test: 1 bad line",
            "domains.a.train: 1 bad line",
            "domains.b.final: 1 bad line",
        ]
        for place in ("a.train:1", "a.train.2:3", "a.test:2", "a.train.2:2", "b.final:1"):
            assert f"{tmp_path / place}: " in told

    @pytest.mark.parametrize("action", ["warn", "drop"])
    def test_are_left_out_where_they_do_not_refuse(self, tmp_path: Path, action: str) -> None:
        files = {"a.train": [BAD, *rows("1"), EMPTY, *rows("2")], "a.test": [*rows("3"), BAD]}
        data = corpus(tmp_path, files, bad_rows=action, empty_outputs=action)
        for rest in (audit(data, ANY).corpus, usable(data, ANY)):
            assert left(rest, "a.train") == ["1", "2"]
            assert left(rest, "a.test") == ["3"]

    def test_refuse_even_where_nothing_is_dropped(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"^domains\.a\.test: 1 bad line;"):
            usable(corpus(tmp_path, {"a.test": [BAD, *rows("1")]}), ANY)


class TestDuplicates:
    def test_keep_the_first_and_name_it(self, tmp_path: Path) -> None:
        files = {"a.train": [BAD, *rows("1", "2", "1")], "a.train.2": [b"", *rows("3", "2"), Row.of(" 1 ", "YES")]}
        found = audit(corpus(tmp_path, files, duplicates="drop", bad_rows="drop"), ANY)
        one = found.found[1]
        assert (one.finding, one.count) == (Finding.DUPLICATES, 3)
        assert one.examples == (
            f"{tmp_path}/a.train:4: the same as {tmp_path}/a.train:2",
            f"{tmp_path}/a.train.2:3: the same as {tmp_path}/a.train:3",
            f"{tmp_path}/a.train.2:4: the same as {tmp_path}/a.train:2",
        )
        assert left(found, "a.train") == ["1", "2", "3"]

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.sampled_from("abcdeABC"), min_size=1, max_size=20), st.integers(1, 20))
    def test_leave_each_row_once_in_order(self, tmp_path: Path, names: list[str], split: int) -> None:
        files = {"a.train": rows(*names[:split]), "a.train.2": rows(*names[split:])}
        found = audit(corpus(tmp_path, files, duplicates="drop"), ANY)
        firsts = [name for number, name in enumerate(names) if name.lower() not in map(str.lower, names[:number])]
        assert left(found, "a.train") == firsts
        assert sum(one.count for one in found.found) == len(names) - len(firsts)

    def test_are_no_matter_in_test_files(self, tmp_path: Path) -> None:
        assert audit(corpus(tmp_path, {"a.test": rows("1", "1"), "a.final": rows("2", "2")}), ANY).found == ()

    def test_differ_by_their_answers(self, tmp_path: Path) -> None:
        files = {"a.train": [*rows("1"), *rows("1", answer="no")]}
        assert audit(corpus(tmp_path, files), ANY).found == ()

    def test_are_the_same_in_any_format(self, tmp_path: Path) -> None:
        [row] = rows("1")
        files = {"a.train": [dump(row, format_) for format_ in Format]}
        assert only(audit(corpus(tmp_path, files), ANY), Finding.DUPLICATES).count == 3

    def test_are_shown_up_to_ten(self, tmp_path: Path) -> None:
        found = audit(corpus(tmp_path, {"a.train": rows(*["1"] * 13)}, duplicates="error"), ANY)
        assert (only(found, Finding.DUPLICATES).count, len(found.found[0].examples)) == (12, 10)
        with pytest.raises(
            DataError, match=r"12 rows with duplicates; .*\n(  .*:\d+: the same as .*:1\n){10}  and 2 mo"
        ):
            found.check()

    @pytest.mark.parametrize(("shown", "named"), [(0, 0), (3, 3), (12, 12), (100, 12), (None, 12)])
    def test_are_shown_as_many_as_are_wanted(self, tmp_path: Path, shown: int | None, named: int) -> None:
        data = corpus(tmp_path, {"a.train": [*rows(*["1"] * 13), *[BAD] * 12]}, bad_rows="warn")
        found = audit(data, ANY, shown=shown).found
        assert [(one.finding, one.count) for one in found] == [(Finding.BAD_ROWS, 12), (Finding.DUPLICATES, 12)]
        assert [len(one.examples) for one in found] == [named, named]
        same = f"the same as {tmp_path}/a.train:1"
        assert list(found[1].examples) == [f"{tmp_path}/a.train:{line}: {same}" for line in range(2, 14)][:named]


class TestAcrossDomains:
    def test_keep_the_row_of_the_domain_before(self, tmp_path: Path) -> None:
        files = {"a.train": rows("1", "2"), "b.train": rows("2", "3"), "c.train": rows("3", "1", "4")}
        found = audit(corpus(tmp_path, files, across_domains="drop"), ANY)
        assert [(one.key, one.count, one.examples) for one in found.found] == [
            ("domains.b.train", 1, (f"{tmp_path}/b.train:1: the same as {tmp_path}/a.train:2",)),
            (
                "domains.c.train",
                2,
                (
                    f"{tmp_path}/c.train:1: the same as {tmp_path}/b.train:2",
                    f"{tmp_path}/c.train:2: the same as {tmp_path}/a.train:1",
                ),
            ),
        ]
        assert [left(found, f"{name}.train") for name in "abc"] == [["1", "2"], ["3"], ["4"]]

    def test_are_not_the_duplicates_of_one_domain(self, tmp_path: Path) -> None:
        files = {"a.train": rows("1", "1"), "b.train": rows("2", "2")}
        assert {one.finding for one in audit(corpus(tmp_path, files), ANY).found} == {Finding.DUPLICATES}


class TestLeakage:
    def test_is_found_in_the_files_of_any_domain(self, tmp_path: Path) -> None:
        files = {
            "a.train": [*rows("own", "1"), Row.of("OTHER ", "y\u2003es"), *rows("kept", "2")],
            "a.test": rows("0", "own"),
            "b.test": rows("other", "tested and kept"),
            "b.final": rows("kept", "tested and kept"),
        }
        found = audit(corpus(tmp_path, files, leakage="error"), ANY)
        assert [(one.key, one.count, one.examples) for one in found.found] == [
            (
                "domains.a.train",
                3,
                (
                    f"{tmp_path}/a.train:1: the same as {tmp_path}/a.test:2",
                    f"{tmp_path}/a.train:3: the same as {tmp_path}/b.test:1",
                    f"{tmp_path}/a.train:4: the same as {tmp_path}/b.final:1",
                ),
            ),
            ("domains.b.test", 1, (f"{tmp_path}/b.test:2: the same as {tmp_path}/b.final:2",)),
        ]
        with pytest.raises(
            DataError, match=r"^domains\.a\.train: 3 rows with leakage;(.|\n)*\ndomains\.b\.test: 1 row"
        ):
            found.check()

    def test_in_test_rows_is_told_and_they_stay(self, tmp_path: Path) -> None:
        files = {"a.train": rows("1", "2"), "a.test": rows("2", "3"), "a.final": rows("3")}
        found = audit(corpus(tmp_path, files, leakage="drop"), ANY)
        assert [(one.key, one.action) for one in found.found] == [
            ("domains.a.train", Action.DROP),
            ("domains.a.test", Action.WARN),
        ]
        found.check()
        assert left(found, "a.train") == ["1"]
        assert left(found, "a.test") == ["2", "3"]
        assert left(found, "a.final") == ["3"]

    def test_is_by_the_whole_row(self, tmp_path: Path) -> None:
        files = {"a.train": rows("1", answer="no"), "a.test": rows("1")}
        assert audit(corpus(tmp_path, files), ANY).found == ()


class TestNearLeakage:
    def test_leaves_out_rows_that_are_the_same(self, tmp_path: Path) -> None:
        files = {"a.train": [ROOMY, NEARLY, *rows("1")], "b.final": [ROOMY]}
        found = audit(corpus(tmp_path, files, near=0.7, leakage="drop", near_leakage="drop"), ANY)
        assert [(one.finding, one.count, one.examples) for one in found.found] == [
            (Finding.LEAKAGE, 1, (f"{tmp_path}/a.train:1: the same as {tmp_path}/b.final:1",)),
            (Finding.NEAR_LEAKAGE, 1, (f"{tmp_path}/a.train:2: nearly the same as a test or final row",)),
        ]
        assert left(found, "a.train") == ["1"]

    def test_is_not_looked_for_unless_asked(self, tmp_path: Path) -> None:
        files = CASES[Finding.NEAR_LEAKAGE]
        assert audit(corpus(tmp_path, files), ANY).found == ()
        assert audit(corpus(tmp_path, files, near=0.95), ANY).found == ()


class TestTooLong:
    def test_is_by_the_estimate_without_a_counter(self, tmp_path: Path) -> None:
        files = {"a.train": rows("x" * 396, "x" * 397), "a.test": rows("☂" * 133)}
        found = audit(corpus(tmp_path, files, too_long="drop"), CAPACITY)
        assert [(one.key, one.count, one.action, one.examples) for one in found.found] == [
            (
                "domains.a.train",
                1,
                Action.DROP,
                (f"{tmp_path}/a.train:2: 101 tokens, more than the 100 that are read",),
            ),
            (
                "domains.a.test",
                1,
                Action.WARN,
                (f"{tmp_path}/a.test:1: 101 tokens, more than the 100 that are read",),
            ),
        ]
        assert left(found, "a.train") == ["x" * 396]
        assert left(found, "a.test") == ["☂" * 133]

    def test_is_by_the_counter_where_there_is_one(self, tmp_path: Path) -> None:
        class Words:
            name, about = "words", "by words"

            def count(self, rows: Sequence[Row]) -> list[int]:
                return [1000 * len(row.instruction.split()) for row in rows]

        data = corpus(tmp_path, {"a.train": rows("x" * 900, "x y", "x y z"), "a.final": rows("a b c")})
        found = audit(data, Capacity(context=2000, counter=Words()))
        assert [(one.key, one.examples) for one in found.found] == [
            ("domains.a.train", (f"{tmp_path}/a.train:3: 3,000 tokens, more than the 2,000 that are read",)),
            ("domains.a.final", (f"{tmp_path}/a.final:1: 3,000 tokens, more than the 2,000 that are read",)),
        ]

    def test_is_nothing_where_any_number_is_read(self, tmp_path: Path) -> None:
        assert audit(corpus(tmp_path, CASES[Finding.TOO_LONG]), ANY).found == ()


class TestImbalance:
    def test_names_every_rare_label_once(self, tmp_path: Path) -> None:
        content = [
            *rows_labelled("yes", 11),
            *rows_labelled("no", 1),
            *rows_labelled("maybe", 2),
            Row.of("z", "ok", "ok"),
        ]
        found = audit(corpus(tmp_path, {"a.train": content, "a.test": content[:12]}), ANY, {Finding.IMBALANCE})
        assert [(one.key, one.count, one.action, one.examples) for one in found.found] == [
            (
                "domains.a.train",
                2,
                Action.WARN,
                (
                    f"{tmp_path}/a.train:12: label 'no' has 1 rows, 'yes' has 11",
                    f"{tmp_path}/a.train:15: label 'ok' has 1 rows, 'yes' has 11",
                ),
            ),
            (
                "domains.a.test",
                1,
                Action.WARN,
                (f"{tmp_path}/a.test:12: label 'no' has 1 rows, 'yes' has 11",),
            ),
        ]
        found.check()
        assert len(left(found, "a.train")) == 15

    @pytest.mark.parametrize(
        "content",
        [
            [*rows_labelled("yes", 10), *rows_labelled("no", 1)],
            [*rows_labelled("yes", 50)],
            [*rows_labelled("yes", 50), *rows_labelled("no", 1), *rows("without")],
            rows("without"),
        ],
    )
    def test_is_none(self, tmp_path: Path, content: list[Row]) -> None:
        assert audit(corpus(tmp_path, {"a.train": content}), ANY).found == ()

    def test_can_refuse(self, tmp_path: Path) -> None:
        content = [*rows_labelled("yes", 1_100), *rows_labelled("no", 1)]
        with pytest.raises(DataError, match=r"domains\.a\.train: .*(.|\n)*label 'no' has 1 rows, 'yes' has 1,100"):
            audit(corpus(tmp_path, {"a.train": content}, imbalance="error"), ANY).check()


class TestTogether:
    def test_several_findings_may_drop_the_same_row(self, tmp_path: Path) -> None:
        long = "x" * 500
        files = {
            "a.train": rows("1", long),
            "b.train": rows(long, "2", long, "3", "2"),
            "b.test": [*rows(long, "0")],
        }
        drop = dict.fromkeys(("duplicates", "across_domains", "leakage", "too_long"), "drop")
        data = corpus(tmp_path, files, **drop)
        found = audit(data, CAPACITY)
        assert [(one.finding, one.key, one.count) for one in found.found] == [
            (Finding.DUPLICATES, "domains.b.train", 2),
            (Finding.ACROSS_DOMAINS, "domains.b.train", 2),
            (Finding.LEAKAGE, "domains.a.train", 1),
            (Finding.LEAKAGE, "domains.b.train", 2),
            (Finding.TOO_LONG, "domains.a.train", 1),
            (Finding.TOO_LONG, "domains.b.train", 2),
            (Finding.TOO_LONG, "domains.b.test", 1),
        ]
        for rest in (found.corpus, usable(data, CAPACITY)):
            assert left(rest, "a.train") == ["1"]
            assert left(rest, "b.train") == ["2", "3"]
            assert rest.sizes == {"a": 1, "b": 2}

    def test_findings_come_in_one_order(self, tmp_path: Path) -> None:
        files = {"a.train": [*rows("1", "1"), EMPTY, BAD], "b.train": rows("1"), "b.test": [EMPTY, BAD, *rows("1")]}
        found = [one.finding for one in audit(corpus(tmp_path, files), ANY).found]
        assert found == sorted(found, key=list(Finding).index)
        assert len(found) == 8

    def test_all_errors_are_told_at_once(self, tmp_path: Path) -> None:
        files = {"a.train": [*rows("1", "1", "9"), BAD], "a.test": rows("9")}
        with pytest.raises(DataError) as caught:
            audit(corpus(tmp_path, files, duplicates="error"), ANY).check()
        heads = [line for line in str(caught.value).splitlines() if not line.startswith(" ")]
        assert [head.split(";")[0] for head in heads] == [
            "domains.a.train: 1 bad line",
            "domains.a.train: 1 row with duplicates",
            "domains.a.train: 1 row with leakage",
        ]

    def test_an_error_has_all_findings(self, tmp_path: Path) -> None:
        found = audit(corpus(tmp_path, {"a.train": [*rows("1", "1"), BAD]}), ANY)
        with pytest.raises(AuditError) as caught:
            found.check()
        assert caught.value.found == found.found
        assert [one.action for one in found.found] == [Action.ERROR, Action.WARN]

    @pytest.mark.parametrize(
        ("files", "actions", "remedies"),
        [
            (CASES[Finding.BAD_ROWS], {}, ["data.audit.bad_rows to drop"]),
            ({"a.test": [EMPTY, *rows("1")]}, {}, ["data.audit.empty_outputs to drop"]),
            (CASES[Finding.LEAKAGE], {}, ["data.audit.leakage to drop"]),
            ({"a.test": rows("1"), "a.final": rows("1")}, {}, ["data.audit.leakage to warn"]),
            ({"a.final": rows("x" * 500)}, {"too_long": "error"}, ["data.audit.too_long to warn"]),
            (
                {"a.train": [*rows_labelled("yes", 11), *rows_labelled("no", 1)]},
                {"imbalance": "error"},
                ["data.audit.imbalance to warn"],
            ),
        ],
    )
    def test_errors_name_what_can_be_set(
        self, tmp_path: Path, files: Files, actions: dict[str, str], remedies: list[str]
    ) -> None:
        with pytest.raises(DataError) as caught:
            audit(corpus(tmp_path, files, **actions), CAPACITY).check()
        assert re.findall(r"or set (.*):$", str(caught.value), re.MULTILINE) == remedies

    def test_sound_data_has_no_findings(self, tmp_path: Path) -> None:
        files = {"a.train": rows("1", "2"), "a.test": rows("3"), "a.final": rows("4"), "b.train": rows("5")}
        found = audit(corpus(tmp_path, files, near=0.7, **dict.fromkeys(CASES, "error")), CAPACITY)
        found.check()
        assert found.found == ()
        assert left(found, "a.train") == ["1", "2"]

    @pytest.mark.parametrize(
        ("files", "key"),
        [
            ({"a.train": [BAD, EMPTY], "a.test": rows("1")}, "domains.a.train"),
            ({"a.train": rows("1"), "a.test": [BAD]}, "domains.a.test"),
            ({"a.train": rows("1"), "a.final": [EMPTY]}, "domains.a.final"),
            ({"a.train": rows("1", "2"), "a.test": rows("2", "1")}, "domains.a.train"),
            ({"a.train": rows("1"), "b.train": rows("1")}, "domains.b.train"),
        ],
    )
    def test_nothing_left_is_refused(self, tmp_path: Path, files: Files, key: str) -> None:
        data = corpus(tmp_path, files, **dict.fromkeys(CASES, "drop"))
        told = f"^{key}: no row is left that can be used; correct the files$"
        with pytest.raises(DataError, match=told):
            audit(data, ANY).check()
        with pytest.raises(DataError, match=told):
            usable(data, ANY)

    def test_what_only_warns_stays_usable(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, {"a.train": rows("1", "1"), "a.test": rows("1")}, leakage="warn")
        assert left(usable(data, ANY), "a.train") == ["1", "1"]

    def test_usable_looks_for_what_it_drops_only(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, {"a.train": rows("1", "1"), "a.test": rows("1")}, leakage="error")
        assert left(usable(data, ANY), "a.train") == ["1", "1"]


def test_a_finding_is_plain_data(tmp_path: Path) -> None:
    one = only(audit(corpus(tmp_path, CASES[Finding.DUPLICATES]), ANY), Finding.DUPLICATES)
    assert json.loads(json.dumps(one.to_json())) == {
        "finding": "duplicates",
        "domain": "a",
        "split": "train",
        "count": 1,
        "action": "warn",
        "kinds": {},
        "rows": [f"{tmp_path}/a.train:2: the same as {tmp_path}/a.train:1"],
    }
