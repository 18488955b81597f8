"""A trainer for tests that knows by heart what it was trained on: accuracy is the share of test rows that it has seen.

It reports progress and saves a checkpoint after every step of four rows. With the argument `hold` it waits to be ended
after its first step, unless it goes on from a checkpoint.
"""

import json
import os
import sys
import time
from pathlib import Path

BATCH = 4

job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())


def rows(paths):
    return [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]


train = rows([job["train_file"]] if job["train_file"] else [])
steps = -(-len(train) // BATCH)
checkpoint = Path(job["checkpoint_folder"]) / "seen.json"
fresh = not checkpoint.exists()
step, seen = (0, []) if fresh else json.loads(checkpoint.read_text())
with Path(job["progress_file"]).open("a", buffering=1) as progress:
    progress.write(json.dumps({"step": step, "total": steps, "note": "fresh" if fresh else "continued"}) + "\n")
    while step < steps:
        seen += [row["instruction"] for row in train[step * BATCH : (step + 1) * BATCH]]
        step += 1
        partial = checkpoint.with_suffix(".partial")
        partial.write_text(json.dumps([step, seen]))
        partial.replace(checkpoint)
        progress.write(json.dumps({"step": step, "total": steps}) + "\n")
        while fresh and "hold" in sys.argv:
            time.sleep(0.01)

metrics = {}
for domain, paths in job["test_files"].items():
    tests = rows(paths)
    hits = sum(row["instruction"] in seen for row in tests)
    metrics[f"{domain}/accuracy"] = {"value": hits / len(tests), "rows": len(tests)}
Path(job["result_file"]).write_text(json.dumps({"metrics": metrics}))
