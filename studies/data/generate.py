"""Writes the sample data from the words in `sources/`; the same bytes on every machine.

    python studies/data/generate.py            # writes every file and SHA256SUMS
    python studies/data/generate.py --check    # writes nothing; says which files differ, exit 1 if any does

Only the standard library is used, and only `random.Random.random` of it, whose stream Python guarantees to stay
the same between versions.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BASE = Path("objectives/backends/hf/base")
SUMS = HERE / "SHA256SUMS"

SIZES = {
    "base": {"support": 600, "legal": 600, "manuals": 480, "pydocs": 480},
    "train": {"support": 1500, "legal": 1200, "manuals": 640, "pydocs": 480},
    "test": {"support": 300, "legal": 300, "manuals": 320, "pydocs": 300},
    "final": {"support": 300, "legal": 300, "manuals": 320, "pydocs": 300},
}
"""Rows per split and domain. The training sizes differ on purpose: natural shares are far from uniform."""

ASIDES = {"base": 0.05, "train": 0.6, "test": 0.6, "final": 0.6}
"""Share of support tickets and legal clauses that also mention a matter of another class."""

BASE_WORDINGS = 3
"""Wordings of a support matter or a legal clause that the base split knows."""

Row = dict[str, str]
T = TypeVar("T")


class Draw:
    """Random choices from one named stream."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(name).random

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self._random() < probability

    def one(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[int(self._random() * len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order (Fisher and Yates)."""
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = int(self._random() * (i + 1))
            items[i], items[j] = items[j], items[i]
        return items


def row(instruction: str, label: str, rest: str) -> Row:
    """One example; the output begins with its label."""
    return {"instruction": instruction, "output": f"{label}: {rest}", "label": label}


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[0].upper() + text[1:]


def normal(text: str) -> str:
    """What two instructions are compared by: their words alone."""
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def known(split: str, wordings: Sequence[str]) -> Sequence[str]:
    """The wordings that a split uses: the base split has the first ones alone, so that tuning has words to learn."""
    return wordings[:BASE_WORDINGS] if split == "base" else wordings


def support(split: str, words: Mapping[str, Any]) -> Iterator[Row]:
    """Tickets without end: a matter of one queue, often with a sentence about a matter of another."""
    draw = Draw(f"support/{split}")
    queues = words["queues"]
    while True:
        queue = draw.one(queues)
        matter = draw.one(queue["matters"])
        sentences = [draw.one(known(split, matter["said"])).format(thing=draw.one(words["things"]))]
        if draw.chance(ASIDES[split]):
            other = draw.one([q for q in queues if q is not queue])
            aside = draw.one(words["asides"]).format(topic=draw.one(other["matters"])["topic"])
            sentences = draw.shuffled([*sentences, aside])
        ticket = " ".join([draw.one(words["openers"]), *sentences, draw.one(words["closers"])])
        yield row(ticket, queue["label"], matter["reply"])


def legal(split: str, words: Mapping[str, Any]) -> Iterator[Row]:
    """Clauses without end: one type, often with a reference to a clause of another type."""
    draw = Draw(f"legal/{split}")
    types = words["types"]
    while True:
        kind = draw.one(types)
        party = draw.one(words["parties"])
        text = draw.one(known(split, kind["clause"])).format(party=party, days=draw.one(words["days"]))
        if draw.chance(ASIDES[split]):
            other = draw.one([t for t in types if t is not kind])
            reference = draw.one(words["references"]).format(whereby=draw.one(other["whereby"]))
            text = f"{text}, {reference}" if draw.chance(0.5) else f"{reference}, {text}"
        text = f"{draw.one(words['openers'])}{text}."
        yield row(sentence(text), kind["label"], sentence(kind["plain"].format(party=party)))


def facts(edition: str, words: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Machine, code, part and step: every part and every machine equally often, every code once."""
    draw = Draw(f"manuals/{edition} edition")
    machines, codes, parts = words["machines"], words["codes"], words["parts"]
    steps = dict(zip(machines, draw.shuffled(words["steps"]), strict=True))
    owners = [machine for machine in machines for _ in range(len(codes) // len(machines))]
    meant = draw.shuffled(parts * (len(codes) // len(parts)))
    return [(m, code, part, steps[m]) for m, code, part in zip(owners, codes, meant, strict=True)]


def manuals(split: str, words: Mapping[str, Any]) -> Iterator[Row]:
    """Questions without end about one table of facts, each fact equally often; the base split's is out of date."""
    table = facts("old" if split == "base" else "new", words)
    draw = Draw(f"manuals/{split}")
    while True:
        for machine, code, part, step in draw.shuffled(table):
            phrasing = draw.one(words["phrasings"][split])
            question = phrasing.format(machine=machine, code=code, place=draw.one(words["places"]))
            yield row(question, part, f"{step} the {part}.")


def pydocs(split: str, sentences: Sequence[Mapping[str, str]]) -> Iterator[Row]:
    """The split's own part of the frozen sentences, in one random order of all."""
    earlier = list(SIZES)[: list(SIZES).index(split)]
    start = sum(SIZES[name]["pydocs"] for name in earlier)
    for source in Draw("pydocs").shuffled(sentences)[start : start + SIZES[split]["pydocs"]]:
        yield row(source["sentence"], source["label"], f"{source['module']}.")


DOMAINS: dict[str, Callable[[str, Any], Iterator[Row]]] = {
    "support": support,
    "legal": legal,
    "manuals": manuals,
    "pydocs": pydocs,
}


def sources(domain: str) -> Any:
    """The words, or the frozen sentences, that a domain is made from."""
    if domain == "pydocs":
        lines = (HERE / "sources" / "pydocs.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    return tomllib.loads((HERE / "sources" / f"{domain}.toml").read_text(encoding="utf-8"))


def lines(candidates: Iterable[Row], size: int, seen: set[str]) -> bytes:
    """The first rows that say something new, as the content of a file.

    Args:
        candidates: rows, more than enough.
        size: how many are wanted.
        seen: instructions that are taken, by their words; those of these rows are added.
    """
    rows: list[Row] = []
    for candidate in candidates:
        key = normal(candidate["instruction"])
        if key not in seen:
            seen.add(key)
            rows.append(candidate)
        if len(rows) == size:
            break
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def files() -> dict[Path, bytes]:
    """Every generated file, as its path from the repository's root and its content.

    No instruction occurs twice in a domain, in one split or in two.
    """
    result: dict[Path, bytes] = {}
    for domain, generate in DOMAINS.items():
        words = sources(domain)
        seen: set[str] = set()
        for split, sizes in SIZES.items():
            folder = BASE if split == "base" else Path("studies/data") / split
            result[folder / f"{domain}.jsonl"] = lines(generate(split, words), sizes[domain], seen)
    return result


def sums(content: Mapping[Path, bytes]) -> str:
    """The content's digests, in the format of `sha256sum`, paths from the repository's root."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {path.as_posix()}\n" for path, data in sorted(content.items()))


def main() -> int:
    """Writes or checks the files; returns the exit status."""
    if sys.argv[1:] not in ([], ["--check"]):
        sys.stderr.write(f"expected no argument or --check, found {' '.join(sys.argv[1:])}\n")
        return 2
    content = files()
    if not sys.argv[1:]:
        for path, data in content.items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_bytes(data)
        SUMS.write_text(sums(content), encoding="utf-8", newline="\n")
        return 0
    expected = {**content, SUMS.relative_to(ROOT): sums(content).encode()}
    differing = [p for p, data in expected.items() if not (ROOT / p).is_file() or (ROOT / p).read_bytes() != data]
    for path in differing:
        sys.stderr.write(f"{path.as_posix()}: differs from what the sources give\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
