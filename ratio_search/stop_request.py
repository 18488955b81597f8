"""What a running driver is asked from elsewhere: to stop, and to cancel what it has on a platform."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CANCEL_REMOTE = "cancel-remote"
"""What the file of a request says whose jobs are to be cancelled, too."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A request to stop, as a file that is there or not.

    Attributes:
        path: the file, in the study's folder.
    """

    path: Path

    def ask(self, *, cancel_remote: bool = False) -> None:
        """Asks the driver to stop.

        Args:
            cancel_remote: whether it is to cancel what runs on a platform; once asked, that stays asked.
        """
        if cancel_remote:
            self.path.write_text(CANCEL_REMOTE, encoding="ascii")
        else:
            self.path.touch()

    @property
    def cancels_remote(self) -> bool:
        """Whether what runs on a platform is to be cancelled."""
        try:
            return self.path.read_text(encoding="ascii") == CANCEL_REMOTE
        except (OSError, ValueError):
            return False
