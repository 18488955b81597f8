"""Times the mixing of a large training file, against the library that most teams use and against plain copying.

    python benchmarks/blend.py            # 2 GB in four domains, some minutes; needs pip install '.[bench]'
    python benchmarks/blend.py --sizes 0.5,2,8   # memory by size, too
    python benchmarks/blend.py --quick    # 0.1 GB
    python benchmarks/blend.py --json     # the same as JSON

All read the same generated files (rows of about 500 bytes of two keys), and all write rows of the same keys, weighed by
rows, as many as there are, with shares of about 0.4, 0.3, 0.2 and 0.1: the first domain repeats, the last does not end.
`cat` copies the four files into one: what any program has to read and write. Each measurement is a process of its own,
and the files are read once beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

DOMAINS = {"support": 0.4137, "legal": 0.2891, "manuals": 0.1969, "pydocs": 0.1003}
ROW_BYTES = 500
WORDS, TEXTS = 5_000, 20_011


def generate(folder: Path, gigabytes: float) -> list[Path]:
    """Writes the four domains, the same for the same size."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, size=length)) for length in rng.integers(2, 10, size=WORDS)]
    texts = [[words[i] for i in rng.integers(0, WORDS, size=int(rng.integers(50, 94)))] for _ in range(TEXTS)]
    bodies = [(" ".join(text[:24]), " ".join(text[24:])) for text in texts]
    rows = int(gigabytes * 1e9 / ROW_BYTES / len(DOMAINS))
    files = []
    for name in DOMAINS:
        files.append(folder / f"{name}.jsonl")
        with files[-1].open("w", encoding="utf-8") as file:
            for number in range(rows):
                instruction, output = bodies[number % TEXTS]
                file.write(f'{{"instruction": "{name} {number} {instruction}", "output": "{output}"}}\n')
    return files


# What each process does; the name is the first argument of the process.


def job_cat(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    begun = time.perf_counter()
    with out.open("wb") as file:
        subprocess.run(["cat", *map(str, files)], stdout=file, check=True)
    return {"seconds": time.perf_counter() - begun}


def job_index(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """One file after the other, in one process."""
    from objectives.data.dataset import Dataset

    begun = time.perf_counter()
    for file in files:
        Dataset.open([file])
    return {"seconds": time.perf_counter() - begun}


def job_mix(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """Opens the index, making it where there is none, and writes the mix; what is spent on its parts follows."""
    from objectives.data import Blend, Dataset, Format, blended, write
    from objectives.data.index import make_indexes
    from objectives.mixture import Mixture

    begun = time.perf_counter()
    make_indexes(files)
    data = {file.stem: Dataset.open([file]) for file in files}
    opened = time.perf_counter() - begun
    sizes = {name: len(rows) for name, rows in data.items()}
    blend = Blend(mixture=Mixture.of(DOMAINS), sizes=sizes, rows=sum(sizes.values()), seed=0)
    next(iter(blended(blend, data, Format.INSTRUCTION)))
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    write(blend, data, Format.INSTRUCTION, [out])
    return {"seconds": time.perf_counter() - begun + opened, "open": opened, "first_bytes": first}


def job_order(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """The turns and row numbers alone."""
    from objectives.data import Blend, Dataset
    from objectives.mixture import Mixture

    sizes = {file.stem: len(Dataset.open([file])) for file in files}
    blend = Blend(mixture=Mixture.of(DOMAINS), sizes=sizes, rows=sum(sizes.values()), seed=0)
    begun = time.perf_counter()
    rows = sum(len(part) for part in blend.parts())
    assert rows == sum(sizes.values())
    return {"seconds": time.perf_counter() - begun}


def job_read(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """Everything but hashing and writing."""
    from objectives.data import Blend, Dataset, Format, blended
    from objectives.mixture import Mixture

    data = {file.stem: Dataset.open([file]) for file in files}
    sizes = {name: len(rows) for name, rows in data.items()}
    blend = Blend(mixture=Mixture.of(DOMAINS), sizes=sizes, rows=sum(sizes.values()), seed=0)
    begun = time.perf_counter()
    for _ in blended(blend, data, Format.INSTRUCTION):
        pass
    return {"seconds": time.perf_counter() - begun}


def job_peer(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """`interleave_datasets(...).to_json`, and the reading of the files apart."""
    import datasets

    datasets.disable_progress_bars()
    begun = time.perf_counter()
    parts = [datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(cache)) for file in files]
    read = time.perf_counter() - begun
    begun = time.perf_counter()
    # The strategy that repeats what runs out: the only one with which every domain gets its share.
    mixed = datasets.interleave_datasets(
        parts, probabilities=list(DOMAINS.values()), seed=0, stopping_strategy="all_exhausted"
    )
    mixed = mixed.select(range(sum(map(len, parts))))
    mixed.to_json(out)
    return {"seconds": time.perf_counter() - begun, "read": read}


def job_check(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    return _audit(files, near=None)


def job_check_near(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    return _audit(files, near=0.8)


def job_check_tokens(files: list[Path], out: Path, cache: Path) -> dict[str, float]:
    """What counting with the tiny model's tokenizer adds."""
    from objectives.backends import load
    from objectives.data import Dataset

    counter = load("hf")(kind="hf").capacity(Path()).counter
    assert counter is not None
    counter.count(Dataset.open([files[0]]).rows(np.arange(1)))
    begun = time.perf_counter()
    for file in files:
        Dataset.open([file]).lengths(counter)
    return {"seconds": time.perf_counter() - begun}


def _audit(files: list[Path], near: float | None) -> dict[str, float]:
    from objectives.data import Capacity, Corpus, DataPolicy, audit
    from objectives.domain import Domain

    test = files[0].with_name("test.jsonl")
    domains = [Domain(name=file.stem, train=(file,), test=(test,)) for file in files]
    begun, used = time.perf_counter(), _cpu_seconds()
    corpus = Corpus.open(domains, Path(), DataPolicy(near=near))
    audit(corpus, Capacity(context=512))
    return {"seconds": time.perf_counter() - begun, "cpu_seconds": _cpu_seconds() - used}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


JOBS = {name.removeprefix("job_"): job for name, job in list(globals().items()) if name.startswith("job_")}


def run(name: str, files: list[Path], folder: Path) -> dict[str, Any]:
    """Runs one job in a process of its own: what it says, its CPU seconds and the most anonymous memory it held."""
    out = folder / "mix.jsonl"
    out.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, __file__, "--job", name, str(folder), *map(str, files)],
        stdout=subprocess.PIPE,
        env={**os.environ, "RATIO_SEARCH_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "hf")},
        text=True,
    )
    with watched(process.pid) as most:
        said, _ = process.communicate()
    assert process.returncode == 0, name
    return {**json.loads(said), "anonymous_mb": most[0] / 1024}


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Looks at a process's anonymous memory, in KiB, twenty times a second."""
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            held = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")]
            most[0] = max([most[0], *held])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def measure(folder: Path, gigabytes: float, rounds: int, peer: bool) -> dict[str, float]:
    """All measurements at one size: the best of some rounds, in turn."""
    files = generate(folder, gigabytes)
    with files[-1].open("rb") as file, (folder / "test.jsonl").open("wb") as test:
        for _ in range(1000):
            test.write(file.readline().replace(b"pydocs", b"test"))
    size = sum(file.stat().st_size for file in files)
    time.sleep(2.1)  # from then on the index trusts the files' time stamps
    found: dict[str, list[dict[str, Any]]] = {}
    names = ["cat", "cold", "mix", *(["peer"] if peer else [])]
    for number in range(rounds):
        for name in names:
            if name == "cold":
                shutil.rmtree(folder / "cache", ignore_errors=True)
            if name != "peer" or number == 0:
                found.setdefault(name, []).append(run("mix" if name == "cold" else name, files, folder))
    for name in ("order", "read"):
        found[name] = [run(name, files, folder)]
    shutil.rmtree(folder / "cache", ignore_errors=True)
    found["index"] = [run("index", files, folder)]
    best = {name: min(runs, key=lambda one: one["seconds"]) for name, runs in found.items()}
    result = {
        "gigabytes": size / 1e9,
        "cat_s": best["cat"]["seconds"],
        "warm_s": best["mix"]["seconds"],
        "cold_s": best["cold"]["seconds"],
        "index_mb_per_core_s": size / 1e6 / best["index"]["seconds"],
        "first_bytes_s": best["mix"]["first_bytes"],
        "order_s": best["order"]["seconds"],
        "order_and_read_s": best["read"]["seconds"],
        "warm_to_cat": best["mix"]["seconds"] / best["cat"]["seconds"],
        "warm_anonymous_mb": best["mix"]["anonymous_mb"],
        "cold_anonymous_mb": best["cold"]["anonymous_mb"],
    }
    if peer:
        result |= {
            "peer_s": best["peer"]["seconds"],
            "peer_read_s": best["peer"]["read"],
            "peer_to_warm": best["peer"]["seconds"] / best["mix"]["seconds"],
            "peer_to_cold": best["peer"]["seconds"] / best["cold"]["seconds"],
        }
    return result


def checks(folder: Path, gigabytes: float) -> dict[str, float]:
    """How fast `check` goes through data that it has not seen, and what tokens and near-duplicates add."""
    files = [folder / f"{name}.jsonl" for name in DOMAINS]
    size = sum(file.stat().st_size for file in files) / 1e6
    shutil.rmtree(folder / "cache", ignore_errors=True)
    plain = run("check", files, folder)
    again = run("check", files, folder)["seconds"]
    small = generate(folder, min(gigabytes, 0.02))
    part = sum(file.stat().st_size for file in small) / 1e6
    run("check", small, folder)
    near = run("check_near", small, folder)["seconds"]
    tokens = run("check_tokens", small, folder)["seconds"]
    return {
        "check_mb_per_s": size / plain["seconds"],
        "check_mb_per_core_s": size / plain["cpu_seconds"],
        "check_again_mb_per_s": size / again,
        "near_duplicates_mb_per_s": part / near,
        "tokens_mb_per_s": part / tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="0.1 GB, once")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--sizes", default="2", help="gigabytes, separated by commas")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        name, folder, *files = options.job
        print(json.dumps(JOBS[name](list(map(Path, files)), Path(folder) / "mix.jsonl", Path(folder) / "hf")))
        return
    sizes = [0.1] if options.quick else [float(size) for size in options.sizes.split(",")]
    figures: dict[str, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="blend-") as folder:
            main_size = size == sizes[0] if len(sizes) == 1 else size == 2
            found = measure(Path(folder), size, 1 if options.quick or not main_size else 3, peer=main_size)
            if main_size:
                found |= checks(Path(folder), size)
            suffix = "" if len(sizes) == 1 else f"_{size:g}gb"
            figures |= {f"{name}{suffix}": value for name, value in found.items()}
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:32} {value:10.3g}")


if __name__ == "__main__":
    main()
