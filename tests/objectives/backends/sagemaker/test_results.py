from __future__ import annotations

import json
from typing import Any

import pytest

from objectives.backends.sagemaker.catalogue import BENCHMARKS
from objectives.backends.sagemaker.results import Results, results_file
from objectives.base import Estimate
from objectives.errors import ResultError

# As the SageMaker developer guide shows it, with a bleu above 100.
DOCUMENTED = {
    "rouge1": 0.9152812653966208,
    "rouge1_stderr": 0.003536439199232507,
    "rougeL": 0.9111255645823356,
    "rougeL_stderr": 0.003603841524881021,
    "em": 0.6562150055991042,
    "em_stderr": 0.007948251702846893,
    "qem": 0.7522396416573348,
    "qem_stderr": 0.007224355240883467,
    "f1": 0.8428757602152095,
    "f1_stderr": 0.005186300690881584,
    "f1_score_quasi": 0.9156170336744968,
    "f1_score_quasi_stderr": 0.003667700152375464,
    "bleu": 100.00000000000004,
    "bleu_stderr": 1.464411857851008,
}


def of(**tasks: Any) -> Results:
    return Results.parse(json.dumps({"config_general": {}, "results": tasks}))


def alone(**figures: Any) -> Results:
    return Results.parse(json.dumps({"results": {"custom|mmlu_zs_cot|0": figures, "all": figures}}))


class TestEstimate:
    """A figure of an evaluation job."""

    @pytest.mark.parametrize(
        ("metric", "value", "stderr"),
        [
            ("em", 0.6562150055991042, 0.007948251702846893),
            ("exact_match", 0.6562150055991042, 0.007948251702846893),
            ("quasi_exact_match", 0.7522396416573348, 0.007224355240883467),
            ("f1_score", 0.8428757602152095, 0.005186300690881584),
            ("f1_score_quasi", 0.9156170336744968, 0.003667700152375464),
            ("rouge_l", 0.9111255645823356, 0.003603841524881021),
            ("bleu", 1.0, 0.01464411857851008),
        ],
    )
    def test_is_found_in_both_spellings_as_a_rate(self, metric: str, value: float, stderr: float) -> None:
        results = Results.parse(json.dumps({"results": {"custom|gen_qa_gen_qa|0": DOCUMENTED, "all": DOCUMENTED}}))
        found = results.estimate("gen_qa", metric)
        assert (found.value, found.stderr, found.rows) == (value, pytest.approx(stderr), None)

    @pytest.mark.parametrize(
        ("asked", "there"),
        [
            ("accuracy", "acc"),
            ("acc", "accuracy"),
            ("exact_match", "em"),
            ("em", "exact_match"),
            ("quasi_exact_match", "qem"),
            ("f1", "f1_score"),
            ("f1_score_quasi", "quasi_f1_score"),
            ("rougeL", "rouge_l"),
            ("pass@1", "pass_at_1"),
            ("pass@1", "pass@1"),
            ("deflection", "Deflection"),
            ("win_share", "win_share"),
        ],
    )
    def test_has_one_value_under_all_of_its_names(self, asked: str, there: str) -> None:
        found = alone(**{there: 0.25, f"{there}_stderr": 0.02, "other": 0.5, "other_stderr": 0.1})
        assert found.estimate("mmlu", asked) == Estimate(value=0.25, stderr=0.02)

    @pytest.mark.parametrize("task", BENCHMARKS)
    def test_of_every_known_benchmark_is_found(self, task: str) -> None:
        benchmark = BENCHMARKS[task]
        name = f"custom|{task}_{benchmark.strategy}|0"
        found = Results.parse(json.dumps({"results": {name: {benchmark.metric: 0.5}, "all": {benchmark.metric: 0.5}}}))
        assert found.estimate(task, benchmark.metric) == Estimate(value=0.5)

    def test_is_the_asked_one_of_two_that_have_its_names(self) -> None:
        results = alone(em=0.25, exact_match=0.75)
        assert results.estimate("mmlu", "em").value == 0.25
        assert results.estimate("mmlu", "exact_match").value == 0.75

    @pytest.mark.parametrize(
        ("tasks", "value"),
        [
            ({"custom|mmlu_zs_cot|0": {"accuracy": 0.1}}, 0.1),
            ({"custom|mmlu_zs_cot|0": {"accuracy": 0.1}, "all": {"accuracy": 0.2}}, 0.1),
            ({"custom|mmlu_zs_cot|0": {}, "all": {"accuracy": 0.2}}, 0.2),
            ({"all": {"accuracy": 0.2}}, 0.2),
            (
                {
                    "custom|mmlu_zs_cot:anatomy|0": {"accuracy": 0.1},
                    "custom|mmlu_zs_cot:virology|0": {"accuracy": 0.5},
                    "all": {"accuracy": 0.3},
                },
                0.3,
            ),
            (
                {
                    "custom|mmlu_zs_cot:anatomy|0": {"accuracy": 0.1},
                    "custom|mmlu_zs_cot:_average|0": {"accuracy": 0.4},
                },
                0.4,
            ),
            ({"leaderboard": {"accuracy": 0.6}}, 0.6),
        ],
    )
    def test_is_that_of_the_whole_task(self, tasks: dict[str, Any], value: float) -> None:
        assert Results.parse(json.dumps({"results": tasks})).estimate("mmlu", "accuracy").value == value

    @pytest.mark.parametrize(
        "tasks",
        [
            {"custom|mmlu_zs_cot:anatomy|0": {"accuracy": 0.1}, "custom|mmlu_zs_cot:virology|0": {"accuracy": 0.5}},
            {"custom|bbh_fs_cot|0": {"accuracy": 0.1}, "custom|mmlu_zs_cot|0": {"em": 0.5}},
        ],
    )
    def test_is_not_made_up_of_parts(self, tasks: dict[str, Any]) -> None:
        with pytest.raises(ResultError, match=r"lack accuracy of mmlu; found accuracy"):
            Results.parse(json.dumps({"results": tasks})).estimate("mmlu", "accuracy")

    def test_that_is_not_there_is_told_with_all_that_are(self) -> None:
        with pytest.raises(
            ResultError,
            match=r"lack accuracy of ifeval; found inst_level_strict, prompt_level_strict of custom\|ifeval_zs\|0; "
            r"state the right one as objective\.benchmarks\.ifeval\.metric",
        ):
            Results.parse(
                json.dumps(
                    {
                        "results": {
                            "custom|ifeval_zs|0": {
                                "prompt_level_strict": 0.5,
                                "prompt_level_strict_stderr": 0.1,
                                "inst_level_strict": 0.5,
                            }
                        }
                    }
                )
            ).estimate("ifeval", "accuracy")

    @pytest.mark.parametrize("value", [74.2, 1.01, -0.1, 100])
    def test_above_1_is_not_guessed_to_be_in_per_cent(self, value: float) -> None:
        with pytest.raises(ResultError, match=f"accuracy of mmlu is {value:g}; expected a rate from 0 to 1, as the"):
            alone(accuracy=value).estimate("mmlu", "accuracy")

    @pytest.mark.parametrize("value", [100.01, -1])
    def test_of_bleu_is_from_0_to_100(self, value: float) -> None:
        with pytest.raises(ResultError, match=r"bleu of gen_qa is .*; expected a rate from 0 to 100"):
            alone(bleu=value).estimate("gen_qa", "bleu")
        assert alone(bleu=0.5).estimate("gen_qa", "bleu").value == 0.005

    @pytest.mark.parametrize(("value", "rate"), [(1 + 1e-9, 1.0), (-1e-9, 0.0), (1, 1.0), (0, 0.0)])
    def test_may_be_a_rounding_error_outside(self, value: float, rate: float) -> None:
        assert alone(accuracy=value).estimate("mmlu", "accuracy").value == rate

    def test_of_another_kind_is_taken_as_it_is(self) -> None:
        assert alone(score=7.5, score_stderr=0.5).estimate("mmlu", "score") == Estimate(value=7.5, stderr=0.5)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", True, [0.5], {}])
    def test_that_is_no_number_is_refused(self, value: Any) -> None:
        with pytest.raises(ResultError, match=r"accuracy of mmlu is .*; expected a finite number"):
            alone(accuracy=value).estimate("mmlu", "accuracy")

    @pytest.mark.parametrize("stderr", [None, 0, 0.0, float("nan")])
    def test_may_have_a_standard_error_that_says_nothing(self, stderr: Any) -> None:
        assert alone(accuracy=1.0, accuracy_stderr=stderr).estimate("mmlu", "accuracy") == Estimate(value=1.0)

    @pytest.mark.parametrize("stderr", [-0.1, float("inf"), "x", True])
    def test_with_a_standard_error_that_is_none_is_refused(self, stderr: Any) -> None:
        with pytest.raises(ResultError, match=r"the standard error of accuracy of mmlu is .*; expected a"):
            alone(accuracy=0.5, accuracy_stderr=stderr).estimate("mmlu", "accuracy")


class TestParsing:
    """A file of results."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"results": {"all": {"acc', "are no JSON, or are torn"),
            (b"\xff\xff", "are no JSON, or are torn"),
            ("[" * 100_000, "are no JSON, or are torn"),
            ("[]", 'must have "results"'),
            ("{}", 'must have "results"'),
            ('{"results": []}', 'must have "results"'),
            ('{"results": {}}', 'must have "results"'),
            ('{"results": {"all": {}, "x": 3}}', 'must have "results"'),
        ],
    )
    def test_of_something_else_is_refused(self, text: str | bytes, message: str) -> None:
        with pytest.raises(ResultError, match=message):
            Results.parse(text)

    def test_takes_bytes(self) -> None:
        assert Results.parse(b'{"results": {"all": {"acc": 0.5}}}').estimate("mmlu", "accuracy").value == 0.5


class TestFiles:
    """The files of a job."""

    def test_with_the_newest_results_are_found_wherever_they_are(self) -> None:
        older, newer, newest = (
            f"s3://b/jobs/j-{number}/output/output/run/eval_results/results_{time}.json"
            for number, time in [
                (9, "2026-01-09T10-00-00.900000"),
                (2, "2026-01-10T09-59-59"),
                (1, "2026-01-10T09-59-59.123456"),
            ]
        )
        others = ["s3://b/jobs/j/output/output/manifest.json", "s3://b/jobs/j/output/output/results_of_others.txt"]
        assert results_file([newest, *others, older, newer]) == newest
        assert results_file([newer, older]) == newer

    def test_without_any_are_refused(self) -> None:
        with pytest.raises(ResultError, match=r"left no results_\*\.json; found s3://b/manifest\.json;"):
            results_file(["s3://b/manifest.json"])
        with pytest.raises(ResultError, match="found no file"):
            results_file([])
