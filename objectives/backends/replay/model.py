"""A model of one metric over all mixtures, fitted to a table of runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from threadpoolctl import threadpool_limits

from objectives.metrics import KINDS, Comparison

Array = NDArray[np.float64]

PROCESS_TO = 500
"""Runs up to which the model is a Gaussian process; its costs grow with their number cubed. Above, it is trees."""

FIT_AT_MOST = 160
"""Runs that the process's length scales are found by; they are stated in no more detail by more."""

FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """On which scale a metric is modelled and disturbed: losses and perplexities on that of logarithms.

    Attributes:
        logarithmic: whether on that of logarithms.
        upper: largest possible value; None where there is no limit. The smallest is 0 where there is one.
        spread: standard deviation of the table's values on the scale.
    """

    logarithmic: bool
    upper: float | None
    spread: float

    @classmethod
    def of(cls, name: str, values: Array) -> Self:
        """The scale of a metric, by its name and its values, (n,)."""
        kind = KINDS.get(name.rpartition("/")[2])
        ratio = kind is not None and kind.comparison is Comparison.LOG_RATIO
        logarithmic = ratio and bool((values > 0).all())
        fits = kind is not None and kind.upper is not None and bool(((values >= 0) & (values <= kind.upper)).all())
        y = np.log(values) if logarithmic else values
        spread = float(y.std())
        # Differences that are rounding are none.
        spread = spread if spread > 1e-9 * max(1.0, float(np.abs(y).max())) else 0.0
        return cls(logarithmic=logarithmic, upper=kind.upper if kind is not None and fits else None, spread=spread)

    def there(self, values: Array) -> Array:
        """Values on this scale."""
        return np.log(values) if self.logarithmic else values

    def back(self, value: float) -> float:
        """The metric's value at a place on this scale, or the nearest that is possible."""
        if self.logarithmic:
            # A logarithm that is far off must not become infinite.
            return float(np.exp(np.clip(value, -700, 700)))
        return value if self.upper is None else min(max(value, 0.0), self.upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricModel:
    """What a metric is expected to be.

    Up to `PROCESS_TO` runs, a Gaussian process with a Matern 5/2 kernel that has a length scale for each domain, and
    noise (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006); above, extremely randomised trees
    (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006).

    Attributes:
        regressor: fitted to the values on their scale.
        scale: of the values.
        explained: R2 of the values in parts of the table that were held out in turn; the process's length scales come
            from all of it. None where the metric has one value only.
    """

    regressor: Any
    scale: Scale
    explained: float | None

    @classmethod
    def fit(cls, x: Array, values: Array, scale: Scale) -> Self:
        """Fits the model of a metric.

        Args:
            x: square roots of shares, (n, n_domains), n >= FOLDS.
            values: what was measured, (n,).
            scale: of these.
        """
        y = scale.there(values)
        # Threads for matrices as small as these wait for each other far longer than they compute.
        with threadpool_limits(1):
            regressor = _process(x, y) if len(y) <= PROCESS_TO else _trees().fit(x, y)
            explained = _explained(regressor, x, y) if scale.spread else None
        return cls(regressor=regressor, scale=scale, explained=explained)

    def value(self, x: Array, off: float = 0.0) -> float:
        """The metric at a mixture.

        Args:
            x: square roots of its shares, (n_domains,).
            off: how many spreads beside the expected value.
        """
        return self.scale.back(float(self.regressor.predict(x[None])[0]) + off * self.scale.spread)


def _process(x: Array, y: Array) -> GaussianProcessRegressor:
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(x.shape[1], 0.5), (0.05, 20.0), nu=2.5)
    kernel += WhiteKernel(0.05, (1e-6, 1.0))
    few = np.linspace(0, len(y) - 1, min(len(y), FIT_AT_MOST)).round().astype(int)
    with warnings.catch_warnings():
        # A domain that a metric does not depend on has no length scale to be found.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(x[few], y[few])
        return _known(found).fit(x, y)


def _known(process: GaussianProcessRegressor) -> GaussianProcessRegressor:
    """A process that has the length scales of another one, fitted to nothing yet."""
    return GaussianProcessRegressor(process.kernel_, optimizer=None, normalize_y=True)


def _trees() -> ExtraTreesRegressor:
    return ExtraTreesRegressor(n_estimators=200, min_samples_leaf=2, random_state=0)


def _explained(regressor: Any, x: Array, y: Array) -> float:
    fresh = _known(regressor) if isinstance(regressor, GaussianProcessRegressor) else clone(regressor)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    return float(r2_score(y, cross_val_predict(fresh, x, y, cv=folds)))
