from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from transformers import AutoTokenizer

from objectives.backends.hf import HfBackend, assembly
from objectives.backends.hf.encoding import encode
from objectives.backends.hf.training import Training
from objectives.base import Context, Estimate, Job, JobKind, Measurement, Objective, Progress, Seeds, Value
from objectives.data import DEFAULT_POLICY, Action, DataPolicy, Dataset, Finding, Row, Weigh, read_rows
from objectives.domain import Domain
from objectives.errors import Cancelled, DataError, ObjectiveError, OptionsError
from objectives.metrics import KINDS, Goal, OwnMetric, read_answers, remeasured
from objectives.mixture import Mixture
from objectives.scorer import Metric
from tests.contracts import ObjectiveContract, measured
from tests.objectives.backends.hf.conftest import rows_of, write_rows

UNIFORM = Mixture.uniform(["colours", "shapes"])
METRICS = {
    f"{name}/{metric}"
    for name in ("colours", "shapes", "echoes")
    for metric, kind in KINDS.items()
    if not kind.needs_answers and (name != "echoes" or not kind.needs_labels)
}
"""What is reported in any case; `ASKED` is what takes an answer to every test row."""

ASKED = tuple(
    Metric(name=f"{name}/{metric}", goal=Goal.MAXIMIZE)
    for name in ("colours", "shapes", "echoes")
    for metric in ("token_f1", "rouge_l")
)

OWN = Metric(name="echoes/digits", goal=Goal.MAXIMIZE, function=f"{__name__}:digits")
"""A function of this module, as if it were the user's."""


def settings(base: Path, **changes: Any) -> HfBackend:
    """A run of a second, with dropout, so that every kind of draw is in it."""
    usual = {
        "base_model": str(base),
        "steps": 8,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "max_length": 48,
        "eval_batch_tokens": 256,
        "lora": {"dropout": 0.1} if changes.get("method") != "full" else {},
    }
    return HfBackend.model_validate({"kind": "hf", **usual, **changes})


def job(mixture: Mixture | None = UNIFORM, seed: int = 1) -> Job:
    kind = JobKind.BASELINE if mixture is None else JobKind.TRIAL
    return Job(id="job", kind=kind, mixture=mixture, seeds=Seeds(data=seed, training=seed))


def context(folder: Path, cancelled: Callable[[], bool] = lambda: False) -> Context:
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    return Context(folder=folder, checkpoint=folder / "checkpoint", cancelled=cancelled)


def values(metrics: dict[str, Estimate] | Any) -> dict[str, float]:
    return {name: estimate.value for name, estimate in metrics.items()}


@pytest.fixture(scope="module")
def objective(base: Path, root: Path, domains: Sequence[Domain]) -> Objective:
    return settings(base).build(domains, root)


@pytest.fixture(scope="module")
def full(base: Path, root: Path, domains: Sequence[Domain]) -> Objective:
    return settings(base, method="full", learning_rate=3e-3).build(domains, root)


@pytest.fixture(scope="module")
def asked(base: Path, root: Path, domains: Sequence[Domain]) -> Objective:
    """Asked for all metrics of text, too."""
    return settings(base).build(domains, root, metrics=(*ASKED, OWN))


class TestContractWithLora(ObjectiveContract):
    """With the module's `objective`."""


class TestContractWithFull(ObjectiveContract):
    @pytest.fixture
    def objective(self, full: Objective) -> Objective:
        return full


class TestContractWithAnswers(ObjectiveContract):
    @pytest.fixture
    def objective(self, asked: Objective) -> Objective:
        return asked


class TestHyperparameters:
    """One objective runs jobs of every kind; each must be what an objective made for it alone would measure."""

    CASES: ClassVar[dict[str, tuple[dict[str, Value], dict[str, Any]]]] = {
        "none": ({}, {}),
        "schedule": (
            {"learning_rate": 3e-3, "steps": 6, "batch_size": 3, "warmup_steps": 2, "weight_decay": 0.1},
            {"learning_rate": 3e-3, "steps": 6, "batch_size": 3, "warmup_steps": 2, "weight_decay": 0.1},
        ),
        "adapter": (
            {"lora.rank": 2, "lora.alpha": 4, "lora.dropout": 0.3},
            {"lora": {"rank": 2, "alpha": 4, "dropout": 0.3}},
        ),
        "method": ({"method": "full", "learning_rate": 3e-3}, {"method": "full", "learning_rate": 3e-3}),
    }

    @pytest.fixture
    def alone(self, base: Path, root: Path, domains: Sequence[Domain]) -> Callable[[str, Path], Measurement]:
        """What a fresh objective with the settings of a case measures."""

        def measure(case: str, folder: Path) -> Measurement:
            subject = settings(base, **self.CASES[case][1]).build(domains, root)
            return measured(subject, job(), context(folder))

        return measure

    def test_a_job_is_as_if_the_study_stated_its_values_whatever_ran_before(
        self, objective: Objective, alone: Callable[[str, Path], Measurement], tmp_path: Path
    ) -> None:
        expected = {case: alone(case, tmp_path / "alone" / case) for case in self.CASES}
        assert len({tuple(values(found.metrics).values()) for found in expected.values()}) == len(self.CASES)
        for number, case in enumerate(["method", "adapter", "none", "schedule", "adapter", "method", "none"]):
            asked = dataclasses.replace(job(), hyperparameters=self.CASES[case][0])
            found = measured(objective, asked, context(tmp_path / str(number)))
            assert (found.metrics, found.rows) == (expected[case].metrics, expected[case].rows), (number, case)
            assert set(found.artefacts) == {"model" if case == "method" else "adapter"}

    def test_the_baseline_is_the_same_after_any_of_them(self, objective: Objective, tmp_path: Path) -> None:
        before = measured(objective, job(None), context(tmp_path / "before"))
        asked = dataclasses.replace(job(), hyperparameters={"method": "full"})
        measured(objective, asked, context(tmp_path / "between"))
        assert measured(objective, job(None), context(tmp_path / "after")).metrics == before.metrics

    def test_one_model_is_kept_at_a_time(self, base: Path, root: Path, domains: Sequence[Domain]) -> None:
        subject = settings(base).build(domains, root)
        bench = subject._bench  # type: ignore[attr-defined]
        first = weakref.ref(bench.learner(settings(base)))
        assert bench.learner(settings(base, steps=3, learning_rate=1e-3)) is first()
        assert bench.learner(settings(base, lora={"rank": 3})).adapted
        assert first() is None
        assert not bench.learner(settings(base, method="full")).adapted


class TestTrial:
    def test_reports_progress_and_a_measurement(self, objective: Objective, tmp_path: Path) -> None:
        *progress, last = objective.run(job(), context(tmp_path))
        steps = [event.step for event in progress if isinstance(event, Progress)]
        assert steps == sorted(steps)
        assert steps[0] == 1
        assert steps[-1] == 8
        assert isinstance(last, Measurement)
        trained = [event.cost["tokens"] for event in progress]
        assert trained == sorted(trained)
        assert trained[-1] == last.cost["tokens"]
        assert set(last.metrics) == METRICS
        assert {estimate.rows for estimate in last.metrics.values()} == {24}
        assert all(estimate.stderr is not None for estimate in last.metrics.values())
        assert set(last.cost) == {
            "wall_seconds",
            "cpu_seconds",
            "gpu_seconds",
            "train_seconds",
            "evaluation_seconds",
            "tokens",
        }
        assert all((amount > 0) == (name != "gpu_seconds") for name, amount in last.cost.items())

    def test_reports_what_the_settings_promise(
        self, objective: Objective, base: Path, root: Path, tmp_path: Path
    ) -> None:
        names = ("colours", "shapes", "echoes")
        labelled = {name: Dataset.open([root / name / "test.jsonl"]).labelled for name in names}
        assert labelled == {"colours": True, "shapes": True, "echoes": False}
        asked = {metric.name for metric in ASKED}
        assert settings(base).produces(labelled) == asked | set(measured(objective, job(), context(tmp_path)).metrics)

    @pytest.mark.parametrize("method", ["objective", "full"])
    def test_learns_the_domain_that_it_trains_on(
        self, method: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        subject = request.getfixturevalue(method)
        baseline = measured(subject, job(None), context(tmp_path / "baseline")).metrics
        only = {}
        for name in ("colours", "shapes"):
            mixture = Mixture.of({other: float(other == name) for other in ("colours", "shapes")})
            only[name] = measured(subject, job(mixture), context(tmp_path / name)).metrics
            assert only[name][f"{name}/perplexity"].value < baseline[f"{name}/perplexity"].value
        for name in only:
            assert min(only, key=lambda trained: only[trained][f"{name}/perplexity"].value) == name

    def test_trains_on_whole_rows_and_says_how_many(self, objective: Objective, tmp_path: Path) -> None:
        found = measured(objective, job(Mixture.of({"colours": 0.3, "shapes": 0.7})), context(tmp_path))
        assert sum(found.rows.values()) == 32
        assert abs(found.rows["colours"] - 9.6) < 1
        assert found.realised == Mixture.from_weights(found.rows)

    def test_leaves_an_adapter(self, objective: Objective, base: Path, tmp_path: Path) -> None:
        found = measured(objective, job(), context(tmp_path))
        assert found.artefacts == {"adapter": "adapter"}
        kept = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        assert kept["base_model_name_or_path"] == str(base)

    def test_that_trains_everything_leaves_a_model_to_go_on_from(
        self, full: Objective, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        found = measured(full, job(), context(tmp_path))
        assert found.artefacts == {"model": "model"}
        again = settings(tmp_path / "model").build(domains, root)
        baseline = measured(again, job(None), context(tmp_path / "again"))
        assert values(baseline.metrics) == pytest.approx(values(found.metrics))

    def test_of_a_domain_without_rows_is_an_error(self, objective: Objective, tmp_path: Path) -> None:
        mixture = Mixture.of({"colours": 0.5, "echoes": 0.5})
        with pytest.raises(DataError, match=r"'echoes' a share of 0\.5, but .* no training rows"):
            measured(objective, job(mixture), context(tmp_path))

    def test_of_a_tested_domain_with_share_0_is_fine(self, objective: Objective, tmp_path: Path) -> None:
        found = measured(objective, job(Mixture.of({"colours": 1.0, "echoes": 0.0})), context(tmp_path))
        assert found.rows == {"colours": 32, "echoes": 0}

    def test_that_diverges_is_an_objective_error(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        subject = settings(base, learning_rate=1e30).build(domains, root)
        with pytest.raises(ObjectiveError, match=r"lower objective\.learning_rate"):
            measured(subject, job(), context(tmp_path))


class TestBaseline:
    def test_only_evaluates(self, objective: Objective, tmp_path: Path) -> None:
        found = measured(objective, job(None), context(tmp_path))
        assert found.realised is None
        assert found.rows == found.artefacts == {}
        assert found.cost["tokens"] == 0
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]

    def test_is_the_same_for_either_method(self, objective: Objective, full: Objective, tmp_path: Path) -> None:
        by_adapter = measured(objective, job(None), context(tmp_path / "a")).metrics
        by_model = measured(full, job(None), context(tmp_path / "b")).metrics
        assert values(by_adapter) == pytest.approx(values(by_model), rel=1e-6)


class TestBitsPerByte:
    def test_count_the_bytes_that_are_scored(self, base: Path, tmp_path: Path) -> None:
        rows = [*rows_of("echoes", 5, "test"), Row.of("repeat", "grün")]
        write_rows(tmp_path / "rows.jsonl", rows)
        write_rows(tmp_path / "cut.jsonl", [*rows, Row.of("repeat", "7 " * 60)])
        found = {}
        for name in ("rows", "cut"):
            domains = [Domain(name="echoes", test=(Path(f"{name}.jsonl"),))]
            subject = settings(base).build(domains, tmp_path)
            found[name] = values(measured(subject, job(None), context(tmp_path / name)).metrics)
        bits = {name: own["echoes/loss"] / own["echoes/bits_per_byte"] for name, own in found.items()}
        tokenizer = AutoTokenizer.from_pretrained(base)
        tokens = sum(len(tokenizer(row.output)["input_ids"]) + 1 for row in rows)
        size = sum(len(row.output.encode()) for row in rows)
        assert bits["rows"] == pytest.approx(math.log(2) * size / tokens)
        # Of 48 tokens the prompt has some; what is left is digits and spaces, of a byte or two each.
        left = 48 - len(tokenizer("<s>repeat<sep>")["input_ids"])
        assert len(tokenizer("7 " * 60)["input_ids"]) > left
        kept = len(tokenizer.decode(tokenizer("7 " * 60)["input_ids"][:left]))
        assert bits["cut"] == pytest.approx(math.log(2) * (size + kept) / (tokens + left))


class TestAnswers:
    """Metrics of text, for which the model answers every test row in words."""

    def test_are_judged_beside_all_else_which_stays_the_same(
        self, asked: Objective, objective: Objective, tmp_path: Path
    ) -> None:
        found = measured(asked, job(), context(tmp_path / "asked")).metrics
        usual = measured(objective, job(), context(tmp_path / "usual")).metrics
        assert set(found) == METRICS | {metric.name for metric in (*ASKED, OWN)}
        assert {name: found[name] for name in usual} == usual
        assert all(0 <= found[metric.name].value <= 1 and found[metric.name].rows == 24 for metric in ASKED)
        assert all((found[metric.name].stderr or 0) > 0 for metric in ASKED)

    @pytest.mark.parametrize("mixture", [None, UNIFORM])
    def test_are_kept_row_by_row_so_that_metrics_can_be_computed_again(
        self, asked: Objective, root: Path, mixture: Mixture | None, tmp_path: Path
    ) -> None:
        found = measured(asked, job(mixture), context(tmp_path))
        assert found.artefacts["answers"] == "answers.jsonl"
        kept = read_answers(tmp_path / "answers.jsonl")
        assert set(kept) == {"colours", "shapes", "echoes"}
        for name, answers in kept.items():
            rows = read_rows([root / name / "test.jsonl"])
            assert [(answer.row, answer.expected) for answer in answers] == [
                (number, row.output) for number, row in enumerate(rows)
            ]
        again = remeasured(tmp_path / "answers.jsonl", ["token_f1", "rouge_l", "exact_match"])
        for metric in ASKED:
            assert again[metric.name] == found.metrics[metric.name]
        # What is read off the scores of the expected answer is what writing one leads to.
        for name in kept:
            assert again[f"{name}/exact_match"].value == found.metrics[f"{name}/exact_match"].value
        own = OwnMetric.load(OWN.function or "", root)
        rows_of_domain = {name: read_rows([root / name / "test.jsonl"]) for name in kept}
        assert (
            remeasured(tmp_path / "answers.jsonl", [own], rows_of_domain)["echoes/digits"]
            == (found.metrics["echoes/digits"])
        )

    def test_grow_better_by_training(self, asked: Objective, tmp_path: Path) -> None:
        only = Mixture.of({"colours": 1.0, "shapes": 0.0})
        before = measured(asked, job(None), context(tmp_path / "before")).metrics
        after = measured(asked, job(only), context(tmp_path / "after")).metrics
        assert after["colours/token_f1"].value > before["colours/token_f1"].value

    def test_are_the_same_again(self, asked: Objective, tmp_path: Path) -> None:
        first, again = (measured(asked, job(), context(tmp_path / name)).metrics for name in "ab")
        assert first == again
        assert (tmp_path / "a" / "answers.jsonl").read_bytes() == (tmp_path / "b" / "answers.jsonl").read_bytes()

    def test_are_written_for_the_domains_that_ask_for_them_alone(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        subject = settings(base).build(domains, root, metrics=ASKED[-1:])
        found = measured(subject, job(None), context(tmp_path))
        assert set(found.metrics) == METRICS | {"echoes/rouge_l"}
        assert set(read_answers(tmp_path / "answers.jsonl")) == {"echoes"}

    def test_are_no_longer_than_allowed(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        lengths = {}
        for most in (1, None):
            subject = settings(base, max_new_tokens=most).build(domains, root, metrics=ASKED)
            folder = tmp_path / str(most)
            measured(subject, job(None), context(folder))
            lengths[most] = [len(a.generated) for own in read_answers(folder / "answers.jsonl").values() for a in own]
        assert sum(lengths[1]) < sum(lengths[None])

    def test_a_cancelled_job_can_stop_between_them(self, asked: Objective, tmp_path: Path) -> None:
        expected = measured(asked, job(), context(tmp_path / "whole"))
        questions = 0

        def count() -> bool:
            nonlocal questions
            questions += 1
            return False

        measured(asked, job(), context(tmp_path / "counted", count))
        left = iter(range(questions))
        with pytest.raises(Cancelled, match="after 8 steps"):
            measured(asked, job(), context(tmp_path / "cut", lambda: next(left) == questions - 1))
        assert not (tmp_path / "cut" / "answers.jsonl").exists()
        assert measured(asked, job(), context(tmp_path / "cut")).metrics == expected.metrics

    def test_a_function_that_fails_is_an_error_of_the_objective_and_leaves_the_answers(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        failing = Metric(name="echoes/failing", goal=Goal.MAXIMIZE, function=f"{__name__}:failing")
        subject = settings(base).build(domains, root, metrics=[failing])
        with pytest.raises(ObjectiveError, match=r":failing' fails: ZeroDivisionError"):
            measured(subject, job(None), context(tmp_path))
        assert len(read_answers(tmp_path / "answers.jsonl")["echoes"]) == 24

    def test_of_all_weights_too(self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path) -> None:
        subject = settings(base, method="full", learning_rate=3e-3).build(domains, root, metrics=ASKED)
        found = measured(subject, job(), context(tmp_path))
        assert {metric.name for metric in ASKED} <= set(found.metrics)
        wishes = json.loads((tmp_path / "model" / "generation_config.json").read_text())
        assert "max_new_tokens" not in wishes


def digits(generated: list[str], rows: list[Row]) -> list[bool]:
    """Whether an answer repeats the number that was asked for."""
    return [row.instruction.split()[-1] in text for text, row in zip(generated, rows, strict=True)]


def failing(generated: list[str]) -> float:
    return 1 / 0


class TestRepeats:
    def test_a_job_that_was_given_up_leaves_no_trace(self, objective: Objective, tmp_path: Path) -> None:
        expected = measured(objective, job(), context(tmp_path / "1")).metrics
        events = objective.run(job(seed=5), context(tmp_path / "2"))
        assert isinstance(next(iter(events)), Progress)
        del events
        assert measured(objective, job(), context(tmp_path / "3")).metrics == expected

    def test_another_process_gives_the_same(self, objective: Objective, base: Path, root: Path, tmp_path: Path) -> None:
        expected = measured(objective, job(), context(tmp_path / "here"))
        code = (
            "import json, sys\n"
            "from pathlib import Path\n"
            "from tests.objectives.backends.hf import conftest, test_objective as t\n"
            "base, root, folder = map(Path, sys.argv[1:])\n"
            "objective = t.settings(base).build(conftest.DOMAINS, root)\n"
            "found = t.measured(objective, t.job(), t.context(folder))\n"
            "print(json.dumps(found.to_json()['metrics']))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(base), str(root), str(tmp_path / "there")],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[4],
        )
        assert json.loads(done.stdout) == expected.to_json()["metrics"]
        assert done.stderr == ""


class TestCancel:
    def cancel_after(self, questions: int) -> Callable[[], bool]:
        asked = iter(range(1_000_000))
        return lambda: next(asked) >= questions

    @pytest.mark.parametrize("method", ["objective", "full"])
    @pytest.mark.parametrize("questions", [3, 9])  # in the middle of training, and of the evaluation
    def test_a_continued_job_gives_the_same_as_an_uninterrupted_one(
        self, method: str, questions: int, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        subject = request.getfixturevalue(method)
        expected = measured(subject, job(), context(tmp_path / "whole"))
        steps = min(questions, 8)
        with pytest.raises(Cancelled, match=f"after {steps} steps"):
            measured(subject, job(), context(tmp_path / "cut", self.cancel_after(questions)))
        measured(subject, job(seed=9), context(tmp_path / "other"))
        first, *_, last = subject.run(job(), context(tmp_path / "cut"))
        assert first == Progress(step=steps, total=8, note="continued from a checkpoint", cost={"tokens": 0})
        assert last.metrics == expected.metrics
        assert last.cost["tokens"] < expected.cost["tokens"]

    def test_a_cancelled_baseline_ends(self, objective: Objective, tmp_path: Path) -> None:
        with pytest.raises(Cancelled, match="untuned"):
            measured(objective, job(None), context(tmp_path, self.cancel_after(0)))

    def test_a_job_that_was_killed_continues_from_its_last_checkpoint(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        subject = settings(base, checkpoint_every=3).build(domains, root)
        expected = measured(subject, job(), context(tmp_path / "whole"))

        def killed() -> bool:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return False

        left = 5
        with pytest.raises(KeyboardInterrupt):
            measured(subject, job(), context(tmp_path / "cut", killed))
        first, *_, last = subject.run(job(), context(tmp_path / "cut"))
        assert first == Progress(step=3, total=8, note="continued from a checkpoint", cost={"tokens": 0})
        assert isinstance(last, Measurement)
        assert last.metrics == expected.metrics

    def test_a_job_keeps_no_checkpoints_unless_asked_to(self, objective: Objective, tmp_path: Path) -> None:
        measured(objective, job(), context(tmp_path))
        assert not list((tmp_path / "checkpoint").iterdir())


class TestBuild:
    def test_refuses_a_base_model_that_cannot_be_loaded(
        self, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "bert"}')
        with pytest.raises(OptionsError, match=r"objective\.base_model: .* cannot be loaded"):
            settings(tmp_path).build(domains, root)

    def test_refuses_rows_longer_than_the_model_reads(self, base: Path, root: Path, domains: Sequence[Domain]) -> None:
        with pytest.raises(OptionsError, match=r"max_length is 65, .* at most 64"):
            settings(base, max_length=65).build(domains, root)

    def test_refuses_an_adapter_on_layers_that_are_not_there(
        self, base: Path, root: Path, domains: Sequence[Domain]
    ) -> None:
        with pytest.raises(OptionsError, match=r"objective\.lora\.target_modules: .*no_such_layer"):
            settings(base, lora={"target_modules": ["no_such_layer"]}).build(domains, root)

    def test_refuses_a_gpu_that_is_not_there(
        self, base: Path, root: Path, domains: Sequence[Domain], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(OptionsError, match=r"gpus is 1, .* finds no GPU"):
            settings(base, resources={"gpus": 1}).build(domains, root)

    def test_refuses_bad_rows_with_file_and_line(self, base: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.jsonl").write_text('{"instruction": "a"}\n')
        with pytest.raises(DataError, match=r"bad\.jsonl:1: fits no format, found the keys 'instruction'"):
            settings(base).build([Domain(name="a", test=(Path("bad.jsonl"),))], tmp_path)

    def test_says_how_many_rows_it_cuts(self, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        rows = [*rows_of("colours", 3, "x"), Row.of("long " * 50, "red", "red")]
        write_rows(tmp_path / "rows.jsonl", rows)
        settings(base).build([Domain(name="colours", test=(Path("rows.jsonl"),))], tmp_path)
        assert "1 of 4 rows of 'colours' are cut to 48 tokens" in caplog.text

    def test_takes_rows_for_too_long_only_once_the_model_is_here(
        self, base: Path, root: Path, domains: Sequence[Domain], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A model of the hub comes by being loaded: counted earlier, other rows would be left out the first time."""
        called = []

        def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                called.append(name)
                return original(*arguments)

            return call

        monkeypatch.setattr(assembly, "ready", noted("ready", assembly.ready))
        monkeypatch.setattr(HfBackend, "capacity", noted("capacity", HfBackend.capacity))
        settings(base).build(domains, root)
        assert called == ["ready", "capacity"]


class TestConversations:
    """Rows of several turns, with and without a system message, beside plain ones."""

    @pytest.fixture
    def chats(self, tmp_path: Path) -> Path:
        """A study's folder: what the assistant answers last follows from what was said first."""
        root = tmp_path / "chats"
        again = [{"role": "assistant", "content": "sure?"}, {"role": "user", "content": "sure"}]
        for split, count in (("train", 30), ("test", 12)):
            write_rows(root / "shapes" / f"{split}.jsonl", rows_of("shapes", count, split))
            lines = []
            for i, row in enumerate(rows_of("colours", count, f"chats/{split}")):
                messages = [
                    *([{"role": "system", "content": "say the colour"}] if i % 3 == 0 else []),
                    {"role": "user", "content": row.instruction},
                    *(again if i % 2 == 0 else []),
                    {"role": "assistant", "content": row.output},
                ]
                lines.append(json.dumps({"messages": messages, "label": row.label}))
            (root / "chats").mkdir(exist_ok=True)
            (root / "chats" / f"{split}.jsonl").write_text("\n".join(lines))
        return root

    DOMAINS = tuple(
        Domain(name=name, train=(Path(f"{name}/train.jsonl"),), test=(Path(f"{name}/test.jsonl"),))
        for name in ("chats", "shapes")
    )

    @pytest.mark.parametrize("policy", [DataPolicy(), DataPolicy(weigh_by=Weigh.TOKENS)])
    def test_are_trained_on_and_scored(self, base: Path, chats: Path, policy: DataPolicy, tmp_path: Path) -> None:
        assert {len(row.messages) for row in read_rows([chats / "chats" / "test.jsonl"])} == {2, 3, 4, 5}
        subject = settings(base, max_length=64).build(self.DOMAINS, chats, policy)
        untuned = measured(subject, job(None), context(tmp_path / "untuned")).metrics
        found = measured(subject, job(Mixture.of({"chats": 0.75, "shapes": 0.25})), context(tmp_path / "tuned"))
        assert found.metrics["chats/perplexity"].value < untuned["chats/perplexity"].value
        assert set(found.metrics) == {
            f"{name}/{metric}"
            for name in ("chats", "shapes")
            for metric, kind in KINDS.items()
            if not kind.needs_answers
        }
        assert sum(found.rows.values()) == 32

    def test_a_continued_job_gives_the_same(self, base: Path, chats: Path, tmp_path: Path) -> None:
        policy = DataPolicy(weigh_by=Weigh.TOKENS)
        mixture = Mixture.of({"chats": 0.5, "shapes": 0.5})
        subject = settings(base, max_length=64).build(self.DOMAINS, chats, policy)
        expected = measured(subject, job(mixture), context(tmp_path / "whole"))
        asked = iter(range(1000))
        with pytest.raises(Cancelled, match="after 3 steps"):
            measured(subject, job(mixture), context(tmp_path / "cut", lambda: next(asked) >= 3))
        fresh = settings(base, max_length=64).build(self.DOMAINS, chats, policy)
        first, *_, last = fresh.run(job(mixture), context(tmp_path / "cut"))
        assert first == Progress(step=3, total=8, note="continued from a checkpoint", cost={"tokens": 0})
        assert isinstance(last, Measurement)
        assert (last.metrics, last.rows, last.realised) == (expected.metrics, expected.rows, expected.realised)

    def test_that_the_template_cannot_show_are_an_error(self, base: Path, chats: Path, tmp_path: Path) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        said = [{"role": "user", "content": "colour?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
        with (chats / "chats" / "train.jsonl").open("a") as file:
            file.write("\n" + json.dumps({"messages": said}) + "\n")
        subject = settings(base, max_length=64).build(self.DOMAINS, chats)
        with pytest.raises(DataError, match="chat template has no place for calls of tools"):
            measured(subject, job(Mixture.of({"chats": 1, "shapes": 0})), context(tmp_path / "tuned"))


class TestWhatTheStudyWantsOfItsData:
    @pytest.fixture
    def uneven(self, tmp_path: Path) -> Path:
        """The study's folder, but rows of `shapes` have three times the tokens of those of `colours`."""
        root = tmp_path / "uneven"
        for split, count in (("train", 40), ("test", 6)):
            long = [
                Row.of(f"{row.instruction} {'and so on ' * 3}", row.output, row.label)
                for row in rows_of("shapes", count, split)
            ]
            write_rows(root / "shapes" / f"{split}.jsonl", long)
            write_rows(root / "colours" / f"{split}.jsonl", rows_of("colours", count, split))
        return root

    def test_shares_can_be_of_tokens(
        self, base: Path, uneven: Path, domains: Sequence[Domain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trained: dict[str, int] = {"colours": 0, "shapes": 0}
        made = Training.__init__

        def note(self: Training, learner: Any, data: Any, order: Any, *more: Any) -> None:
            for domain, row in order.tolist():
                trained[("colours", "shapes")[domain]] += int(data[domain].lengths[row])
            made(self, learner, data, order, *more)

        monkeypatch.setattr(Training, "__init__", note)
        # Rows are cut to 24 tokens, and it is what is left of them that counts.
        subject = settings(base, max_length=24, steps=10).build(domains[:2], uneven, DataPolicy(weigh_by=Weigh.TOKENS))
        mixture = Mixture.of({"colours": 0.4, "shapes": 0.6})
        found = measured(subject, job(mixture), context(tmp_path))
        assert sum(found.rows.values()) == 40
        assert found.realised == Mixture.from_weights(trained)
        assert abs(trained["colours"] - 0.4 * sum(trained.values())) < 24
        assert found.rows["colours"] > 16 + 2, "shorter rows take more than their share of the rows"

    def test_rows_that_are_left_out_are_never_trained_on(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("colours", "shapes"):
            rows = rows_of(name, 10, "train")
            if name == "colours":
                rows += [Row.of("too long " * 30, "red", "red"), *rows_of("colours", 4, "test"), *rows[:3]]
            write_rows(tmp_path / name / "train.jsonl", rows)
            write_rows(tmp_path / name / "test.jsonl", rows_of(name, 8, "test"))
        with (tmp_path / "colours" / "train.jsonl").open("a") as file:
            file.write("no row\n")
        drops = (Finding.TOO_LONG, Finding.LEAKAGE, Finding.DUPLICATES, Finding.BAD_ROWS)
        policy = DataPolicy(actions={**DEFAULT_POLICY.actions, **dict.fromkeys(drops, Action.DROP)})
        subject = settings(base, steps=8).build(domains[:2], tmp_path, policy)
        seen: list[Row] = []

        def note(rows: Sequence[Row], *more: Any) -> Any:
            seen.extend(rows)
            return encode(rows, *more)

        monkeypatch.setattr(assembly, "encode", note)
        found = measured(subject, job(Mixture.of({"colours": 1, "shapes": 0})), context(tmp_path / "job"))
        assert found.rows["colours"] == 32
        tested = {row.text for row in rows_of("colours", 8, "test")}
        allowed = [row for row in dict.fromkeys(rows_of("colours", 10, "train")) if row.text not in tested]
        assert sorted(row.text for row in seen) == sorted(row.text for row in allowed)

    def test_a_domain_is_not_repeated_more_often_than_allowed(
        self, base: Path, root: Path, domains: Sequence[Domain], tmp_path: Path
    ) -> None:
        subject = settings(base, steps=5, batch_size=6).build(domains, root, DataPolicy(max_epochs=0.5))
        assert measured(subject, job(), context(tmp_path)).rows == {"colours": 15, "shapes": 15}
        with pytest.raises(
            DataError, match=r"30 of 30 rows of 'colours', but this domain has 30, .* until 15 are used"
        ):
            measured(subject, job(Mixture.of({"colours": 1, "shapes": 0})), context(tmp_path / "more"))
