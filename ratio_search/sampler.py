"""Where a study looks next: an Optuna sampler whose parameters are the shares themselves.

The anchors come first, then mixtures that fill the space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from objectives.mixture import Mixture
from ratio_search.anchors import Anchor
from ratio_search.space import SAME, SimplexSpace

ORIGIN = "origin"
"""Trial attribute: why a mixture was proposed. A trial without it was never meant to be run."""

CANDIDATES = 512
"""Mixtures to choose the next one from, and mixtures that stand for the whole space."""

_SHARE = "share/"
_REFERENCE_STREAM, _CANDIDATE_STREAM = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A mixture to try.

    Attributes:
        mixture: what to train on.
        origin: why: `anchor:<name>`, or `space-filling`.
    """

    mixture: Mixture
    origin: str


class SimplexSampler(optuna.samplers.BaseSampler):
    """Proposes points of the simplex, one Optuna parameter `share/<domain>` for each share.

    A proposal follows from the seed and from the trials before it, so that a resumed study proposes what it would
    have proposed. Trials that failed count as tried; those that were never meant to be run do not.

    Attributes:
        forgiven: numbers of failed trials whose cause may be gone by now, so that an anchor among them is tried again.
    """

    def __init__(self, space: SimplexSpace, *, anchors: Sequence[Anchor], seed: int) -> None:
        """Prepares a sampler.

        Args:
            space: the mixtures that may be tried.
            anchors: what to try first, in order.
            seed: of all draws.
        """
        self._space = space
        self._anchors = tuple(anchors)
        self._seed = seed
        self.forgiven: frozenset[int] = frozenset()
        self._proposals: dict[int, Proposal] = {}

    def suggest(self, trial: optuna.Trial) -> str:
        """Makes a new trial of a study with this sampler take its proposal; why this one, as its origin."""
        for name in self._space.names:
            trial.suggest_float(f"{_SHARE}{name}", 0, 1)
        return self._proposals.pop(trial.number).origin

    def propose(self, earlier: Iterable[FrozenTrial]) -> Proposal:
        """The next mixture to try.

        Args:
            earlier: the trials before it, in any state.
        """
        names = self._space.names
        tried = {trial.number: shares_of(trial, names) for trial in earlier if ORIGIN in trial.user_attrs}
        settled = [mixture for number, mixture in tried.items() if number not in self.forgiven]
        for anchor in self._anchors:
            if all(anchor.mixture.distance(mixture) > SAME for mixture in settled):
                return Proposal(mixture=anchor.mixture, origin=f"anchor:{anchor.name}")
        shares = np.array([mixture.shares for mixture in tried.values()]).reshape(len(tried), len(names))
        return Proposal(mixture=self._space.mixture(self._between(shares)), origin="space-filling")

    def _between(self, tried: NDArray[np.float64]) -> NDArray[np.float64]:
        """The candidate that is near to the space as a whole and far from what was tried.

        One greedy step of support points (Mak and Joseph, "Support points", Annals of Statistics 46, 2018): they
        fill the inside as well as the edges, where points that only keep apart would crowd. Distances are
        Hellinger's, between square roots of shares, in which half a per cent of a rare domain is a step.

        Args:
            tried: shares, (n_tried, n_domains).
        """
        whole = self._space.sample(CANDIDATES, np.random.default_rng([self._seed, _REFERENCE_STREAM]))
        rng = np.random.default_rng([self._seed, _CANDIDATE_STREAM, len(tried)])
        candidates = self._space.sample(CANDIDATES, rng)
        energy = _distances(candidates, whole).mean(axis=1)
        energy -= _distances(candidates, tried).sum(axis=1) / (len(tried) + 1)
        best: NDArray[np.float64] = candidates[int(energy.argmin())]
        return best

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All shares, from the first trial on; their bounds are the space's affair."""
        return {f"{_SHARE}{name}": FloatDistribution(0, 1) for name in self._space.names}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The shares of the trial's proposal."""
        earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
        made = self._proposals[trial.number] = self.propose(earlier)
        return {f"{_SHARE}{name}": share for name, share in made.mixture.items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never right for a share: drawn alone, shares would not sum to 1."""
        raise AssertionError(f"{param_name} is no share of {', '.join(self._space.names)}")


def shares_of(trial: FrozenTrial, names: Sequence[str]) -> Mixture:
    """The mixture that a trial's parameters hold."""
    return Mixture.of({name: trial.params[f"{_SHARE}{name}"] for name in names})


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hellinger distances, up to a factor, between the rows of two arrays of shares, (n_a, n_b)."""
    affinity = np.sqrt(np.clip(a, 0, None)) @ np.sqrt(np.clip(b, 0, None)).T
    distances: NDArray[np.float64] = np.sqrt(np.clip(2 - 2 * affinity, 0, None))
    return distances
