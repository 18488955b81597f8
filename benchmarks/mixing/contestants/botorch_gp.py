"""BoTorch on the shares themselves: its default Gaussian process, and noisy expected improvement under the sum.

Ax has no contestant: its public client refuses equality constraints, and without the last share it is another space.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models.gp_regression import SingleTaskGP
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.models.transforms import Standardize
from botorch.optim.optimize import optimize_acqf
from gpytorch.mlls import SumMarginalLogLikelihood  # type: ignore[import-untyped]
from torch import Tensor

from objectives.scorer import BalanceKind

from ..problems import Floats, Task
from .base import START, History, Maker, Setting
from .random_search import RandomSearch

RESTARTS, RAW = 4, 128


class BoTorch:
    """Random mixtures first, then the point of the highest qLogNEI; the best tried mixture by the model's mean is it.

    `composite` models each metric and makes the score of the samples (Astudillo and Frazier, "Bayesian optimization of
    composite functions", ICML 2019); otherwise the score itself is modelled.
    """

    def __init__(self, setting: Setting, *, composite: bool) -> None:
        self.task = setting.task
        self.seed = setting.seed
        self.composite = composite
        self.start = RandomSearch(setting)

    def ask(self, history: History, pending: Floats) -> Floats:
        """The maximum of the acquisition function over the simplex."""
        number = len(history) + len(pending)
        if number < START:
            return self.start.ask(history, pending)
        domains = len(self.task.domains)
        with warnings.catch_warnings(action="ignore"), torch.random.fork_rng():
            torch.manual_seed(self.seed * 10_007 + number)
            acquisition = qLogNoisyExpectedImprovement(
                model=self._fitted(history),
                X_baseline=torch.from_numpy(history.shares),
                X_pending=torch.from_numpy(pending) if len(pending) else None,
                objective=GenericMCObjective(self._scores),
                prune_baseline=True,
            )
            found, _ = optimize_acqf(
                acquisition,
                bounds=torch.stack([torch.zeros(domains), torch.ones(domains)]).double(),
                q=1,
                num_restarts=RESTARTS,
                raw_samples=RAW,
                equality_constraints=[(torch.arange(domains), torch.ones(domains).double(), 1.0)],
            )
        shares: Floats = np.clip(found[0].numpy(), 0, None)
        return shares

    def recommend(self, history: History) -> Floats:
        """The best tried mixture by the mean score of the model's samples."""
        with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            with torch.enable_grad():
                model = self._fitted(history)
            samples = model.posterior(torch.from_numpy(history.shares)).rsample(torch.Size([512]))
            best = int(self._scores(samples).mean(dim=0).argmax())
        shares: Floats = history.shares[best]
        return shares

    def _fitted(self, history: History) -> ModelListGP:
        """Gaussian processes of the gains, or of the score."""
        gains = self.task.gains(history.values)
        targets = gains if self.composite else self.task.balanced(gains)[:, None]
        shares = torch.from_numpy(history.shares)
        models = [
            SingleTaskGP(shares, torch.from_numpy(np.ascontiguousarray(column)), outcome_transform=Standardize(m=1))
            for column in np.split(targets, targets.shape[1], axis=1)
        ]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        return model

    def _scores(self, gains: Tensor, X: Tensor | None = None) -> Tensor:
        """The scores of sampled gains, (..., n_modelled)."""
        return _balanced(self.task, gains)


def _balanced(task: Task, gains: Tensor) -> Tensor:
    return gains.amin(dim=-1) if task.balance is BalanceKind.WORST else gains.mean(dim=-1)


def scalar(setting: Setting) -> BoTorch:
    """One process, of the score."""
    return BoTorch(setting, composite=False)


def composite(setting: Setting) -> BoTorch:
    """One process for each metric."""
    return BoTorch(setting, composite=True)


MAKERS: dict[str, Maker] = {"botorch": scalar, "botorch-composite": composite}
