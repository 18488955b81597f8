"""A way to write recipes down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from objectives.attempt import write_whole
from ratio_search.errors import SelectionError, StudyError
from ratio_search.formats import Format
from ratio_search.recipe import Recipe


class RecipeFormat(ABC):
    """Writes recipes as the text of a file, always the same one.

    Attributes:
        NAME: what it is called.
        PURPOSE: what it is for, in one line.
        ENDING: of its files' names.
        KINDS: of objectives whose recipes it can hold; None for all.
        WHOLE: whether it holds all of a recipe, so that `Recipe.load` reads it. Where it does not, the recipe is kept
            beside it.
    """

    NAME: ClassVar[Format]
    PURPOSE: ClassVar[str]
    ENDING: ClassVar[str]
    KINDS: ClassVar[frozenset[str] | None] = None
    WHOLE: ClassVar[bool] = False

    def write(self, recipe: Recipe) -> str:
        """A recipe as the text of a file, which ends with a newline.

        Raises:
            StudyError: the format cannot hold it; the message says which can.
            SpecError: the recipe's study file cannot be used.
        """
        self.check(recipe)
        return self._text(recipe)

    def listed(self, recipes: Sequence[Recipe]) -> str:
        """Several recipes as one text, in order.

        Raises:
            SelectionError: a file of this format holds one.
        """
        raise SelectionError(
            f"one file of format {self.NAME} holds one recipe, found {len(recipes)}; name a file with --out, of which "
            "each recipe gets a numbered one, or select one recipe"
        )

    def remarks(self, recipe: Recipe, file: Path) -> tuple[str, ...]:
        """What is left to do before the text can be used, a line for each thing.

        Args:
            recipe: that was written.
            file: where the whole recipe is kept.
        """
        return ()

    def save(self, recipe: Recipe, path: Path) -> None:
        """Writes a recipe into a file, which appears complete or not at all.

        Raises:
            StudyError: the format cannot hold it, or the file cannot be written.
            SpecError: the recipe's study file cannot be used.
        """
        text = self.write(recipe)
        try:
            if path.exists() and not path.is_file():  # a device or a pipe, which nothing may stand in for
                path.write_text(text, encoding="utf-8")
            else:
                write_whole(path, text)
        except OSError as error:
            raise StudyError(f"{path}: cannot be written ({error.strerror}); choose another file") from error

    def check(self, recipe: Recipe) -> None:
        """Checks that the format can hold a recipe of its objective.

        Raises:
            StudyError: it cannot; the message says which formats can.
            SpecError: the recipe's study file cannot be used.
        """
        if self.KINDS is None:
            return
        kind = recipe.spec.backend.kind
        if kind not in self.KINDS:
            fitting = [other for other in Format if _fits(other.load(), kind)]
            raise StudyError(
                f"format {self.NAME} is for recipes of objective {' or '.join(sorted(self.KINDS))}, and this one is of "
                f"objective {kind!r}; formats for it are {', '.join(fitting)}"
            )

    @abstractmethod
    def _text(self, recipe: Recipe) -> str:
        """The text of a recipe that the format can hold."""


def _fits(format_: RecipeFormat, kind: str) -> bool:
    return format_.KINDS is None or kind in format_.KINDS
