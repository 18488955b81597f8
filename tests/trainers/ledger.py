"""A trainer for tests: each metric follows from the domain's share, and every finished evaluation is in a ledger.

Its arguments name the ledger and what goes wrong: `fail` always, `fail-trials` all but the baseline, `fail-later` from
the third trial on, `sleep` takes a while, `endless` takes for ever, `held` waits in each trial for a file `go` in its
folder, `stubborn` takes for ever from the second trial on and does not end when told to, `fill` fills the disk in the
first attempt at its second trial, and fails, `fill-late` fills it there when all is measured, `nan` reports one,
`percent` reports rates above 1, `missing` leaves a metric out.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
ledger, *modes = sys.argv[1:]
tuned = job["mixture"] is not None


def fill():
    """Leaves not one byte of the disk, and fails as whoever meets it then."""
    with (Path(job["folder"]) / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


if "sleep" in modes:
    time.sleep(0.5)
number = job["id"].rpartition("-")[2]
later = tuned and number.isdigit() and int(number) >= 2
while "endless" in modes:
    time.sleep(0.1)
while "held" in modes and tuned and not (Path(job["folder"]) / "go").exists():
    time.sleep(0.01)
if "stubborn" in modes and tuned and int(number) >= 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.1)
if "fill" in modes and tuned and int(number) == 1 and job["attempt"] == 1:
    fill()
if "fail" in modes or ("fail-trials" in modes and tuned) or ("fail-later" in modes and later):
    print("boom: the data is bad")
    sys.exit(7)

shares = job["mixture"] or {}
metrics = {f"{name}/accuracy": 0.2 + 0.6 * shares.get(name, 0.0) for name in job["test_files"]}
if "nan" in modes and tuned:
    metrics = dict.fromkeys(metrics, float("nan"))
if "percent" in modes and tuned:
    metrics = {name: 100 * value for name, value in metrics.items()}
if "missing" in modes and tuned:
    metrics.popitem()

folder = Path(job["folder"])
artefacts = {}
if tuned:
    (folder / "adapter").mkdir()
    (folder / "adapter" / "weights").write_bytes(b"x" * 1000)
    artefacts = {"adapter": "adapter"}
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is in the ledger is finished, and has a result
with Path(ledger).open("a") as file:
    file.write(f"{job['id']} {job['attempt']}\n")
    file.flush()
    os.fsync(file.fileno())
Path(job["result_file"]).write_text(json.dumps({"metrics": metrics, "artefacts": artefacts}))
if "fill-late" in modes and tuned and int(number) == 1 and job["attempt"] == 1:
    with contextlib.suppress(OSError):
        fill()
