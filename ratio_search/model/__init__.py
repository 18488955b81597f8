"""What trials lead to believe of all mixtures: points, evidence, and a model of each metric."""

from ratio_search.model.evidence import Evidence
from ratio_search.model.learner import Learner
from ratio_search.model.points import Points, PointSpace
from ratio_search.model.surrogate import EXPERTS, Forecast, Surrogate
from ratio_search.model.threads import one_thread

__all__ = ["EXPERTS", "Evidence", "Forecast", "Learner", "PointSpace", "Points", "Surrogate", "one_thread"]
