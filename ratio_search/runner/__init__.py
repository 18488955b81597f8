"""Runs a study's attempts: in this process, on Ray (`on_ray`, imported only where it is wanted)."""

from ratio_search.runner.runner import Report, Runner
from ratio_search.runner.serial import SerialRunner

__all__ = ["Report", "Runner", "SerialRunner"]
