"""What a study gives where another mixture than its recommended one is asked for."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives.mixture import Mixture
from ratio_search import Study, StudySpec
from ratio_search.errors import NothingToRecommend, SelectionError
from ratio_search.recommendation import Recommendation
from ratio_search.selection import Balanced, Best, Selection, Single, Spread, Weighted
from tests.ratio_search.trials import study_of, text_of

DOCUMENT: dict[str, Any] = {
    "name": "elsewhere",
    "domains": {"a": {}, "b": {}, "c": {}},
    "objective": {"kind": "external"},
    "metrics": [
        {"name": "a/x", "goal": "maximize", "scale": 1, "reference": 0},
        {"name": "b/x", "goal": "maximize", "scale": 1, "reference": 0},
        {"name": "c/x", "goal": "maximize", "scale": 1, "reference": 0.4, "weight": 0, "guard": 0.05},
    ],
    "search": {"trials": 9},
    "storage": "memory",
}


def law(mixture: Mixture) -> dict[str, float]:
    return {f"{name}/x": share**0.5 for name, share in mixture.items()}


def run(study: Study, trials: int = 100) -> Study:
    for _ in range(trials):
        if (job := study.ask()) is None:
            break
        assert job.mixture is not None
        study.tell(job.id, law(job.mixture))
    return study


made = functools.partial(study_of, DOCUMENT)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Nine trials; asking changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        return run(made())


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def one(study: Study, selection: Selection) -> Recommendation:
    [found] = study.select(selection)
    assert found.selection == selection
    return found


class TestByAModel:
    def test_balanced_is_the_recommended_one(self, study: Study) -> None:
        assert one(study, Balanced()) == study.recommend()

    def test_the_best_of_a_metric_has_all_that_the_guards_leave(self, study: Study) -> None:
        for name, other in ("ab", "ba"):
            found = one(study, Best(metric=f"{name}/x"))
            assert found.mixture[name] > 0.75
            assert found.mixture[other] < 0.1
            assert found.mixture["c"] == pytest.approx(0.35**2, abs=0.06)
            assert found.score.feasible
            assert found.score.balanced == found.predictions[f"{name}/x"].gain
            assert found.basis.startswith(f"best expected gain of {name}/x by a model of 9 finished trials, one fine-")

    def test_weights_move_it_between_them(self, study: Study) -> None:
        shares = [one(study, Weighted(weights={"a": weight, "b/x": 1})).mixture["a"] for weight in (0.2, 1, 5)]
        assert shares == sorted(shares)
        assert shares[2] > shares[0] + 0.3
        found = one(study, Weighted(weights={"a": 5, "b/x": 1}))
        assert found.score.feasible
        gains = [found.predictions[f"{name}/x"].gain for name in "ab"]
        assert found.score.balanced == pytest.approx(np.average(gains, weights=[5, 1]))
        assert found.basis.startswith("best expected weighted mean of the gains (a=5, b/x=1) by a model of 9 finished")

    @pytest.mark.parametrize("number", [0, 3, 8])
    def test_a_trial_is_its_own_mixture_with_what_is_expected_of_it(self, study: Study, number: int) -> None:
        record = study.records()[number]
        found = one(study, Single(number=number))
        assert (found.mixture, found.record, found.tried) == (record.job.mixture, record, True)
        for name, value in record.values.items():
            assert found.predictions[name].value == pytest.approx(value, abs=0.1)
        assert found.considered == 9
        assert record.job.mixture not in [other.mixture for other in found.alternatives]
        assert found.basis.startswith(
            f"asked for as trial:{number}, with what is expected of it by a model of 9 finished trials, one fine-tune "
            "each; it was tried itself; all guards hold with a probability of "
        )

    def test_of_several_trials_of_a_mixture_it_is_the_one_that_was_asked_for(
        self, in_a_folder_of_its_own: None
    ) -> None:
        few = {"trials": 7, "space": {"grid": 0.5}}
        study = run(made(domains={"a": {}, "b": {}}, metrics=DOCUMENT["metrics"][:2], search=few))
        records = study.records()
        assert len({record.job.mixture for record in records}) < 7
        for record in records:
            assert one(study, Single(number=record.number)).record == record

    def test_others_that_are_better_than_a_trial_are_named(self, study: Study) -> None:
        worst, _ = study.ranking()[-1]
        assert all(
            other.better > 0.5 and other.behind < 0 for other in one(study, Single(number=worst.number)).alternatives
        )

    def test_spread_over_the_front_are_members_of_it_with_their_odds(self, study: Study) -> None:
        front = study.front()
        odds = {member.candidate.mixture: member.unbeaten for member in front.members}
        count = front.spreadable
        assert count > 1
        found = study.select(Spread(count=count))
        assert found[0].mixture == study.recommend().mixture
        assert len({advice.mixture for advice in found}) == count
        for advice in found:
            assert advice.unbeaten == odds[advice.mixture]
            assert (advice.alternatives, advice.selection) == ((), Spread(count=count))
            assert f"; no other mixture beats it with a probability of {advice.unbeaten:.0%}" in advice.basis
            assert advice.basis.startswith(
                f"asked for as front:{count}, with what is expected of it by a model of 9 finished"
            )
        shares = [advice.mixture["a"] for advice in found]
        assert max(shares) - min(shares) > 0.15

    def test_no_more_than_there_are_can_be_spread(self, study: Study) -> None:
        front = study.front()
        assert len(study.select(Spread(count=front.spreadable))) == front.spreadable
        with pytest.raises(
            SelectionError, match=rf"the front has {front.spreadable} of the {front.considered} mixtures"
        ):
            study.select(Spread(count=front.spreadable + 1))

    def test_the_same_is_given_again(self, study: Study) -> None:
        for selection in (Best(metric="a/x"), Spread(count=2), Single(number=1)):
            assert study.select(selection) == study.select(selection)


class TestWhatThereIsNot:
    @pytest.fixture
    def study(self, in_a_folder_of_its_own: None) -> Study:
        """Trials 0, 1 and 3 are finished, 2 failed and 4 runs."""
        study = run(made(), trials=2)
        failed = study.ask()
        assert failed is not None
        study.fail(failed.id, "out of memory\nat step 7")
        run(study, trials=1)
        study.ask()
        return study

    @pytest.mark.parametrize(
        ("selection", "message"),
        [
            (Single(number=99), r"trial:99: the study has no such trial; finished are 0 to 1 and 3$"),
            (Single(number=2), r"trial:2: trial-0002 failed \(out of memory\); finished are 0 to 1 and 3$"),
            (Single(number=4), r"trial:4: trial-0004 is not finished yet; finished are 0 to 1 and 3$"),
            (Best(metric="a/y"), r"best:a/y: 'a/y' is no metric of the study; did you mean 'a/x'"),
            (Weighted(weights={"d": 1}), r"weights:d=1: 'd' is no metric of the study, and no domain that it judges"),
        ],
    )
    def test_is_named(self, study: Study, selection: Selection, message: str) -> None:
        with pytest.raises(SelectionError, match=message):
            study.select(selection)

    @pytest.mark.parametrize("selection", [Balanced(), Best(metric="a/x"), Spread(count=1), Single(number=0)])
    def test_before_anything_is_finished_there_is_nothing(
        self, in_a_folder_of_its_own: None, selection: Selection
    ) -> None:
        with pytest.raises(NothingToRecommend, match="no finished trial"):
            made().select(selection)
        with pytest.raises(NothingToRecommend, match="no finished trial"):
            made().front()


class TestWithoutAModel:
    @pytest.fixture
    def study(self, in_a_folder_of_its_own: None) -> Study:
        return run(made(), trials=2)

    def test_the_best_is_a_trial(self, study: Study) -> None:
        for name in "ab":
            found = one(study, Best(metric=f"{name}/x"))
            best = max(
                (record for record, score in study.ranking() if score.feasible),
                key=lambda record: record.values[f"{name}/x"],
            )
            assert (found.record, found.predictions) == (best, {})
            assert found.basis.startswith(
                f"best gain of {name}/x among 2 finished trials, one fine-tune each; the best"
            )

    def test_a_trial_is_told_by_what_it_measured(self, study: Study) -> None:
        found = one(study, Single(number=1))
        assert (found.record, found.tried, found.predictions) == (study.records()[1], True, {})
        told = "asked for as trial:1, with what it measured in one fine-tune"
        broken = "".join(f"; it breaks: {name} by {excess:.4g}" for name, excess in found.score.violations.items())
        assert found.basis == told + broken

    def test_the_front_is_of_what_was_measured(self, study: Study) -> None:
        front = study.front()
        assert {member.unbeaten for member in front.members} == {None}
        [first] = study.select(Spread(count=1))
        assert (first.record, first.unbeaten) == (study.ranking()[0][0], None)


class TestTrialsOutsideOfTheBounds:
    @pytest.fixture
    def study(self, in_a_folder_of_its_own: None) -> Study:
        """A study whose bounds were narrowed after its trials."""
        study = Study.create(StudySpec.parse(text_of(DOCUMENT, storage="sqlite"), Path.cwd()), "runs")
        run(study)
        narrow = {"a": {"share": [0.3, 0.5]}, "b": {}, "c": {}}
        study.folder.study_file.write_text(text_of(DOCUMENT, storage="sqlite", domains=narrow))
        return Study.open(study.folder)

    def test_are_not_on_the_front(self, study: Study) -> None:
        front = study.front()
        for member in front.members:
            assert member.candidate.mixture in study.space
        assert front.considered < 9

    def test_can_still_be_asked_for(self, study: Study) -> None:
        record = next(record for record in study.records() if not study.allows(record))
        found = one(study, Single(number=record.number))
        assert (found.mixture, found.record) == (record.job.mixture, record)
        assert found.considered == sum(study.allows(record) for record in study.records())
