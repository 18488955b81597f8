"""Where the command line shows text to people."""

from __future__ import annotations

import os
import sys

from rich.console import Console, RenderableType


class PlainConsole(Console):
    """Shows text as it is: names and messages come from users and trainers, and their brackets and colons mean nothing.

    A reader that goes away, as `head` does, ends nothing.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def show(self, renderable: RenderableType) -> None:
        """Prints a table whole: in a window that is too narrow its lines go on below."""
        whole = self.measure(renderable, options=self.options.update(max_width=10_000))
        self.width = max(self.width, whole.maximum)
        self.print(renderable)

    def say(self, text: str) -> None:
        """Prints a line, which is broken nowhere but at the window's end."""
        self.print(text, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Goes on without a reader."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if self.stderr else sys.stdout).fileno())
