from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ratio_search.interrupt import SIGNALS, Interrupt

PROGRAM = """
import signal
import sys
import time
from ratio_search.interrupt import Interrupt
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
with Interrupt() as interrupt:
    print("ready", flush=True)
    try:
        while interrupt.received is None:
            time.sleep(0.01)
        print(interrupt.received.name, interrupt.exit_code, flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("ended at once", flush=True)
        sys.stdin.read()
print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before, flush=True)
raise SystemExit(interrupt.exit_code)
"""


@pytest.mark.parametrize("ignored", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_asks_and_the_second_ends_at_once(number: signal.Signals, code: int, ignored: bool) -> None:
    """A shell starts a script's background processes with SIGINT ignored."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else signal.getsignal(signal.SIGINT)
    try:
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    assert program.stdin is not None and program.stdout is not None
    with program:
        try:
            assert program.stdout.readline() == "ready\n"
            program.send_signal(number)
            assert program.stdout.readline() == f"{number.name} {code}\n"
            for _ in range(3):  # the third and fourth are no news
                program.send_signal(number)
            program.stdin.close()
            assert program.stdout.read().splitlines() == ["ended at once", "True"]
        finally:
            program.kill()
    assert program.returncode == code


KEPT = """
import time
from ratio_search.interrupt import Interrupt

class Slow:
    def __del__(self):
        print("going", flush=True)
        time.sleep(60)

with Interrupt() as interrupt:
    print("ready", flush=True)
    while interrupt.received is None:
        time.sleep(0.01)
    try:
        Slow()
        time.sleep(60)
    except KeyboardInterrupt:
        print("ended at once", flush=True)
"""


def test_a_second_signal_that_a_finalizer_keeps_comes_again() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", KEPT],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    with program:
        try:
            for said in ("ready\n", "going\n"):
                assert program.stdout.readline() == said
                program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=30)
        finally:
            program.kill()
    assert (out, err, program.returncode) == ("ended at once\n", "", 0)


def test_without_a_signal_there_is_no_exit_code_and_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupt() as interrupt:
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert (interrupt.received, interrupt.exit_code) == (None, None)


def test_the_handlers_are_put_back_after_an_error() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ZeroDivisionError), Interrupt():
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_inside_reaches_nobody_else() -> None:
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
    assert (interrupt.received, interrupt.exit_code) == (signal.SIGTERM, 143)
