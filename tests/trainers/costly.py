"""A trainer for tests that says what it costs, step by step: its own ledger has the same.

Its arguments name the ledger and, such as `usd=2`, what a whole fine-tune costs; the untuned model costs nothing. With
`hold` the first attempt at its second trial waits after half of the steps, to be ended; with `silent` nothing is
reported but metrics; with `break` it fails after half of the steps, from its third trial on.
"""

import json
import os
import sys
import time
from pathlib import Path

STEPS = 4

job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
ledger, *modes = sys.argv[1:]
tuned, number = job["mixture"] is not None, int(job["id"].rpartition("-")[2])
whole = {name: float(amount) for name, _, amount in (mode.partition("=") for mode in modes) if amount}
so_far = dict.fromkeys(whole, 0.0)

with Path(job["progress_file"]).open("a", buffering=1) as progress, Path(ledger).open("a", buffering=1) as book:
    for step in range(1, STEPS + 1) if tuned else ():
        so_far = {name: amount * step / STEPS for name, amount in whole.items()}
        book.write(json.dumps({"job": job["id"], "attempt": job["attempt"], "step": step, "cost": so_far}) + "\n")
        progress.write(json.dumps({"step": step, "total": STEPS, "cost": so_far}) + "\n")
        while "hold" in modes and number == 1 and job["attempt"] == 1 and step == STEPS // 2:
            time.sleep(0.01)
        if "break" in modes and number >= 2 and step == STEPS // 2:
            time.sleep(0.2)  # for its report to be seen
            sys.exit("boom")

shares = job["mixture"] or {}
result = {"metrics": {f"{name}/accuracy": 0.2 + 0.6 * shares.get(name, 0.0) for name in job["test_files"]}}
if "silent" not in modes:
    result["cost"] = so_far
Path(job["result_file"]).write_text(json.dumps(result))
