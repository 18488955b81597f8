"""A pretend platform: a server in a process of its own that runs jobs in stages, bills them and makes mistakes.

    python -m tests.services.pretend FOLDER [POLLS [PORT]]

It writes its port to `FOLDER/port`, and whatever it takes, ends or hands out to `FOLDER/ledger.jsonl`, which only
grows and is on disk before anyone is answered. It goes on from that ledger when it is started again. A stage takes some
polls, each of which bills tokens; a second job of one name is refused. Training leaves a model and a checkpoint, which
lie there until `POST /delete`. Stages begin with the base model of the moment, which `POST /base` replaces.

`POST /faults` plans mistakes for a kind of call (`submit`, `find`, `poll`, `cancel`, `result`, `delete`), one by one:

    throttle    429                         busy      503
    broken      500                         refuse    400, for good
    forbidden   403, for good               late      does it and answers after a while
    silent      does it and hangs up        hang      does nothing and hangs up after a while
    preempt     the stage is lost           overrun   the stage ends as stopped, for it took too long
    stop        somebody else stops it      wait      does nothing until `POST /release`
    idle        the stage gets no further
    expired     401, for as long as the caller's credentials are not renewed

A list may begin with `{"stage": ..., "after": n}` to spare n calls and all other stages. `POST /repair` forgets all.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.services.process import QuietHandler, serve

LATE_S = 0.6
"""How long an answer takes that is late; longer than the client waits."""

TOKENS = 100.0
"""What each poll of a running stage bills."""

ENDS = {"preempt": "preempted", "overrun": "overrun", "stop": "stopped"}
"""What becomes of a running stage by a mistake; one that is over is spared."""


@dataclass
class Stage:
    """A job, as this platform calls a stage."""

    name: str
    asked: dict[str, Any]
    base: str = "base/1"
    state: str = "running"
    why: str = ""
    polls: int = 0

    @property
    def handle(self) -> str:
        return f"platform:{self.name}"


@dataclass
class Answer:
    code: int
    body: dict[str, Any] = field(default_factory=dict)


class Platform:
    """All that the server knows; one caller at a time."""

    def __init__(self, folder: Path, length: int) -> None:
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.length = length
        self.jobs: dict[str, Stage] = {}
        self.base = "base/1"
        self.faults: dict[str, list[dict[str, Any]]] = {}
        self._ledger = folder / "ledger.jsonl"
        for line in self._ledger.read_text().splitlines() if self._ledger.exists() else ():
            self._replay(json.loads(line))

    def _replay(self, line: dict[str, Any]) -> None:
        if line["event"] == "taken":
            self.jobs[line["name"]] = Stage(name=line["name"], asked=line["asked"], base=line["base"])
        elif line["event"] == "ended":
            job = self.jobs[line["name"]]
            job.state, job.why, job.polls = line["state"], line["why"], line["polls"]

    def write(self, event: str, **details: Any) -> None:
        with self._ledger.open("a") as file:
            file.write(json.dumps({"event": event, "time": time.time(), **details}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def end(self, job: Stage, state: str, why: str = "") -> None:
        if job.state == "running":
            job.state, job.why = state, why
            self.write("ended", name=job.name, state=state, why=why, polls=job.polls)

    def fault(self, call: str, stage: str, job: Stage | None) -> str | None:
        """The mistake to make now, if any."""
        for planned in self.faults.get(call, []):
            if planned.get("stage") in (None, stage):
                if planned.get("after", 0) > 0:
                    planned["after"] -= 1
                    continue
                over = job is not None and job.state != "running"
                if planned["faults"] and not (over and planned["faults"][0] in ENDS):
                    return str(planned["faults"].pop(0))
        return None

    # What clients call

    def submit(self, asked: dict[str, Any]) -> Answer:
        name = asked.pop("name")
        if name in self.jobs:
            self.write("refused", name=name)
            return Answer(409, {"error": f"there is a job {name!r} already"})
        job = self.jobs[name] = Stage(name=name, asked=asked, base=self.base)
        self.write("taken", name=name, asked=asked, base=self.base)
        return Answer(201, {"handle": job.handle})

    def find(self, name: str) -> Answer:
        if name not in self.jobs:
            return Answer(404, {"error": f"no job {name!r}"})
        return Answer(200, {"handle": self.jobs[name].handle, "asked": self.jobs[name].asked})

    def poll(self, name: str, idle: bool) -> Answer:
        job = self.jobs[name]
        if job.state == "running" and not idle:
            job.polls += 1
            if job.polls >= self.length:
                self.end(job, "succeeded")
        steps = {"step": min(job.polls, self.length), "total": self.length}
        return Answer(200, {"state": job.state, "why": job.why, "cost": {"tokens": TOKENS * job.polls}, **steps})

    def cancel(self, name: str) -> Answer:
        self.end(self.jobs[name], "stopped", "it was asked to")
        return Answer(200)

    def result(self, name: str) -> Answer:
        job = self.jobs[name]
        if job.state != "succeeded":
            return Answer(404, {"error": f"job {name!r} has no result"})
        shares = job.asked["mixture"] or {}
        metrics = {f"{domain}/accuracy": 0.2 + 0.6 * shares.get(domain, 0.0) for domain in job.asked["tested"]}
        own = sum(shares.get(domain, 0.0) for domain in job.asked["tested"])
        metrics |= dict.fromkeys(job.asked["benchmarks"], 0.75 - 0.3 * own)
        trained = self.jobs.get(str(job.asked["model"]).partition(":")[2], job)
        artefacts = {"base_model": trained.base, **({"model": trained.handle} if trained is not job else {})}
        self.write("fetched", name=name)
        return Answer(200, {"metrics": metrics, "artefacts": artefacts})

    def delete(self, place: str) -> Answer:
        self.write("deleted", place=place)
        return Answer(200)


class Handler(QuietHandler):
    """One call."""

    platform: Platform

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name = parse_qs(url.query)["name"][0]
        platform = self.platform
        job = platform.jobs.get(name)
        stage = "" if job is None else job.asked["stage"]
        if url.path == "/find":
            self.make("find", stage, lambda: platform.find(name), job)
        elif url.path == "/poll":
            self.make("poll", stage, lambda idle=False: platform.poll(name, idle), job)
        else:
            self.make("result", stage, lambda: platform.result(name), job)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        platform = self.platform
        if self.path == "/faults":
            with platform.lock:
                platform.faults.setdefault(body.pop("call"), []).append(body)
            self.answer(Answer(200))
        elif self.path == "/repair":
            with platform.lock:
                platform.faults.clear()
            self.answer(Answer(200))
        elif self.path == "/base":
            platform.base = body["base"]
            self.answer(Answer(200))
        elif self.path == "/delete":
            self.make("delete", "", lambda: platform.delete(body["place"]), None)
        elif self.path == "/release":
            platform.released.set()
            self.answer(Answer(200))
        elif self.path == "/cancel":
            job = platform.jobs[body["name"]]
            self.make("cancel", job.asked["stage"], lambda: platform.cancel(job.name), job)
        else:
            self.make("submit", body["stage"], lambda: platform.submit(body), None)

    def make(self, call: str, stage: str, work: Any, job: Stage | None) -> None:
        """Does what was asked, with a mistake where one is planned."""
        platform = self.platform
        with platform.lock:
            fault = platform.fault(call, stage, job)
        refusals = {"throttle": 429, "busy": 503, "broken": 500, "refuse": 400, "forbidden": 403, "expired": 401}
        if fault in refusals:
            return self.answer(Answer(refusals[fault], {"error": f"{fault}, as planned"}))
        if fault == "wait":
            platform.released.wait()
        if fault == "hang":
            time.sleep(LATE_S)
            return None
        with platform.lock:
            if fault in ENDS:
                assert job is not None
                platform.end(job, ENDS[fault], fault)
            found: Answer = work(idle=True) if fault == "idle" else work()
        if fault == "late":
            time.sleep(LATE_S)
        if fault == "silent":
            return None
        return self.answer(found)

    def answer(self, answer: Answer) -> None:
        body = json.dumps(answer.body).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(answer.code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def main(folder: str, length: str = "3", port: str = "0") -> None:
    Handler.platform = Platform(Path(folder), int(length))
    serve(Path(folder), Handler, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
