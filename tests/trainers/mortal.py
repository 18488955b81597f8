"""A trainer that may die at any moment: every step and every checkpoint is in a ledger before anything else happens.

Its arguments are the ledger, which gets a line of JSON for each start, step, checkpoint and end, how many steps to
train, and after how many of them to save a checkpoint. What it measures follows from the mixture and the training seed
alone. With a plan of kills in the environment it dies where that says.
"""

import json
import os
import sys
import time
from pathlib import Path

STEP_S = 0.004

job = json.loads(Path(os.environ["RATIO_SEARCH_JOB"]).read_text())
path, steps, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
reached = None
if "trainer: " in os.environ.get("CHAOS", ""):
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.chaos.kill import Plan

    reached = Plan.given().reached


def write(what, step):
    line = {"job": job["id"], "attempt": job["attempt"], "process": os.getpid(), "what": what, "step": step}
    os.write(ledger, f"{json.dumps(line)}\n".encode())
    os.fsync(ledger)


def at(point):
    if reached is not None:
        reached(f"trainer: {point}")


checkpoint = Path(job["checkpoint_folder"]) / "step"
step = int(checkpoint.read_text()) if checkpoint.exists() else 0
write("start", step)
shares = job["mixture"] or {}
if shares:
    at("before its first step")
while shares and step < steps:
    time.sleep(STEP_S)
    step += 1
    write("step", step)
    at("step trained, not saved")
    if step % every == 0:
        partial = checkpoint.with_name("step.partial")
        partial.write_text(str(step))
        at("checkpoint written, not renamed")
        partial.replace(checkpoint)
        write("saved", step)
        at("checkpoint renamed")
        with Path(job["progress_file"]).open("a") as progress:
            progress.write(json.dumps({"step": step, "total": steps}) + "\n")

draw = (job["seeds"]["training"] * 2654435761 % 2**32) / 2**32
metrics = {f"{name}/accuracy": 0.2 + 0.6 * shares.get(name, 0.0) + 0.1 * draw for name in job["test_files"]}
if shares:
    at("result not written")
Path(job["result_file"]).write_text(json.dumps({"metrics": metrics}))
write("end", step)
if shares:
    at("result written, not ended")
