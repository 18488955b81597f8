"""A request to stop, as a file."""

from __future__ import annotations

from pathlib import Path

from ratio_search.stop_request import StopRequest


def test_to_cancel_is_asked_for_and_stays_asked(tmp_path: Path) -> None:
    request = StopRequest(tmp_path / "stop")
    assert not request.cancels_remote
    request.ask()
    assert request.path.exists() and not request.cancels_remote
    request.ask(cancel_remote=True)
    assert request.cancels_remote
    request.ask()
    assert request.cancels_remote


def test_what_else_is_in_the_file_cancels_nothing(tmp_path: Path) -> None:
    request = StopRequest(tmp_path / "stop")
    request.path.write_bytes(b"\xff cancel-remote")
    assert not request.cancels_remote
