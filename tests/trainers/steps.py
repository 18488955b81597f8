"""A trainer for tests that takes a step at a time, saves a checkpoint after each, and writes each into a ledger.

Its arguments are the ledger, the number of steps, the seconds of each, and what it does at last: nothing, `fail`, or
`hold` until it is told to end, unless it goes on from a checkpoint. The model is a number that every step adds to. In
the ledger a line is a job, its attempt, a step, and the machine that took it.
"""

import json
import os
import sys
import time
from pathlib import Path

import weights  # the module beside it, which must be there as well

job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
ledger, steps, seconds, *modes = sys.argv[1:]
folder, checkpoint = Path(job["folder"]), Path(job["checkpoint_folder"]) / "state" / "model.json"
checkpoint.parent.mkdir(exist_ok=True)
step, model = json.loads(checkpoint.read_text()) if checkpoint.exists() else (0, 0)
fresh, tuned = step == 0, job["mixture"] is not None
machine = os.environ.get("RATIO_SEARCH_MACHINE", "here")

while tuned and step < int(steps):
    time.sleep(float(seconds))
    step, model = step + 1, weights.trained(model)
    with Path(ledger).open("a") as file:
        file.write(f"{job['id']} {job['attempt']} {step} {machine}\n")
        file.flush()
        os.fsync(file.fileno())
    partial = checkpoint.with_name("model.json.partial")
    partial.write_text(json.dumps([step, model]))
    partial.replace(checkpoint)
    with Path(job["progress_file"]).open("a") as file:
        file.write(json.dumps({"step": step, "total": int(steps)}) + "\n")
print(f"trained {step} steps on {machine}, GPUs: {os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}", flush=True)
if "fail" in modes and tuned:
    sys.exit(3)
while "hold" in modes and fresh and tuned:
    time.sleep(0.05)

shares = job["mixture"] or {}
metrics = {name: {"value": 0.2 + 0.6 * shares.get(name, 0.0), "rows": 0} for name in job["test_files"]}
for name, paths in job["test_files"].items():
    metrics[name]["rows"] = sum(len(Path(path).read_text().splitlines()) for path in paths)
artefacts = {}
if tuned:
    (folder / "adapter" / "deep").mkdir(parents=True)
    (folder / "adapter" / "deep" / "weights").write_bytes(bytes([model]) * 3000)
    (folder / "adapter" / "empty").touch()
    artefacts = {"adapter": "adapter"}
Path(job["result_file"]).write_text(
    json.dumps({"metrics": {f"{name}/accuracy": value for name, value in metrics.items()}, "artefacts": artefacts})
)
