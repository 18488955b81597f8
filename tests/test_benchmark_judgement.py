"""What the benchmark of judgement measures with: its guards, its rates, and how a study's word meets the truth."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mixing.judging.cases import CONFIDENCE, Case, best_for_others, cases
from benchmarks.mixing.judging.figures import Rate, figures, markdown, reliability
from benchmarks.mixing.judging.plays import Kept, Outcome, Said, best_tried, play
from benchmarks.mixing.judging.truth import Guard, Judged, judged
from benchmarks.mixing.judging.verdicts import CANDIDATES, REPLICATES, Claim, claims
from benchmarks.mixing.problems import Noise, random_mixtures
from benchmarks.mixing.regret import Yardstick
from objectives.scorer import BalanceKind

GUARDED = cases(law_seed=1, sizes=(3, 5), draws=1, seeds=1, noise=Noise.MEDIUM, trials=8, guarded=True)
PLAIN = cases(law_seed=1, sizes=(3, 5), draws=1, seeds=1, noise=Noise.MEDIUM, trials=8, guarded=False)


def outcome(case: Case, shares: tuple[float, ...], *, off: float = 0.0, width: float = 0.1) -> Outcome:
    """What a study might say: the truth, and `off` more of each metric, in intervals of a half-width."""
    truth = case.problem.truth([shares])[0].tolist()
    said = [Said(value=v + off, low=v + off - width, high=v + off + width, holds=0.8) for v in truth]
    tried = np.concatenate([[shares], random_mixtures(len(shares), 4)])
    return Outcome(
        key="",
        case=case.name,
        shares=shares,
        said=tuple(said),
        score=float(case.problem.true_score([shares])[0]) + off,
        tried=tuple(map(tuple, tried.tolist())),
        measured=tuple(map(tuple, case.problem.truth(tried).tolist())),
    )


@pytest.mark.parametrize("case", GUARDED, ids=lambda case: case.name)
def test_a_guard_is_broken_by_what_is_best_for_the_others_and_kept_clearly_by_many(case: Case) -> None:
    k = case.guarded
    assert k is not None
    metric = case.task.metrics[k]
    assert (metric.weight, metric.confidence) == (0, CONFIDENCE)
    assert [m.weight for m in np.delete(np.array(case.task.metrics, dtype=object), k)] == [1] * (
        len(case.task.metrics) - 1
    )
    assert case.bites
    assert not case.holds(best_for_others(case.problem, k))
    kept = [case.holds(shares) for shares in random_mixtures(len(case.task.domains), 400)]
    assert np.mean(kept) > 0.2


def test_cases_are_unique_and_differ_where_what_is_told_or_measured_does() -> None:
    different = [*GUARDED, *PLAIN, replace(PLAIN[0], seed=1), replace(PLAIN[0], trials=9)]
    assert len({case.digest for case in different}) == len(different)
    assert len({case.name for case in [*GUARDED, *PLAIN]}) == len(GUARDED) + len(PLAIN)


def test_a_study_says_the_same_when_it_is_played_again_and_is_kept(tmp_path: Path) -> None:
    first = play(GUARDED[0])
    assert play(GUARDED[0]) == first
    assert len(first.tried) == len(first.measured) == GUARDED[0].trials
    kept = Kept(file=tmp_path / "kept.jsonl")
    kept.add(first)
    assert kept.read() == {first.key: first}
    yardstick = Yardstick.of(GUARDED[0].problem, tmp_path)
    [guard] = [judged(GUARDED[0], first, yardstick).guard]
    assert guard is not None
    assert guard.holds == GUARDED[0].holds(np.array(first.shares))


def test_truth_within_an_interval_is_covered_and_beyond_it_is_not(tmp_path: Path) -> None:
    case = PLAIN[0]
    yardstick = Yardstick.of(case.problem, tmp_path)
    uniform = (1 / 3, 1 / 3, 1 / 3)
    right = judged(case, outcome(case, uniform), yardstick)
    wrong = judged(case, outcome(case, uniform, off=0.2), yardstick)
    assert all(right.covered)
    assert right.missed == pytest.approx([0] * len(right.missed), abs=1e-9)
    assert right.promised == pytest.approx(0)
    assert not any(wrong.covered)
    assert wrong.promised > 0
    # Higher than the truth by two half-widths, of which each is 1.64 standard deviations.
    straight = [k for k, log in enumerate(case.task.log) if not log]
    assert [abs(wrong.missed[k]) for k in straight] == pytest.approx([2 * 1.6449] * len(straight), rel=1e-3)


def test_losses_are_told_from_the_best_mixture(tmp_path: Path) -> None:
    case = PLAIN[1]
    yardstick = Yardstick.of(case.problem, tmp_path)
    found = judged(case, outcome(case, yardstick.shares), yardstick)
    assert found.loss == found.loss_best == pytest.approx(0, abs=1e-9)
    lucky = outcome(case, yardstick.shares)
    better = 2 * np.abs(case.task.units) * np.sign(case.task.units)
    lucky = replace(lucky, measured=(*lucky.measured[:-1], tuple((np.array(lucky.measured[-1]) + better).tolist())))
    np.testing.assert_array_equal(best_tried(case, lucky), lucky.tried[-1])


def test_claims_are_right_where_the_winner_truly_is_the_better_one(tmp_path: Path) -> None:
    [case] = [one for one in PLAIN if one.task.balance is BalanceKind.WEIGHTED and len(one.task.domains) == 3]
    # Without noise to speak of, nobody is mistaken.
    case = replace(case, problem=replace(case.problem, spread=tuple(1e-9 for _ in case.problem.spread)))
    found = claims(case, outcome(case, Yardstick.of(case.problem, tmp_path).shares))
    assert len(found) == CANDIDATES * len(REPLICATES)
    assert all(claim.right and claim.stated > 0.99 for claim in found)
    assert sum(not claim.candidate for claim in found) == len(REPLICATES)


def study(noise: Noise, *, covered: tuple[bool, ...], guard: Guard | None = None, loss: float = 0.1) -> Judged:
    return Judged(
        noise=str(noise),
        covered=covered,
        missed=tuple(0.5 for _ in covered),
        guard=guard,
        loss=loss,
        loss_best=0.2,
        promised=0.0,
        promised_best=0.3,
    )


def test_figures_count_by_noise_and_tell_guards_from_none() -> None:
    found = figures(
        [
            study(Noise.LOW, covered=(True, True, False)),
            study(Noise.LOW, covered=(True,), guard=Guard(stated=0.95, holds=True, bites=True)),
            study(Noise.LOW, covered=(True,), guard=Guard(stated=0.6, holds=False, bites=False)),
            study(Noise.HIGH, covered=(False,), loss=0.3),
        ]
    )
    assert found["coverage_low"] == pytest.approx(0.8)
    assert (found["coverage_low_of"], found["coverage_high"], found["studies_low"]) == (5, 0, 3)
    assert found["coverage_plain_low"] == pytest.approx(2 / 3)
    assert (found["guards_low"], found["guards_sure_low"], found["guards_sure_low_of"]) == (0.5, 1, 1)
    assert found["guards_stated_low"] == pytest.approx(0.775)
    assert found["loss_ratio_low"] == pytest.approx(0.5)
    assert found["loss_ratio_high"] == pytest.approx(1.5)
    assert found["miss_sd_high"] == pytest.approx(0.5)
    assert not [name for name in found if "medium" in name]
    assert "0.800 ± " in markdown(found)


def test_reliability_sets_what_is_stated_beside_what_is_so() -> None:
    found = reliability(
        [
            Claim(noise="low", stated=0.85, candidate=True, right=True),
            Claim(noise="low", stated=0.83, candidate=True, right=False),
            Claim(noise="high", stated=1.0, candidate=False, right=True),
        ]
    )
    assert (found["verdict_80_90"], found["verdict_80_90_of"]) == (0.5, 2)
    assert found["verdict_80_90_stated"] == pytest.approx(0.84)
    assert (found["verdict_99_100"], found["verdict_anchors"], found["verdict_candidates"]) == (1, 1, 0.5)
    assert "verdict_50_70" not in found
    assert "| stated 80% to 90% | 2 | 0.840 | 0.500" in markdown(found)


def test_the_error_of_a_rate_is_binomial_and_never_none() -> None:
    assert Rate(hits=90, of=100).error == pytest.approx(math.sqrt(0.9 * 0.1 / 100), rel=0.1)
    assert Rate(hits=20, of=20).error > 0.02
    assert Rate.counted([True, False, True]) == Rate(hits=2, of=3)
