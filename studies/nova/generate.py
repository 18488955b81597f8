"""Writes the voice-of-the-customer rows from the words in `leaves.toml`; the same bytes on every machine.

    python studies/nova/generate.py            # writes every file
    python studies/nova/generate.py --check    # writes nothing; says which files differ, exit 1 if any does

It draws as the other sample data is drawn (`studies/data/generate.py`), with the standard library alone.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "data"))

from generate import Draw, lines, sentence  # noqa: E402 - found by the line above

SIZES = {"train": 1080, "test": 720, "final": 360}
"""Rows per split, 36 leaves in each."""

ASIDES = 0.4
"""Share of the rows that also mention a matter of another leaf."""

Row = dict[str, str]


def voc(split: str, words: Mapping[str, Any]) -> Iterator[Row]:
    """Feedback without end, each leaf equally often; some of it mentions what it is not about."""
    draw = Draw(f"voc/{split}")
    leaves = words["leaves"]
    while True:
        for leaf in draw.shuffled(leaves):
            said = draw.one(leaf["said"]).format(thing=draw.one(words["things"]), place=draw.one(words["places"]))
            opener = draw.one(words["openers"])
            parts = [f"{opener} {said}." if opener.endswith((",", ":")) else f"{opener} {sentence(said)}."]
            if draw.chance(ASIDES):
                other = draw.one([one for one in leaves if one is not leaf])
                parts.append(sentence(draw.one(words["asides"]).format(aside=other["aside"])))
            text = " ".join([words["task"], *parts, draw.one(words["closers"])]).strip()
            yield {"instruction": text, "output": leaf["label"], "label": leaf["label"]}


def files() -> dict[Path, bytes]:
    """Every file and its content; no instruction occurs twice, in one split or in two."""
    words = tomllib.loads((HERE / "leaves.toml").read_text(encoding="utf-8"))
    result: dict[Path, bytes] = {}
    seen: set[str] = set()
    for split, size in SIZES.items():
        result[HERE / f"voc-{split}.jsonl"] = lines(voc(split, words), size, seen)
    return result


def main() -> int:
    """Writes or checks the files; returns the exit status."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.stderr.write(f"expected no argument or --check, found {' '.join(sys.argv[1:])}\n")
        return 2
    content = files()
    if not sys.argv[1:]:
        for path, data in content.items():
            path.write_bytes(data)
        return 0
    differing = [path for path, data in content.items() if not path.is_file() or path.read_bytes() != data]
    for path in differing:
        sys.stderr.write(f"studies/nova/{path.name}: differs from what the words give\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
