"""The hub is played by a server on this machine, and spoken to by the hub's own client."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOKENIZER = """
import sys
from objectives.backends.hf.hub import cached_tokenizer
print(cached_tokenizer(sys.argv[1]))
"""

ASK = """
import sys
from objectives.backends.hf.hub import unavailable
print(unavailable(sys.argv[1]))
"""


class Hub(ThreadingHTTPServer):
    """Has one model, guards another, and knows no more."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.removeprefix("/").partition("/resolve/")[0]
        status, code = {"team/model": (200, ""), "team/gated": (403, "GatedRepo")}.get(name, (404, "RepoNotFound"))
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"about {name}")
        else:
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", '"abc"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(name: str, cache: Path, code: str = ASK, **environment: str) -> str:
    """What a new process finds out: the client reads its settings once."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        env={**inherited, "HF_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_model_that_the_hub_has_is_asked_for_once(hub: Hub, tmp_path: Path) -> None:
    assert ask("team/model", tmp_path, HF_ENDPOINT=hub.url) == "None"
    assert hub.asked == ["/team/model/resolve/main/config.json"]


@pytest.mark.parametrize(("name", "reason"), [("team/gated", "403"), ("team/unknown", "404")])
def test_one_that_it_does_not_give_is_asked_for_once_too(hub: Hub, tmp_path: Path, name: str, reason: str) -> None:
    found = ask(name, tmp_path, HF_ENDPOINT=hub.url)
    assert found.startswith(f"{hub.url} does not give it: ")
    assert reason in found
    assert len(hub.asked) == 1


def test_a_hub_that_cannot_be_reached_is_not_tried_again(tmp_path: Path) -> None:
    found = ask("team/model", tmp_path, HF_ENDPOINT="http://127.0.0.1:1")
    assert found.startswith("http://127.0.0.1:1 does not give it: ")
    assert "refused" in found


def keep(cache: Path, file: str, commit: str = "1") -> Path:
    """Puts a file of team/other into the hub's cache."""
    folder = cache / "hub" / "models--team--other"
    kept = folder / "snapshots" / commit / file
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("{}")
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return kept


def test_a_cached_model_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    keep(tmp_path, "config.json")
    assert ask("team/other", tmp_path, HF_ENDPOINT=hub.url) == "None"
    assert ask("team/other", tmp_path, HF_HUB_OFFLINE="1") == "None"
    assert hub.asked == []


def test_offline_the_hub_is_not_asked(hub: Hub, tmp_path: Path) -> None:
    assert ask("team/model", tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1").startswith("HF_HUB_OFFLINE forbids")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["a/b/c", "no spaces", "-"])
def test_what_can_be_no_name_is_not_asked_for(hub: Hub, tmp_path: Path, name: str) -> None:
    assert ask(name, tmp_path, HF_ENDPOINT=hub.url) == "it cannot be the name of a model on the hub"
    assert hub.asked == []


def test_a_tokenizer_is_found_in_the_cache_only(hub: Hub, tmp_path: Path) -> None:
    keep(tmp_path, "config.json")
    for name in ("team/other", "team/model", "team/unknown", "a hub never allows: this"):
        assert ask(name, tmp_path, TOKENIZER, HF_ENDPOINT=hub.url) == "None"
    file = keep(tmp_path, "tokenizer_config.json")
    assert ask("team/other", tmp_path, TOKENIZER, HF_ENDPOINT=hub.url) == str(file.parent)
    assert hub.asked == []
