"""What was settled when a study began, and must still hold when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ratio_search.errors import StudyError
from ratio_search.identity import identity_of
from ratio_search.manifest import Manifest
from ratio_search.repetition import possible_space
from ratio_search.spec import StudySpec

FORMAT = 2
"""Version of a study's folder; one of another version is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """What was settled when a study began.

    Attributes:
        root: folder that the study file's relative paths refer to.
        identity: all that results depend on.
        manifest: the data, by size and hash.
        mark: a word that no other study has; None before it is made, and of one that was made before there were marks.
    """

    root: Path
    identity: Mapping[str, Any]
    manifest: Manifest
    mark: str | None = None

    @classmethod
    def of(cls, spec: StudySpec) -> Self:
        """Looks through all data of a study.

        Raises:
            DataError, SpecError: the study's data cannot be used.
        """
        manifest = Manifest.of(spec)
        possible_space(spec, manifest)
        return cls(root=spec.root, identity=identity_of(spec, manifest), manifest=manifest)

    def to_json(self) -> dict[str, Any]:
        """The charter as plain data."""
        return {
            "format": FORMAT,
            "mark": self.mark,
            "root": str(self.root),
            "identity": dict(self.identity),
            "data": self.manifest.to_json(),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The charter that `to_json` wrote.

        Raises:
            StudyError: it is none, or of another version.
        """
        if isinstance(data, Mapping) and data.get("format", FORMAT) != FORMAT:
            raise StudyError(
                f"written in format {data['format']!r}, expected {FORMAT}; open it with the version of ratio-search "
                "that made it"
            )
        try:
            manifest = Manifest.from_json(data["data"])
            return cls(
                root=Path(data["root"]), identity=dict(data["identity"]), manifest=manifest, mark=data.get("mark")
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StudyError(f"is not what a study writes ({error!r}); restore it from a copy") from error
