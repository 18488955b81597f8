"""The mixtures that a study may try."""

from ratio_search.space.group import Group
from ratio_search.space.simplex import SAME, SimplexSpace, check_grid

__all__ = ["SAME", "Group", "SimplexSpace", "check_grid"]
