"""The training file of a recipe, as any trainer or platform would get it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.backends.sagemaker.blend import TrainingFile
from objectives.backends.sagemaker.percentages import Percentages
from objectives.base import Context, Job, JobKind
from objectives.data import ESTIMATE, Corpus, Format, Row, read_rows, usable
from objectives.data.rows import parse
from objectives.errors import DataError, OptionsError
from ratio_search.errors import SpecError
from ratio_search.mix import Order, manifest_file, mix, shards
from ratio_search.recipe import Recipe
from ratio_search.spec import StudySpec
from ratio_search.train import train
from tests.ratio_search.formats.nova_contract import restated
from tests.ratio_search.recipes import recipe_of as recipe_in
from tests.services.sagemaker.study import small_nova_study

SHARES = {"support": 0.5, "legal": 0.2, "manuals": 0.3}
EPOCHS = {"support": 1.0, "legal": 0.6, "manuals": 1.8}
"""Those of a trial on the 60 rows that the small study's fine-tunes take."""

CHAT = {
    "messages": [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
    ]
}


@pytest.fixture
def made(small_study: Any) -> Callable[..., Recipe]:
    """Makes the recipe of a small study; keywords replace keys of the study file."""

    def make(**keys: Any) -> Recipe:
        return recipe_of(small_study(**keys))

    return make


@pytest.fixture
def recipe(made: Callable[..., Recipe]) -> Recipe:
    return made()


def recipe_of(small: Any, epochs: dict[str, float | None] | None = None) -> Recipe:
    """A recipe as a small study would export it that recommends `SHARES`."""
    return recipe_in(small.file, SHARES, EPOCHS if epochs is None else epochs)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def domains_of(path: Path) -> list[str]:
    """The domain of each row, by what the small study's instructions begin with."""
    return [line["instruction"].split()[0] for line in lines(path)]


def add_row(recipe: Recipe, name: str, row: dict[str, Any]) -> Path:
    file = Path(recipe.root) / "data" / f"{name}.train.jsonl"
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")
    return file


class TestTheRows:
    @pytest.mark.parametrize("format_", Format)
    @pytest.mark.parametrize("weigh_by", ["rows", "tokens"])
    def test_are_those_that_the_command_objective_hands_over_for_the_same_trial(
        self, made: Callable[..., Recipe], format_: Format, weigh_by: str, tmp_path: Path
    ) -> None:
        argv = ["{python}", "-c", "import os, shutil, json; job = json.load(open(os.environ['RATIO_SEARCH_JOB']))\n"]
        argv[-1] += "shutil.copy(job['train_file'], 'handed.jsonl')\nopen(job['result_file'], 'w').write('{}')"
        objective = {"kind": "command", "argv": argv, "rows": 47, "format": format_.value}
        recipe = made(objective=objective, data={"weigh_by": weigh_by})
        spec = StudySpec.parse(recipe.study_file, Path(recipe.root))
        attempt = Context(folder=tmp_path / "attempt", checkpoint=tmp_path / "attempt" / "checkpoint")
        attempt.checkpoint.mkdir(parents=True)
        job = Job(id=recipe.trial, kind=JobKind.TRIAL, mixture=recipe.mixture, seeds=recipe.seeds)
        with pytest.raises(Exception, match="metrics"):  # it reports none
            list(spec.blueprint.build().run(job, attempt))
        mix(recipe, tmp_path / "mix.jsonl", Order(format=format_))
        handed = (Path(recipe.root) / "handed.jsonl").read_bytes()
        assert handed.count(b"\n") == 47
        assert re.sub(rb'^\{"domain":"[a-z]+",', b"{", handed, flags=re.M) == (tmp_path / "mix.jsonl").read_bytes()

    def test_are_the_same_in_every_format(self, recipe: Recipe, tmp_path: Path) -> None:
        found: dict[Format, tuple[Row, ...]] = {}
        for format_ in Format:
            file = tmp_path / f"{format_}.jsonl"
            mix(recipe, file, Order(format=format_))
            assert all(parse(line).format is format_ for line in file.read_bytes().splitlines())  # type: ignore[union-attr]
            found[format_] = read_rows([file])
        assert len(found[Format.INSTRUCTION]) == 60
        # Labels are for evaluation, and platforms refuse keys that they do not know.
        unlabelled = tuple(dataclasses.replace(row, label=None) for row in found[Format.INSTRUCTION])
        assert all(rows == unlabelled for format_, rows in found.items() if format_ is not Format.INSTRUCTION)

    def test_hold_the_shares_from_the_first_on(self, recipe: Recipe, tmp_path: Path) -> None:
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=100))
        order = domains_of(tmp_path / "mix.jsonl")
        for end in range(1, 101):
            assert all(abs(order[:end].count(name) - share * end) < 1 for name, share in SHARES.items())

    def test_come_in_the_trials_order_unless_a_seed_is_given(self, recipe: Recipe, tmp_path: Path) -> None:
        files = {seed: tmp_path / f"{seed}.jsonl" for seed in (None, 5, 6)}
        for seed, file in files.items():
            assert mix(recipe, file, Order(seed=seed)).blend.seed == (5 if seed is None else seed)
        assert files[None].read_bytes() == files[5].read_bytes() != files[6].read_bytes()

    def test_that_the_study_leaves_out_are_left_out(self, made: Callable[..., Recipe], tmp_path: Path) -> None:
        recipe = made(data={"audit": {"leakage": "drop", "bad_rows": "drop"}})
        add_row(recipe, "legal", {"instruction": "legal test 1", "output": "yes", "label": "yes"})
        with add_row(recipe, "legal", {"instruction": "support test 1", "output": "yes"}).open("a") as file:
            file.write("no row\n")
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=1000))
        known = {line["instruction"] for line in lines(tmp_path / "mix.jsonl")}
        assert len(known) == 60
        assert not [instruction for instruction in known if "test" in instruction]


class TestTheLength:
    def test_is_that_of_the_studys_fine_tunes_unless_it_is_stated(self, recipe: Recipe, tmp_path: Path) -> None:
        mix(recipe, tmp_path / "own.jsonl", Order())
        mix(recipe, tmp_path / "stated.jsonl", Order(rows=7))
        assert (len(lines(tmp_path / "own.jsonl")), len(lines(tmp_path / "stated.jsonl"))) == (60, 7)
        # A shorter run is the beginning of a longer one.
        assert (tmp_path / "own.jsonl").read_bytes().startswith((tmp_path / "stated.jsonl").read_bytes())

    def test_in_tokens_ends_with_the_last_row_that_fits(self, recipe: Recipe, tmp_path: Path) -> None:
        done = mix(recipe, tmp_path / "mix.jsonl", Order(tokens=104))
        assert done.tally.tokens is not None
        assert sum(done.tally.tokens.values()) == 100  # each has 5
        assert len(lines(tmp_path / "mix.jsonl")) == 20

    def test_in_tokens_has_room_for_a_row(self, recipe: Recipe, tmp_path: Path) -> None:
        out = tmp_path / "mix.jsonl"
        out.write_text("old")
        with pytest.raises(DataError, match=r"a mix of 1 tokens has no room for its first row; ask for more"):
            mix(recipe, out, Order(tokens=1))
        assert out.read_text() == "old"

    def test_in_steps_is_of_the_studys_batches(
        self, made: Callable[..., Recipe], tokenizer_folder: Path, tmp_path: Path
    ) -> None:
        recipe = made(objective={"kind": "hf", "base_model": str(tokenizer_folder), "steps": 5, "batch_size": 4})
        mix(recipe, tmp_path / "mix.jsonl", Order(steps=3))
        assert len(lines(tmp_path / "mix.jsonl")) == 12
        mix(recipe, tmp_path / "mix.jsonl", Order())
        assert len(lines(tmp_path / "mix.jsonl")) == 20

    def test_is_that_of_the_recipes_own_settings(
        self, made: Callable[..., Recipe], tokenizer_folder: Path, tmp_path: Path
    ) -> None:
        recipe = made(objective={"kind": "hf", "base_model": str(tokenizer_folder), "steps": 5, "batch_size": 4})
        found = dataclasses.replace(recipe, hyperparameters={"steps": 7, "batch_size": 2})
        mix(found, tmp_path / "mix.jsonl", Order(steps=3))
        assert len(lines(tmp_path / "mix.jsonl")) == 6
        mix(found, tmp_path / "mix.jsonl", Order())
        assert len(lines(tmp_path / "mix.jsonl")) == 14

    def test_in_steps_is_not_known_of_a_trainer_of_ones_own(self, recipe: Recipe, tmp_path: Path) -> None:
        with pytest.raises(
            SpecError, match=r"'command' does not say how many rows a step takes; state the rows or the"
        ):
            mix(recipe, tmp_path / "mix.jsonl", Order(steps=3))
        assert list(tmp_path.glob("*mix*")) == []

    def test_must_be_stated_where_the_trainer_decides(
        self, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("objectives.backends.command.CommandBackend.train_rows", None)
        with pytest.raises(SpecError, match=r"does not say how long its fine-tunes are; state the rows of the mix"):
            mix(recipe, tmp_path / "mix.jsonl", Order())
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=9))
        assert len(lines(tmp_path / "mix.jsonl")) == 9

    def test_keeps_the_studys_caps(self, made: Callable[..., Recipe], tmp_path: Path) -> None:
        recipe = made(data={"max_epochs": 2})
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=66))
        with pytest.raises(DataError, match=r"500 of 1,000 rows of 'support'.*or raise max_epochs"):
            mix(recipe, tmp_path / "more.jsonl", Order(rows=1000))
        assert not (tmp_path / "more.jsonl").exists()


class TestTheFiles:
    def test_of_a_split_mix_follow_on_each_other(self, recipe: Recipe, tmp_path: Path) -> None:
        mix(recipe, tmp_path / "whole.jsonl", Order())
        done = mix(recipe, tmp_path / "mix.jsonl", Order(shards=7))
        names = [f"mix-{i:05}-of-00007.jsonl" for i in range(7)]
        assert [file.path.name for file in done.files] == names
        parts = [(tmp_path / name).read_bytes() for name in names]
        assert b"".join(parts) == (tmp_path / "whole.jsonl").read_bytes()
        assert {part.count(b"\n") for part in parts} == {8, 9}
        assert not (tmp_path / "mix.jsonl").exists()

    def test_have_names_with_their_numbers(self) -> None:
        assert shards(Path("a/mix.jsonl"), 1) == (Path("a/mix.jsonl"),)
        assert shards(Path("a/mix.v2.jsonl"), 2)[1] == Path("a/mix.v2-00001-of-00002.jsonl")
        assert shards(Path("mix"), 12)[0] == Path("mix-00000-of-00012")
        assert manifest_file(Path("a/mix.jsonl")) == Path("a/mix.jsonl.manifest.json")

    def test_replace_what_stood_there(self, recipe: Recipe, tmp_path: Path) -> None:
        (tmp_path / "mix.jsonl").write_text("old")
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=3))
        assert len(lines(tmp_path / "mix.jsonl")) == 3

    @pytest.mark.parametrize("out", ["nowhere/mix.jsonl", "folder"])
    def test_in_a_place_that_cannot_be_written_to_leave_nothing(self, recipe: Recipe, out: str, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError, match=r"cannot be written \(.*\); free some room, or choose another place"):
            mix(recipe, tmp_path / out, Order())
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize("order", [Order(), Order(shards=2)])
    def test_are_never_the_studys_own_data(self, recipe: Recipe, order: Order, tmp_path: Path) -> None:
        data = Path(recipe.root) / "data"
        own = data / "legal.train.jsonl"
        if order.shards > 1:
            own = own.rename(data / "legal-00001-of-00002.jsonl")
            text = recipe.study_file.replace("legal.train.jsonl", own.name)
            recipe = dataclasses.replace(recipe, study_file=text)
        before = own.read_bytes()
        (tmp_path / "link").symlink_to(data)
        out = tmp_path / "link" / ("legal.train.jsonl" if order.shards == 1 else "legal.jsonl")
        with pytest.raises(DataError, match=r"is data of the study, which is only read; choose another file"):
            mix(recipe, out, order)
        assert own.read_bytes() == before

    def test_that_cannot_be_finished_leave_what_stood_there(self, recipe: Recipe, tmp_path: Path) -> None:
        add_row(recipe, "legal", CHAT)
        out = tmp_path / "mix.jsonl"
        out.write_text("old")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError):
            mix(recipe, out, Order(rows=1000))
        assert out.read_text() == "old"
        assert sorted(tmp_path.rglob("*")) == before


class TestTheManifest:
    def test_says_what_was_asked_for_and_what_came_of_it(self, recipe: Recipe, tmp_path: Path) -> None:
        add_row(recipe, "manuals", {"instruction": "long", "output": "word " * 200})
        out = tmp_path / "mix.jsonl"
        done = mix(recipe, out, Order(rows=60, format=Format.MESSAGES, shards=2))
        stated = json.loads(manifest_file(out).read_text())
        assert stated == done.to_json()
        found = [read_rows([file.path]) for file in done.files]
        rows = [row for part in found for row in part]
        tokens = [-(-len(row.text.encode()) // 4) for row in rows]
        names = ["manuals" if row.instruction == "long" else row.instruction.split()[0] for row in rows]
        assert (stated["rows"], stated["tokens"]) == (60, sum(tokens))
        data = Path(recipe.root) / "data"
        for name, share in SHARES.items():
            its = stated["domains"][name]
            assert its["share"] == share
            assert its["rows"] == names.count(name)
            assert its["share_of_rows"] == names.count(name) / 60
            assert its["tokens"] == sum(count for one, count in zip(names, tokens, strict=True) if one == name)
            assert its["share_of_tokens"] == its["tokens"] / sum(tokens)
            assert its["epochs"] == names.count(name) / {"support": 30, "legal": 20, "manuals": 11}[name]
            # Of the data as it was mixed, whatever it was in the study.
            assert its["sha256"] == [hashlib.sha256((data / f"{name}.train.jsonl").read_bytes()).hexdigest()]
        assert stated["files"] == [
            {
                "name": f"mix-0000{i}-of-00002.jsonl",
                "rows": 30,
                "bytes": done.files[i].path.stat().st_size,
                "sha256": hashlib.sha256(done.files[i].path.read_bytes()).hexdigest(),
            }
            for i in range(2)
        ]
        rest = {key: value for key, value in stated.items() if key not in {"rows", "tokens", "domains", "files"}}
        assert rest == {
            "study": "small",
            "identity": "0123456789abcdef",
            "trial": "trial-0004",
            "format": "messages",
            "weigh_by": "rows",
            "seed": 5,
            "tokens_counted": ESTIMATE,
            "warnings": [],
        }

    def test_of_weighed_tokens_has_shares_near_the_asked_ones(
        self, made: Callable[..., Recipe], tmp_path: Path
    ) -> None:
        recipe = made(data={"weigh_by": "tokens"})
        for i in range(20):
            add_row(recipe, "manuals", {"instruction": f"long {i}", "output": "word " * 10})
        stated = mix(recipe, tmp_path / "mix.jsonl", Order(rows=500)).to_json()
        assert stated["weigh_by"] == "tokens"
        longest = 15
        for name, share in SHARES.items():
            assert abs(stated["domains"][name]["tokens"] - share * stated["tokens"]) < longest
        assert stated["domains"]["manuals"]["share_of_rows"] < 0.25

    def test_says_when_the_base_model_counted(
        self, made: Callable[..., Recipe], tokenizer_folder: Path, tmp_path: Path
    ) -> None:
        recipe = made(objective={"kind": "hf", "base_model": str(tokenizer_folder)})
        stated = mix(recipe, tmp_path / "mix.jsonl", Order(rows=10)).to_json()
        assert stated["tokens_counted"] == f"counted with the tokenizer of {tokenizer_folder}"
        assert stated["tokens"] != 50  # what would be estimated


class TestWarnings:
    def warned(self, recipe: Recipe, order: Order, out: Path) -> list[str]:
        return [warning.split(";")[0] for warning in mix(recipe, out, order).warnings]

    def test_there_is_none_at_the_studys_own_length(self, recipe: Recipe, tmp_path: Path) -> None:
        assert self.warned(recipe, Order(), tmp_path / "mix.jsonl") == []
        assert self.warned(recipe, Order(rows=70), tmp_path / "mix.jsonl") == []  # manuals 2.1 times

    def test_other_repetition_is_warned_about(self, recipe: Recipe, tmp_path: Path) -> None:
        assert self.warned(recipe, Order(rows=120), tmp_path / "mix.jsonl") == [
            "'support' is passed over 2.00 times here and was 1.00 times in the study",
            "'manuals' is passed over 3.60 times here and was 1.80 times in the study",
        ]
        assert self.warned(recipe, Order(rows=30), tmp_path / "mix.jsonl") == [
            "'manuals' is passed over 0.90 times here and was 1.80 times in the study"
        ]

    def test_where_nothing_repeats_nothing_is_said(self, small_study: Any, tmp_path: Path) -> None:
        recipe = recipe_of(small_study(), epochs={"support": 0.1, "legal": 0.9, "manuals": 1.0})
        assert self.warned(recipe, Order(rows=30), tmp_path / "mix.jsonl") == []

    def test_nor_where_the_study_does_not_know(self, small_study: Any, tmp_path: Path) -> None:
        recipe = recipe_of(small_study(), epochs=dict.fromkeys(SHARES))
        assert self.warned(recipe, Order(rows=600), tmp_path / "mix.jsonl") == []


class TestWhatIsRefused:
    def test_data_that_is_gone(self, recipe: Recipe, tmp_path: Path) -> None:
        (Path(recipe.root) / "data" / "legal.train.jsonl").unlink()
        with pytest.raises(DataError, match=r"domains\.legal\.train: .*legal\.train\.jsonl: cannot be read"):
            mix(recipe, tmp_path / "mix.jsonl", Order())

    def test_a_base_model_that_is_gone(self, made: Callable[..., Recipe], tmp_path: Path) -> None:
        recipe = made(objective={"kind": "hf", "base_model": "./gone"})
        with pytest.raises(OptionsError, match=r"objective\.base_model: .*gone is no folder"):
            mix(recipe, tmp_path / "mix.jsonl", Order())

    def test_a_row_that_the_format_cannot_hold(self, recipe: Recipe, tmp_path: Path) -> None:
        add_row(recipe, "legal", CHAT)
        with pytest.raises(DataError, match=r"legal\.train\.jsonl:21: the format instruction cannot hold .* messages"):
            mix(recipe, tmp_path / "mix.jsonl", Order(rows=200))
        assert not (tmp_path / "mix.jsonl").exists()
        mix(recipe, tmp_path / "mix.jsonl", Order(rows=200, format=Format.MESSAGES))
        assert CHAT in lines(tmp_path / "mix.jsonl")

    def test_a_recipe_whose_study_file_was_spoilt(self, recipe: Recipe, tmp_path: Path) -> None:
        document = yaml.safe_load(recipe.study_file)
        spoilt = dataclasses.replace(recipe, study_file=yaml.safe_dump({**document, "serach": {}}))
        with pytest.raises(SpecError, match=r"^the recipe's study file:\nserach: unknown key"):
            mix(spoilt, tmp_path / "mix.jsonl", Order())


class TestOfAmazonNova:
    """The team's own domains alone: the service adds its own data itself."""

    @pytest.fixture
    def recipe(self, tmp_path: Path) -> Recipe:
        file = small_nova_study(tmp_path / "nova")
        return recipe_in(file, {"voc": 0.35, "support": 0.25, "code": 0.1, "reasoning": 0.2, "other": 0.1})

    def test_the_file_is_the_one_that_the_trial_trained_on(self, recipe: Recipe, tmp_path: Path) -> None:
        for shares in (
            recipe.shares,
            {"voc": 0.3, "support": 0.3, "code": 0.1, "reasoning": 0.1, "other": 0.2},
            {"voc": 0.01, "support": 0.0, "code": 0.99, "reasoning": 0.0, "other": 0.0},
            {"voc": 0.0, "support": 0.0, "code": 0.0, "reasoning": 0.0, "other": 1.0},
            {"voc": 0.123456789, "support": 0.876543211, "code": 0.0, "reasoning": 0.0, "other": 0.0},
        ):
            found = dataclasses.replace(recipe, shares=shares, hyperparameters={"steps": 10})
            spec = found.spec
            corpus = usable(Corpus.open(spec.domains, spec.root, spec.data), spec.backend.capacity(spec.root))
            percentages = Percentages.of(found.mixture, spec.domains)
            sent = TrainingFile.make(
                corpus, percentages, seed=found.seeds.data, rows=320, batch_size=32, folder=tmp_path
            )
            done = mix(found, tmp_path / "mix.jsonl", Order(format=Format.CONVERSE))
            assert done.files[0].sha256 == sent.sha256

    def test_its_rows_are_the_teams_part_of_a_run_or_as_many_as_are_stated(
        self, recipe: Recipe, tmp_path: Path
    ) -> None:
        for order, rows in ((Order(), 384), (Order(steps=10), 192), (Order(rows=100), 100)):
            done = mix(recipe, tmp_path / "mix.jsonl", order)
            assert sum(done.tally.rows.values()) == rows
            assert abs(done.tally.rows["voc"] - rows * 0.35 / 0.6) < 1
            assert set(done.to_json()["domains"]) == {"voc", "support"}

    def test_a_run_of_it_is_no_run_here(self, recipe: Recipe, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"run elsewhere \(objective\.kind: sagemaker\), so there is no trainer"):
            next(train(recipe, tmp_path / "trained"))
        assert not (tmp_path / "trained").exists()

    def test_a_share_at_its_cap_stays_within_it_however_it_is_rounded(self, recipe: Recipe, tmp_path: Path) -> None:
        # A run has 640 rows and the domain 160, so that its cap is a quarter; 25.06 % are told as 25.1 %.
        capped = restated(recipe, {}, data={"max_epochs": 1})
        shares = {"voc": 0.2506, "support": 0.0, "code": 0.7494, "reasoning": 0.0, "other": 0.0}
        done = mix(dataclasses.replace(capped, shares=shares), tmp_path / "mix.jsonl", Order())
        assert done.tally.rows == {"voc": 161, "support": 0}
