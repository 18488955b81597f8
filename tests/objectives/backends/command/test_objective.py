from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives import memory
from objectives.attempt import LOG_TAIL, Failure, FailureKind
from objectives.backends.command import CommandBackend
from objectives.base import Context, Estimate, Job, JobKind, Measurement, Objective, Progress, Seeds
from objectives.data import DEFAULT_POLICY, Action, DataPolicy, Finding, Format, Weigh, read_rows
from objectives.data.rows import parse
from objectives.domain import Domain
from objectives.errors import Cancelled, DataError, DeviceError, ObjectiveError, OptionsError, ResultError
from objectives.log import LOG_CAP
from objectives.mixture import Mixture
from tests.contracts import ObjectiveContract, measured

from .conftest import TRAINER

RESULT = "pathlib.Path(job['result_file']).write_text({text!r})"
GOOD = RESULT.format(text='{"metrics": {"colours/accuracy": 0.5, "shapes/accuracy": 0.25}}')

Make = Callable[..., Objective]


class TestContract(ObjectiveContract):
    @pytest.fixture
    def objective(self, command: Make) -> Objective:
        return command("{python}", str(TRAINER))

    @pytest.fixture
    def interruptible(self, command: Make) -> Objective:
        return command("{python}", str(TRAINER), "hold")


class TestTheDocumentation:
    @pytest.fixture
    def documents(self) -> list[Any]:
        """The JSON documents that docs/command-objective.md shows."""
        text = (Path(__file__).parents[4] / "docs" / "command-objective.md").read_text(encoding="utf-8")
        return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)]

    def test_shows_what_a_trainer_is_told(self, documents: list[Any], python: Make, job: Job, here: Context) -> None:
        measured(python(GOOD), job, here)
        assert set(documents[0]) == set(json.loads((here.folder / "handover.json").read_text()))

    def test_shows_a_result_that_is_understood(self, documents: list[Any]) -> None:
        measurement = Measurement.from_json(documents[1])
        assert measurement.metrics["support/f1"] == Estimate(value=0.81, stderr=0.02, rows=250)
        assert set(documents[1]) == {field.name for field in dataclasses.fields(Measurement)}


class TestWhatTheTrainerIsTold:
    @pytest.fixture
    def echo(self, python: Make) -> Objective:
        """Copies what it was told, so that the test can look at it after the job."""
        return python(
            "import shutil; shutil.copy(job['train_file'] or os.devnull, 'train.jsonl')\n"
            "json.dump([job, os.getcwd(), os.environ['FROM_OUTSIDE']], open('told.json', 'w'))\n" + GOOD
        )

    def test_everything_about_the_job(
        self, echo: Objective, root: Path, job: Job, here: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FROM_OUTSIDE", "inherited")
        measured(echo, job, here)
        told, cwd, inherited = json.loads((root / "told.json").read_text())
        assert Path(cwd) == root.resolve()
        assert inherited == "inherited"
        assert told == {
            "id": "trial-0004",
            "kind": "trial",
            "mixture": {"colours": 0.25, "shapes": 0.75},
            "seeds": {"data": 8, "training": 9},
            "attempt": 2,
            "hyperparameters": {"warmth": 0.5, "loss": "hinge"},
            "rows": {"colours": 6, "shapes": 18},
            "train_file": str(here.folder / "train.jsonl"),
            "test_files": {name: [str(root / f"{name}.test.jsonl")] for name in ("colours", "shapes", "watched")},
            "folder": str(here.folder),
            "checkpoint_folder": str(here.checkpoint),
            "progress_file": str(here.folder / "progress.jsonl"),
            "result_file": str(here.folder / "metrics.json"),
        }

    def test_the_blended_rows_in_order(
        self, echo: Objective, root: Path, job: Job, here: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FROM_OUTSIDE", "")
        measured(echo, job, here)
        rows = [json.loads(line) for line in (root / "train.jsonl").read_text().splitlines()]
        domains = [row["domain"] for row in rows]
        assert domains.count("colours") == 6 and domains.count("shapes") == 18
        # Interleaved: no quarter of the run lacks the smaller domain.
        assert all("colours" in domains[start : start + 6] for start in range(0, 24, 6))
        assert all(set(row) == {"domain", "instruction", "output", "label"} for row in rows)
        known = {row.instruction for row in read_rows([root / "shapes.train.jsonl"])}
        shapes = [row["instruction"] for row in rows if row["domain"] == "shapes"]
        assert len(set(shapes)) == 18 and set(shapes) <= known

    def test_a_baseline_has_neither_mixture_nor_rows(
        self, echo: Objective, root: Path, here: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FROM_OUTSIDE", "")
        baseline = Job(id="baseline", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=1, training=2))
        measured(echo, baseline, here)
        told, *_ = json.loads((root / "told.json").read_text())
        assert (told["mixture"], told["rows"], told["train_file"]) == (None, {}, None)
        assert not (here.folder / "train.jsonl").exists()

    def test_the_blend_is_removed_when_it_has_served(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError):
            list(python("sys.exit(1)").run(job, here))
        assert (here.folder / "train.jsonl").exists(), "a failure may have its cause there"
        measured(python(GOOD), job, here)
        assert not (here.folder / "train.jsonl").exists()

    def test_a_mixture_of_a_domain_without_rows_is_refused(self, python: Make, here: Context) -> None:
        mixture = Mixture.of({"colours": 0.5, "watched": 0.5})
        job = Job(id="trial-1", kind=JobKind.TRIAL, mixture=mixture, seeds=Seeds(data=1, training=2))
        with pytest.raises(DataError, match=r"'watched' a share of 0\.5.*domains\.watched\.train"):
            list(python(GOOD).run(job, here))


class TestWhatTheStudyWantsOfItsData:
    """Every objective here keeps the rows that it was handed in the study's folder, as `train.jsonl`."""

    @pytest.fixture
    def make(self, root: Path, domains: tuple[Domain, ...]) -> Callable[..., Objective]:
        def make(policy: DataPolicy = DEFAULT_POLICY, **settings: Any) -> Objective:
            code = (
                "import json, os, pathlib, shutil\njob = json.load(open(os.environ['RATIO_SEARCH_JOB']))\n"
                f"shutil.copy(job['train_file'], 'train.jsonl')\n{GOOD}"
            )
            backend = {"kind": "command", "argv": ["{python}", "-c", code], "rows": 24, **settings}
            return CommandBackend.model_validate(backend).build(domains, root, policy)

        return make

    def chat(self, root: Path, name: str, times: int = 1) -> None:
        """Puts rows of two turns into a domain's training file."""
        said = [{"role": role, "content": text} for role, text in (("user", "a"), ("assistant", "b"))] * 2
        with (root / f"{name}.train.jsonl").open("a") as file:
            file.write((json.dumps({"messages": said}) + "\n") * times)

    @pytest.mark.parametrize("format_", [Format.MESSAGES, Format.CONVERSE, Format.CONTENTS])
    def test_rows_of_any_format_are_handed_over_in_the_stated_one(
        self, make: Make, root: Path, job: Job, here: Context, format_: Format
    ) -> None:
        self.chat(root, "colours", 30)
        measured(make(format=format_), dataclasses.replace(job, mixture=Mixture.uniform(["colours", "shapes"])), here)
        lines = (root / "train.jsonl").read_bytes().splitlines()
        known = {
            name: {dataclasses.replace(row, label=None) for row in read_rows([root / f"{name}.train.jsonl"])}
            for name in ("colours", "shapes")
        }
        turns = set()
        for line in lines:
            data = json.loads(line)
            assert next(iter(data)) == "domain", "a trainer sees at once whose row it is"
            parsed = parse(line)
            assert parsed.format is format_  # type: ignore[union-attr]
            assert parsed.row in known[data["domain"]]  # type: ignore[union-attr]
            turns.add(len(parsed.row.messages))  # type: ignore[union-attr]
        assert len(lines) == 24
        assert turns == {2, 4}

    def test_a_row_that_the_format_cannot_hold_is_refused_before_anything_runs(self, make: Make, root: Path) -> None:
        self.chat(root, "shapes", 3)
        with pytest.raises(DataError) as error:
            make()
        message = str(error.value).replace(f"{root.resolve()}/", "")
        assert message.startswith(
            "domains.shapes.train: 3 rows do not fit in the instruction format, the first at shapes.train.jsonl:21: "
        )
        assert message.endswith("; choose another objective.format")

    def test_shares_can_be_of_tokens(self, make: Make, root: Path, job: Job, here: Context) -> None:
        lines = [json.dumps({"instruction": f"shapes {i} " + "x" * (i % 7) * 9, "output": "yes"}) for i in range(20)]
        (root / "shapes.train.jsonl").write_text("\n".join(lines))
        found = measured(make(DataPolicy(weigh_by=Weigh.TOKENS)), job, here)
        tokens = {"colours": 0, "shapes": 0}
        for line in (root / "train.jsonl").read_bytes().splitlines():
            row = parse(line).row  # type: ignore[union-attr]
            tokens[json.loads(line)["domain"]] += -(-len(row.text.encode()) // 4)
        assert found.realised == Mixture.from_weights(tokens)
        assert abs(tokens["colours"] - 0.25 * sum(tokens.values())) < 20  # the longest row has fewer
        assert found.rows != {"colours": 6, "shapes": 18}
        assert json.loads((here.folder / "handover.json").read_text())["rows"] == found.rows

    def test_rows_that_are_left_out_are_not_handed_over(self, make: Make, root: Path, job: Job, here: Context) -> None:
        file = root / "colours.train.jsonl"
        file.write_text(file.read_text() + "no row\n" + (root / "watched.test.jsonl").read_text())
        drops = (Finding.BAD_ROWS, Finding.LEAKAGE)
        policy = DataPolicy(actions={**DEFAULT_POLICY.actions, **dict.fromkeys(drops, Action.DROP)})
        measured(make(policy, rows=200), job, here)
        handed = [json.loads(line) for line in (root / "train.jsonl").read_text().splitlines()]
        # The tests of colours and shapes are the first 15 of their training rows.
        assert {row["instruction"] for row in handed} == {
            *(f"colours {i}" for i in range(15, 30)),
            *(f"shapes {i}" for i in range(15, 20)),
        }

    def test_lines_that_are_no_rows_are_refused_unless_they_are_left_out(self, make: Make, root: Path) -> None:
        with (root / "colours.train.jsonl").open("a") as file:
            file.write("no row\n")
        with pytest.raises(DataError, match=r"domains\.colours\.train: 1 bad line.*\n.*jsonl:31: not JSON"):
            make()

    def test_a_domain_is_not_repeated_more_often_than_allowed(
        self, make: Make, root: Path, job: Job, here: Context
    ) -> None:
        mixture = Mixture.of({"colours": 0.25, "shapes": 0.75})
        allowed = make(DataPolicy(max_epochs=1.5), rows=40)
        assert measured(allowed, dataclasses.replace(job, mixture=mixture), here).rows == {"colours": 10, "shapes": 30}
        handed = [json.loads(line) for line in (root / "train.jsonl").read_text().splitlines()]
        shapes = [row["instruction"] for row in handed if row["domain"] == "shapes"]
        assert {shapes.count(instruction) for instruction in shapes} == {1, 2}
        with pytest.raises(DataError, match=r"30 of 40 rows of 'shapes', but this domain has 20, .* until 28 are used"):
            list(make(DataPolicy(max_epochs=1.4), rows=40).run(job, here))


class TestWhatTheTrainerSays:
    def test_bare_numbers_are_metrics(self, python: Make, job: Job, here: Context) -> None:
        measurement = measured(python(GOOD), job, here)
        assert measurement.metrics == {"colours/accuracy": Estimate(value=0.5), "shapes/accuracy": Estimate(value=0.25)}
        assert measurement.realised == job.mixture
        assert measurement.rows == {"colours": 6, "shapes": 18}

    def test_what_it_really_trained_on_is_believed(self, python: Make, job: Job, here: Context) -> None:
        said = {"metrics": {"colours/accuracy": 1}, "rows": {"shapes": 30}, "realised": {"colours": 1, "shapes": 9}}
        measurement = measured(python(RESULT.format(text=json.dumps(said))), job, here)
        assert measurement.rows == {"colours": 0, "shapes": 30}
        assert measurement.realised == Mixture.of({"colours": 0.1, "shapes": 0.9})

    def test_realised_shares_follow_from_stated_rows(self, python: Make, job: Job, here: Context) -> None:
        said = {"metrics": {"colours/accuracy": 1}, "rows": {"shapes": 30, "colours": 10}}
        measurement = measured(python(RESULT.format(text=json.dumps(said))), job, here)
        assert measurement.realised == Mixture.of({"colours": 0.25, "shapes": 0.75})

    def test_its_costs_and_artefacts_are_kept_beside_ours(self, python: Make, job: Job, here: Context) -> None:
        said = {"metrics": {"colours/f1": 1}, "cost": {"usd": 2.5}, "artefacts": {"adapter": "weights"}}
        measurement = measured(python(RESULT.format(text=json.dumps(said))), job, here)
        assert measurement.cost["usd"] == 2.5
        assert set(measurement.cost) == {"usd", "wall_seconds", "cpu_seconds"}
        assert measurement.artefacts == {"adapter": "weights"}

    def test_gpus_cost_as_long_as_they_are_held_unless_it_knows_better(
        self, python: Make, job: Job, here: Context
    ) -> None:
        measurement = measured(python(GOOD, resources={"gpus": 2}), job, here)
        assert measurement.cost["gpu_seconds"] == 2 * measurement.cost["wall_seconds"] > 0
        said = {"metrics": {"colours/f1": 1}, "cost": {"gpu_seconds": 7, "wall_seconds": 3.5}}
        measurement = measured(python(RESULT.format(text=json.dumps(said)), resources={"gpus": 2}), job, here)
        assert (measurement.cost["gpu_seconds"], measurement.cost["wall_seconds"]) == (7, 3.5)

    def test_it_cannot_cost_less_than_nothing(self, python: Make, job: Job, here: Context) -> None:
        said = {"metrics": {"colours/f1": 1}, "cost": {"usd": -1}}
        with pytest.raises(ResultError, match=r"cost 'usd' in the trainer's result: expected a number >= 0, found -1"):
            measured(python(RESULT.format(text=json.dumps(said))), job, here)

    def test_progress_may_say_what_it_cost_so_far(self, python: Make, job: Job, here: Context) -> None:
        lines = ['{"step": 1, "total": 4, "cost": {"tokens": 40}}', '{"step": 2, "total": 4, "cost": {"tokens": -1}}']
        code = f"open(job['progress_file'], 'a').write({chr(10).join([*lines, ''])!r})\n{GOOD}"
        *progress, _ = python(code).run(job, here)
        assert progress == [Progress(step=1, total=4, cost={"tokens": 40})]

    def test_the_processor_time_of_its_children_counts(self, python: Make, job: Job, here: Context) -> None:
        burn = "import time\nwhile time.process_time() < 0.3: pass"
        measurement = measured(python(f"subprocess.run([sys.executable, '-c', {burn!r}])\n{GOOD}"), job, here)
        assert measurement.cost["cpu_seconds"] > 0.3

    def test_progress_lines_are_passed_on_and_others_ignored(self, python: Make, job: Job, here: Context) -> None:
        lines = ['{"step": 1, "total": 4, "note": "warm"}', "no JSON", '{"step": 9, "total": 4}', '{"step": "2"}', "[]"]
        code = f"open(job['progress_file'], 'a').write({chr(10).join([*lines, ''])!r})\n{GOOD}"
        *progress, _ = python(code).run(job, here)
        assert progress == [Progress(step=1, total=4, note="warm")]

    def test_what_cannot_be_shown_is_taken_out_of_a_note(self, python: Make, job: Job, here: Context) -> None:
        note = r'{"step": 1, "total": 2, "note": "half \\ud83d, bell \\u0007, new\\nline"}'
        code = f"open(job['progress_file'], 'a').write('{note}\\n')\n{GOOD}"
        first, *_ = python(code).run(job, here)
        assert first == Progress(step=1, total=2, note="half \ufffd, bell \ufffd, new\ufffdline")

    def test_progress_comes_while_it_runs(self, python: Make, job: Job, here: Context) -> None:
        wait = "while not os.path.exists('go'): time.sleep(0.01)\n"
        code = f"open(job['progress_file'], 'a').write('{{\"step\": 1, \"total\": 2}}\\n{{\"st')\n{wait}{GOOD}"
        events = python(code).run(job, here)
        assert next(events) == Progress(step=1, total=2)
        (here.folder.parent / "study" / "go").touch()
        assert isinstance(next(events), Measurement)


class TestFailures:
    def test_an_exit_status_with_the_last_lines_of_the_log(self, python: Make, job: Job, here: Context) -> None:
        code = "print('out of luck'); print('at all', file=sys.stderr); sys.exit(7)"
        with pytest.raises(ObjectiveError, match="exit status 7") as caught:
            list(python(code).run(job, here))
        assert sorted(caught.value.log.splitlines()) == ["at all", "out of luck"]

    def test_a_signal_is_named(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError, match=r"ended by SIGSEGV"):
            list(python("os.kill(os.getpid(), signal.SIGSEGV)").run(job, here))

    @pytest.mark.parametrize(
        "ending", ["os.kill(os.getpid(), signal.SIGTERM)", "sys.exit(143)", "os.kill(os.getpid(), signal.SIGKILL)"]
    )
    def test_an_end_from_elsewhere_is_the_machines_fault(
        self, python: Make, job: Job, here: Context, ending: str
    ) -> None:
        with pytest.raises(DeviceError, match="from elsewhere") as caught:
            list(python(f"print('so far'); sys.stdout.flush(); {ending}").run(job, here))
        assert caught.value.log == "so far"

    def test_a_kill_for_lack_of_memory_is_the_jobs_own_fault(
        self, python: Make, job: Job, here: Context, little_memory: Path
    ) -> None:
        hog = f"open({str(little_memory)!r}, 'w').write(str(os.getpid())); print(len(b'x' * 400_000_000))"
        with pytest.raises(ObjectiveError, match="the machine ran out of memory, and the kernel ended the trainer"):
            list(python(hog).run(job, here))

    def test_a_kill_that_nobody_can_explain_is_not_tried_again(
        self, python: Make, job: Job, here: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "COUNTERS", here.folder / "nobody-counts")
        with pytest.raises(ObjectiveError, match=r"ended by SIGKILL \(perhaps the machine ran out of memory\)"):
            list(python("os.kill(os.getpid(), signal.SIGKILL)").run(job, here))

    def test_a_result_does_not_excuse_an_exit_status(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError, match="exit status 1"):
            list(python(f"{GOOD}\nsys.exit(1)").run(job, here))

    def test_no_result(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ResultError, match=r"metrics\.json: .*wrote no result") as caught:
            list(python("print('all is well')").run(job, here))
        assert caught.value.log == "all is well"
        assert Failure.of(caught.value).kind is FailureKind.RESULT

    def test_the_result_of_an_earlier_run_is_not_taken(self, python: Make, job: Job, here: Context) -> None:
        measured(python(GOOD), job, here)
        with pytest.raises(ResultError, match="wrote no result"):
            list(python("pass").run(job, here))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not JSON"),
            ('{"metrics": {"colours/f1"', "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("[1]", "must be an object"),
            ('{"metrics": {"colours/f1": NaN}}', "colours/f1.*must be a finite number, found nan"),
            ('{"metrics": {"colours/f1": 1e999}}', "must be a finite number, found inf"),
            ('{"metrics": {"colours/f1": "0.5"}}', "must be a finite number, found '0.5'"),
            ('{"metrics": {"f1": 0.5}}', "metric 'f1'.*expected '<domain>/<metric>'.*colours, shapes, watched"),
            ('{"metrics": {"textures/f1": 0.5}}', "metric 'textures/f1'"),
            ('{"metrics": {"colours/": 0.5}}', "metric 'colours/'"),
            ('{"metrics": {}, "realized": {"colours": 1}}', "unknown key 'realized'.*realised"),
            ('{"metrics": {}, "realised": {"watched": 1}}', "'watched' is not in the mixture"),
            ('{"metrics": {}, "rows": {"watched": 1}}', "'watched' is not in the mixture"),
            ('{"metrics": {}, "rows": {"shapes": 0}}', "rows or realised.*positive"),
            ('{"metrics": {}, "realised": {"shapes": -1}}', "-1"),
        ],
    )
    def test_a_result_that_cannot_be_used(self, text: str, message: str, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ResultError, match=message) as caught:
            list(python(f"print('said it'); {RESULT.format(text=text)}").run(job, here))
        assert caught.value.log == "said it"

    def test_bytes_that_are_no_text(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ResultError, match="not JSON"):
            list(python("open(job['result_file'], 'wb').write(bytes(range(256)))").run(job, here))

    def test_a_baseline_that_was_trained(self, python: Make, here: Context) -> None:
        baseline = Job(id="baseline", kind=JobKind.BASELINE, mixture=None, seeds=Seeds(data=1, training=2))
        said = json.dumps({"metrics": {"colours/f1": 1}, "rows": {"colours": 5}})
        with pytest.raises(ResultError, match="the baseline trains nothing"):
            list(python(RESULT.format(text=said)).run(baseline, here))

    def test_a_program_that_vanished_after_the_check(self, command: Make, root: Path, job: Job, here: Context) -> None:
        program = root / "train"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        objective = command("./train")
        program.unlink()
        with pytest.raises(OptionsError, match=r"objective\.argv: .*train cannot be started"):
            list(objective.run(job, here))

    def test_a_file_that_is_no_program(self, command: Make, root: Path, job: Job, here: Context) -> None:
        program = root / "train"
        program.write_bytes(b"\x00\x01\x02")
        program.chmod(0o755)
        with pytest.raises(OptionsError, match="cannot be started"):
            list(command("./train").run(job, here))


class TestTheLog:
    def test_huge_output_does_not_block_and_only_its_end_is_kept(self, python: Make, job: Job, here: Context) -> None:
        code = "for i in range(200_000): print(f'line {i} ' + 50 * 'x')\nsys.exit(1)"
        with pytest.raises(ObjectiveError) as caught:
            list(python(code).run(job, here))
        assert (here.folder / "log.txt").stat().st_size > 10_000_000
        assert caught.value.log.splitlines()[-1].startswith("line 199999")
        assert len(caught.value.log) < 20_000
        assert len(Failure.of(caught.value).log) <= LOG_TAIL

    def test_of_more_than_fits_the_beginning_and_the_end_are_kept(self, python: Make, job: Job, here: Context) -> None:
        code = "print('first words')\nfor _ in range(40): print(1_000_000 * 'x')\nprint('last words')\nsys.exit(1)"
        with pytest.raises(ObjectiveError) as caught:
            list(python(code).run(job, here))
        kept = (here.folder / "log.txt").read_bytes()
        assert len(kept) <= LOG_CAP
        assert kept.startswith(b"first words\n") and kept.endswith(b"last words\n")
        assert b"bytes are left out here]" in kept
        assert caught.value.log.endswith("last words")

    def test_a_line_without_end_is_cut(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError) as caught:
            list(python("print('x' * 10_000_000); sys.exit(1)").run(job, here))
        assert 0 < len(caught.value.log) < 20_000

    def test_binary_garbage_becomes_text_that_can_be_stored(self, python: Make, job: Job, here: Context) -> None:
        code = "os.write(1, bytes(range(256)) + b'\\x1b[31mred\\n' + 'h\u00e9'.encode()); sys.exit(1)"
        with pytest.raises(ObjectiveError) as caught:
            list(python(code).run(job, here))
        log = caught.value.log
        assert log.endswith("red\nh\u00e9")
        assert all(c.isprintable() or c in "\n\t" for c in log)
        assert json.loads(json.dumps(log)).encode("utf-8").decode("utf-8") == log

    def test_a_redrawn_line_counts_once(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError) as caught:
            list(python("sys.stdout.write('10 %\\r20 %\\r30 %\\r\\nend\\r\\n'); sys.exit(1)").run(job, here))
        assert caught.value.log == "30 %\nend"

    def test_may_be_gone(self, python: Make, job: Job, here: Context) -> None:
        with pytest.raises(ObjectiveError, match="exit status 3") as caught:
            list(python("os.unlink(job['folder'] + '/log.txt'); sys.exit(3)").run(job, here))
        assert caught.value.log == ""

    def test_starts_anew_in_the_same_folder(self, python: Make, job: Job, here: Context) -> None:
        for word in ("first", "second"):
            with pytest.raises(ObjectiveError) as caught:
                list(python(f"print({word!r}); sys.exit(1)").run(job, here))
            assert caught.value.log == word


class TestEnding:
    def test_cancelling_asks_the_trainer_first(self, python: Make, job: Job, here: Context) -> None:
        code = (
            "def save(*_):\n    open(os.path.join(job['checkpoint_folder'], 'saved'), 'w').close()\n"
            "    print('saved'); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, save)\n"
            "open(job['progress_file'], 'a').write('{\"step\": 1, \"total\": 2}\\n')\n"
            "while True: time.sleep(0.01)"
        )
        seen: list[Progress | Measurement] = []
        context = dataclasses.replace(here, cancelled=lambda: bool(seen))
        with pytest.raises(Cancelled) as caught:
            for event in python(code, grace_s=60).run(job, context):
                seen.append(event)
        assert (here.checkpoint / "saved").exists()
        assert caught.value.log == "saved"

    def test_a_result_that_was_finished_after_the_cancel_is_kept(self, python: Make, job: Job, here: Context) -> None:
        code = (
            f"def finish(*_):\n    {GOOD}; sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, finish)\n"
            "open(job['progress_file'], 'a').write('{\"step\": 1, \"total\": 2}\\n')\n"
            "while True: time.sleep(0.01)"
        )
        seen: list[Progress | Measurement] = []
        context = dataclasses.replace(here, cancelled=lambda: bool(seen))
        for event in python(code, grace_s=60).run(job, context):
            seen.append(event)
        assert isinstance(seen[-1], Measurement)

    def test_half_a_result_after_the_cancel_is_none(self, python: Make, job: Job, here: Context) -> None:
        half = RESULT.format(text='{"metrics": {"colours/accuracy": 0.5')
        code = (
            f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n{half}\n"
            "open(job['progress_file'], 'a').write('{\"step\": 1, \"total\": 2}\\n')\n"
            "while True: time.sleep(0.01)"
        )
        seen: list[Progress | Measurement] = []
        with pytest.raises(Cancelled):
            for event in python(code, grace_s=60).run(job, dataclasses.replace(here, cancelled=lambda: bool(seen))):
                seen.append(event)

    def test_too_long_is_an_error_with_the_log(self, python: Make, job: Job, here: Context) -> None:
        code = "print('still at it', flush=True); time.sleep(600)"
        with pytest.raises(ObjectiveError, match=r"longer than objective\.time_limit_s, 0\.5 s") as caught:
            list(python(code, time_limit_s=0.5).run(job, here))
        assert not isinstance(caught.value, Cancelled | ResultError)
