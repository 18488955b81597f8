"""How the benchmarks read lists from their command lines."""

from __future__ import annotations

from .problems import Noise


def numbers(text: str) -> list[int]:
    """Whole numbers, separated by commas."""
    return [int(part) for part in text.split(",")]


def noises(text: str) -> list[Noise]:
    """Levels of noise, separated by commas."""
    return [Noise(part) for part in text.split(",")]
