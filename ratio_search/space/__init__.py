"""The mixtures that a study may try."""

from ratio_search.space.group import Group
from ratio_search.space.simplex import SAME, SimplexSpace, check_grid
from ratio_search.space.two_level import RoundedTwoLevel, Side, TwoLevel

__all__ = ["SAME", "Group", "RoundedTwoLevel", "Side", "SimplexSpace", "TwoLevel", "check_grid"]
