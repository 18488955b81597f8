"""A recipe as Amazon Nova's data mixing takes it; what its formats have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from objectives.backends.sagemaker import SagemakerBackend
from objectives.backends.sagemaker.percentages import DECIMALS, Percentages
from objectives.backends.sagemaker.request import tuned
from objectives.base import Value
from objectives.two_level import fixed_point
from ratio_search.errors import StudyError
from ratio_search.formats.recipe_format import RecipeFormat
from ratio_search.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaRecipe:
    """A recipe, and what the service would be told of it.

    Attributes:
        recipe: the recipe.
        settings: of its objective, with the recipe's own hyperparameters.
        percentages: what the service is told of its mixture.
    """

    recipe: Recipe
    settings: SagemakerBackend
    percentages: Percentages

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Reads a recipe of objective `sagemaker`.

        Raises:
            SpecError: its study file cannot be used.
        """
        spec = recipe.spec
        settings = spec.backend.with_hyperparameters(recipe.hyperparameters)
        assert isinstance(settings, SagemakerBackend)
        return cls(recipe=recipe, settings=settings, percentages=Percentages.of(recipe.mixture, spec.domains))

    @property
    def customer(self) -> str:
        """Percentage of the team's own data, as a decimal."""
        return fixed_point(self.percentages.customer_tenths, DECIMALS)

    @property
    def categories(self) -> dict[str, str]:
        """Percentages of all of Nova's categories inside Nova's side, as decimals; without such data, none."""
        tenths = {**dict.fromkeys(self.settings.platform_categories, 0), **dict(self.percentages.categories)}
        return {name: fixed_point(units, DECIMALS) for name, units in tenths.items()}

    @property
    def hyperparameters(self) -> dict[str, Value]:
        """What the fine-tune is told beside its mix."""
        return tuned(self.settings)

    @property
    def own(self) -> str:
        """What the training file holds, in words."""
        return ", ".join(f"{name} {share:.1%}" for name, share in self.percentages.own.items())

    def mix_command(self, file: str) -> str:
        """The line that writes the training file.

        Args:
            file: the whole recipe's.
        """
        return f"ratio-search mix {file} --format converse --out train.jsonl"


class NovaFormat(RecipeFormat):
    """A format of Amazon Nova's.

    Attributes:
        MIXES: whether it is of no use to a recipe that mixes none of Nova's own data.
    """

    KINDS: ClassVar[frozenset[str] | None] = frozenset({"sagemaker"})
    MIXES: ClassVar[bool] = True

    def check(self, recipe: Recipe) -> None:
        """Checks that the recipe mixes Nova's own data, where the format is for that alone."""
        super().check(recipe)
        if self.MIXES and not NovaRecipe.of(recipe).percentages.categories:
            raise StudyError(
                f"format {self.NAME} states how Nova's own data is mixed in, and the recipe has none of it: its shares "
                f"are of {', '.join(recipe.shares)}; the whole request is format nova-job"
            )

    def remarks(self, recipe: Recipe, file: Path) -> tuple[str, ...]:
        """How the training file is made, which no format holds."""
        nova = NovaRecipe.of(recipe)
        return (f"the training file holds {nova.own}; it is written by `{nova.mix_command(str(file))}`",)

    def _text(self, recipe: Recipe) -> str:
        return self._nova_text(NovaRecipe.of(recipe))

    @abstractmethod
    def _nova_text(self, nova: NovaRecipe) -> str:
        """The text of a recipe of Amazon Nova."""
