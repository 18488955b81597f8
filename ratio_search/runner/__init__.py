"""Runs attempts: in this process, in others (`processes`), on Ray, on a platform (`remote`); those load when wanted."""

from ratio_search.runner.runner import Report, Runner
from ratio_search.runner.serial import SerialRunner

__all__ = ["Report", "Runner", "SerialRunner"]
