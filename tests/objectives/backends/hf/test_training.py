from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from objectives.backends.hf import LoraOptions
from objectives.backends.hf.encoding import Encoded, encode
from objectives.backends.hf.learner import Learner
from objectives.backends.hf.model import Placement, load, prepare
from objectives.backends.hf.template import Template
from objectives.backends.hf.training import Schedule, Training
from objectives.errors import ObjectiveError
from tests.objectives.backends.hf.conftest import rows_of

SCHEDULE = Schedule(steps=6, batch_size=4, micro_batch_size=4, learning_rate=1e-2, warmup_steps=2, weight_decay=0.0)
ORDER = np.array([(i % 2, i % 10) for i in range(24)], dtype=np.int64)


@pytest.fixture
def learner(base: Path) -> Learner:
    return prepare(*load(base, torch.float32, 64), LoraOptions(dropout=0.2), Placement(device=torch.device("cpu")))


@pytest.fixture
def data(base: Path) -> list[Encoded]:
    tokenizer, _ = load(base, torch.float32, 64)
    template = Template.of(tokenizer)
    return [encode(rows_of(name, 10, "train"), tokenizer, template, 64) for name in ("colours", "echoes")]


def trained(learner: Learner, data: list[Encoded], schedule: Schedule = SCHEDULE, seed: int = 1) -> list[float]:
    """The losses of a whole run from the beginning."""
    learner.reset(0)
    training = Training(learner, data, ORDER, schedule, seed)
    return [training.advance() for _ in range(schedule.steps)]


class TestSchedule:
    @given(steps=st.integers(1, 50), data=st.data())
    def test_rises_to_the_peak_and_falls_towards_0(self, steps: int, data: st.DataObject) -> None:
        warmup = data.draw(st.integers(0, steps - 1))
        schedule = dataclasses.replace(SCHEDULE, steps=steps, warmup_steps=warmup)
        rates = [schedule.rate(step) for step in range(steps)]
        assert max(rates) == rates[warmup] == schedule.learning_rate
        assert rates[:warmup] == sorted(rates[:warmup])
        assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
        assert min(rates) > 0


class TestTraining:
    def test_lowers_the_loss_and_counts(self, learner: Learner, data: list[Encoded]) -> None:
        learner.reset(0)
        training = Training(learner, data, ORDER, SCHEDULE, 1)
        losses = []
        while not training.done:
            losses.append(training.advance())
        assert losses[-1] < losses[0]
        assert training.step == 6
        assert training.tokens == sum(len(data[which].row(i)) for which, i in ORDER)

    def test_takes_the_rows_in_order(self, learner: Learner, data: list[Encoded]) -> None:
        learner.reset(0)
        later = Training(learner, data, ORDER, SCHEDULE, 1)
        first = later.advance()
        learner.reset(0)
        assert Training(learner, data, np.roll(ORDER, -4, axis=0), SCHEDULE, 1).advance() != first
        learner.reset(0)
        # Only the first four rows matter to the first step.
        swapped = np.concatenate([ORDER[:4], ORDER[:3:-1]])
        assert Training(learner, data, swapped, SCHEDULE, 1).advance() == first

    def test_repeats_itself(self, learner: Learner, data: list[Encoded]) -> None:
        losses = trained(learner, data)
        torch.rand(5)  # what others draw does not matter
        learner.model.eval()  # nor how the model was left
        assert trained(learner, data) == losses
        assert trained(learner, data, seed=2) != losses

    def test_draws_dropout_from_a_generator_of_its_own(self, learner: Learner, data: list[Encoded]) -> None:
        before = torch.get_rng_state()
        trained(learner, data)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("size", [1, 3])
    def test_in_parts_is_the_same_training(self, base: Path, data: list[Encoded], size: int) -> None:
        """Rows of unlike length in parts of unlike size: only one count for the whole step gives this."""
        plain = prepare(*load(base, torch.float32, 64), LoraOptions(), Placement(device=torch.device("cpu")))
        whole = trained(plain, data)
        parts = trained(plain, data, dataclasses.replace(SCHEDULE, micro_batch_size=size))
        assert parts == pytest.approx(whole, rel=1e-4)

    def test_that_diverges_says_where_and_what_to_do(self, learner: Learner, data: list[Encoded]) -> None:
        wild = dataclasses.replace(SCHEDULE, learning_rate=1e30)
        with pytest.raises(ObjectiveError, match=r"no longer finite at step [2-6] of 6 .*lower objective\.learning"):
            trained(learner, data, wild)


class TestCheckpoint:
    def test_continues_as_if_nothing_had_happened(self, learner: Learner, data: list[Encoded], tmp_path: Path) -> None:
        losses = trained(learner, data)
        final = learner.state()
        learner.reset(0)
        first = Training(learner, data, ORDER, SCHEDULE, 1)
        begun = [first.advance() for _ in range(3)]
        first.save(tmp_path / "training.pt")
        learner.reset(5)
        second = Training(learner, data, ORDER, SCHEDULE, 1)
        assert second.restore(tmp_path / "training.pt")
        assert second.step == 3
        assert [*begun, *(second.advance() for _ in range(3))] == losses
        assert all(torch.equal(weight, final[name]) for name, weight in learner.state().items())
        assert second.tokens < sum(len(data[which].row(i)) for which, i in ORDER)

    def test_appears_complete_and_replaces_the_last(
        self, learner: Learner, data: list[Encoded], tmp_path: Path
    ) -> None:
        (tmp_path / "training.pt.partial").write_bytes(b"left by a process that died")
        training = Training(learner, data, ORDER, SCHEDULE, 1)
        for _ in range(2):
            training.advance()
            training.save(tmp_path / "training.pt")
        assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
        other = Training(learner, data, ORDER, SCHEDULE, 1)
        assert other.restore(tmp_path / "training.pt")
        assert other.step == 2

    def test_that_is_not_there_is_not_continued(self, learner: Learner, data: list[Encoded], tmp_path: Path) -> None:
        (tmp_path / "training.pt.partial").write_bytes(b"half a checkpoint")
        training = Training(learner, data, ORDER, SCHEDULE, 1)
        assert not training.restore(tmp_path / "training.pt")
        assert training.step == 0

    def test_that_is_damaged_is_not_continued(self, learner: Learner, data: list[Encoded], tmp_path: Path) -> None:
        training = Training(learner, data, ORDER, SCHEDULE, 1)
        training.save(tmp_path / "training.pt")
        whole = (tmp_path / "training.pt").read_bytes()
        for content in (b"", whole[: len(whole) // 2], b"something else"):
            (tmp_path / "training.pt").write_bytes(content)
            assert not training.restore(tmp_path / "training.pt")
            assert training.step == 0

    @pytest.mark.parametrize("change", ["order", "seed", "learning rate"])
    def test_of_another_run_is_not_continued(
        self, learner: Learner, data: list[Encoded], tmp_path: Path, change: str
    ) -> None:
        Training(learner, data, ORDER, SCHEDULE, 1).save(tmp_path / "training.pt")
        order = ORDER[::-1].copy() if change == "order" else ORDER
        schedule = dataclasses.replace(SCHEDULE, learning_rate=1e-3) if change == "learning rate" else SCHEDULE
        other = Training(learner, data, order, schedule, 2 if change == "seed" else 1)
        assert not other.restore(tmp_path / "training.pt")

    def test_may_be_continued_in_smaller_parts(self, learner: Learner, data: list[Encoded], tmp_path: Path) -> None:
        Training(learner, data, ORDER, SCHEDULE, 1).save(tmp_path / "training.pt")
        smaller = dataclasses.replace(SCHEDULE, micro_batch_size=2)
        assert Training(learner, data, ORDER, smaller, 1).restore(tmp_path / "training.pt")
