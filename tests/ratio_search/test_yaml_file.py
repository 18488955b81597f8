from __future__ import annotations

from pathlib import Path

import pytest

from ratio_search.errors import SpecError
from ratio_search.yaml_file import loaded, read


def refusal(text: str) -> str:
    with pytest.raises(SpecError) as error:
        loaded(text)
    return str(error.value)


class TestWhatIsNotYaml:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected keys such as name, domains, objective and metrics, found nothing"),
            ("- a\n", "expected keys such as name, domains, objective and metrics, found ['a']"),
            ("name: a: b\n", "line 1, column 8: not YAML: mapping values are not allowed here"),
            ("name:\n\tx: 1\n", r"line 2, column 1: not YAML: found character '\t' that cannot start any token"),
            ("name: *nope\n", "line 1, column 7: not YAML: found undefined alias 'nope'"),
            ("name: s\nname: t\n", "line 2: the key 'name' stands twice here; remove one"),
            ("domains:\n  a: {}\n  b: {}\n  a: {}\n", "line 4: the key 'a' stands twice here; remove one"),
            ("domains:\n  no: {}\n", "line 2: keys must be text, found 'no'; put it in quotes"),
            ("1: a\n", "line 1: keys must be text, found '1'; put it in quotes"),
            ("null: a\n", "line 1: keys must be text, found 'null'; put it in quotes"),
            ("? [a, b]\n: 1\n", "line 1: keys must be text, found a list or keys with values; put it in quotes"),
            ("name: !!bool x\n", "not YAML that can be read: KeyError: 'x'"),
        ],
    )
    def test_the_place_is_named(self, text: str, message: str) -> None:
        assert refusal(text) == message

    @pytest.mark.parametrize(
        "text",
        [
            "name: !!python/object/apply:pathlib.Path.touch [{file}]\n",
            "!!python/object/apply:pathlib.Path.touch [{file}]\n",
            "name: !!python/name:os.system ''\n",
            "name: !!python/object/new:os.system [touch {file}]\n",
        ],
    )
    def test_no_python_object_is_made(self, text: str, tmp_path: Path) -> None:
        made = tmp_path / "made"
        assert "could not determine a constructor for the tag" in refusal(text.replace("{file}", str(made)))
        assert not made.exists()

    def test_nesting_without_end(self) -> None:
        assert "not YAML" in refusal("[" * 1500)


class TestReading:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"study\.yaml: cannot be read \(No such file or directory\); expected a"):
            read(tmp_path / "study.yaml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"cannot be read \(Is a directory\); expected a study file"):
            read(tmp_path)

    def test_invalid_utf_8(self, tmp_path: Path) -> None:
        file = tmp_path / "study.yaml"
        file.write_bytes(b"name: caf\xe9\n")
        with pytest.raises(SpecError, match=r"study\.yaml: not valid UTF-8 \(byte 10 is 0xe9\); save it as UTF-8"):
            read(file)

    def test_what_windows_puts_before_utf_8_is_no_part_of_the_text(self, tmp_path: Path) -> None:
        file = tmp_path / "study.yaml"
        file.write_bytes(b"\xef\xbb\xbfname: a\n")
        assert loaded(read(file)) == {"name": "a"}
