"""What a study's data was when it began: sizes, and hashes of the content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from objectives.data import read_rows
from objectives.errors import DataError
from ratio_search.spec import StudySpec

SPLITS = ("train", "test", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of every data file of a study.

    Attributes:
        files: domain to split to the SHA-256 of each of its files, in order.
        rows: domain to split to its number of rows.
    """

    files: Mapping[str, Mapping[str, tuple[str, ...]]]
    rows: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """Reads and checks all data of a study, and that its metrics can be measured on it.

        Raises:
            DataError: a file cannot be used; the message names the domain's key in the study file.
            SpecError: a metric cannot be measured on these rows.
        """
        files: dict[str, dict[str, tuple[str, ...]]] = {}
        rows: dict[str, dict[str, int]] = {}
        tests = {}
        for domain in spec.domains:
            files[domain.name], rows[domain.name] = {}, {}
            for split, paths in zip(SPLITS, (domain.train, domain.test, domain.final), strict=True):
                if not paths:
                    continue
                try:
                    found = read_rows(paths)
                except DataError as error:
                    raise DataError(f"domains.{domain.name}.{split}: {error}") from error
                files[domain.name][split] = tuple(_sha256(path) for path in paths)
                rows[domain.name][split] = len(found)
                if split == "test":
                    tests[domain.name] = found
        spec.check_produced(tests)
        return cls(files=files, rows=rows)

    @property
    def train_rows(self) -> dict[str, int]:
        """Rows to train on, per mixed domain."""
        return {name: splits["train"] for name, splits in self.rows.items() if "train" in splits}

    @property
    def identity(self) -> dict[str, Any]:
        """The hashes that results depend on: train and test, not the final split."""
        return {
            name: {split: list(hashes) for split, hashes in splits.items() if split != "final"}
            for name, splits in self.files.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data."""
        return {
            "files": {
                name: {split: list(hashes) for split, hashes in splits.items()} for name, splits in self.files.items()
            },
            "rows": {name: dict(splits) for name, splits in self.rows.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The manifest that `to_json` wrote."""
        return cls(
            files={
                name: {split: tuple(hashes) for split, hashes in splits.items()}
                for name, splits in data["files"].items()
            },
            rows=data["rows"],
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
