"""What travels of a study: the files of every kind of objective, wherever they lie."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives.backends import Backend, Blueprint, load
from objectives.depot import Depot
from objectives.domain import Domain
from objectives.errors import DataError, OptionsError
from objectives.metrics import Goal
from objectives.scorer import Metric
from objectives.shipment import Item, Shipment

Make = Callable[..., Blueprint]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study's folder."""
    folder = tmp_path / "team" / "study"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def blueprint(root: Path) -> Make:
    """Makes the blueprint of a study whose data lies in its folder."""

    def make(kind: str, *metrics: Metric, **settings: Any) -> Blueprint:
        domains = tuple(
            Domain(name=name, train=(file(root / f"{name}.train.jsonl"),), test=(file(root / f"{name}.test.jsonl"),))
            for name in ("support", "legal")
        )
        backend: Backend = load(kind).model_validate({"kind": kind, **settings})
        return Blueprint(backend=backend, domains=domains, root=root, metrics=metrics)

    return make


def file(path: Path, text: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path) if text is None else text)
    return path


DATA = {"support.train.jsonl", "support.test.jsonl", "legal.train.jsonl", "legal.test.jsonl"}


def arrived(blueprint: Blueprint, machine: Path) -> Blueprint:
    """The blueprint on a machine that was sent all of its files."""
    depot = Depot(machine)
    shipment = Shipment.of(blueprint).bound_for(depot.folder)
    for item in shipment.items:
        if depot.has(item):
            continue
        with depot.lock(item), depot.arriving(item) as arriving:
            arriving.add(item.piece(0, 5))
            arriving.add(item.piece(5, item.size))
    # As over the wire, to a machine where nothing of this can be looked up.
    shipment = pickle.loads(pickle.dumps(shipment))
    depot.lay_out(shipment)
    return shipment.blueprint


def sent(blueprint: Blueprint) -> set[str]:
    """What is sent beside the data, relative to the study's folder."""
    return {os.path.relpath(item.path, blueprint.root) for item in Shipment.of(blueprint).items} - DATA


def test_a_file_is_found_by_the_name_that_the_driver_has_it_by(blueprint: Make, tmp_path: Path) -> None:
    made = blueprint("command", argv=["true"], rows=4)
    there = arrived(made, tmp_path / "a")
    assert there.root == tmp_path / "a" / "shipped" / there.root.relative_to(tmp_path / "a" / "shipped")
    assert there.root.is_dir() and there.root.name == "study"
    for domain, moved in zip(made.domains, there.domains, strict=True):
        assert [path.name for path in moved.train] == [path.name for path in domain.train]
        assert [path.read_text() for path in moved.test] == [path.read_text() for path in domain.test]


@pytest.mark.parametrize("kind", ["beside", "absolute", "linked"])
def test_a_file_outside_of_the_studys_folder_is_found_as_well(
    blueprint: Make, root: Path, tmp_path: Path, kind: str
) -> None:
    elsewhere = file(tmp_path / "elsewhere" / "rows.jsonl", "there")
    (root / "link").symlink_to(elsewhere.parent)
    stated = {
        "beside": root / ".." / ".." / "elsewhere" / "rows.jsonl",
        "absolute": elsewhere,
        "linked": root / "link" / "rows.jsonl",
    }
    made = blueprint("command", argv=["true"], rows=4)
    domains = (*made.domains, Domain(name="other", train=(stated[kind],), final=(elsewhere,)))
    there = arrived(Blueprint(backend=made.backend, domains=domains, root=root), tmp_path / "a")
    [moved] = there.domains[2].train
    assert moved.read_text() == "there"
    assert moved.is_relative_to(tmp_path / "a") and ".." not in moved.parts
    assert there.domains[2].final[0].read_text() == "there"


def test_of_a_command_travel_the_programs_of_its_folder_and_what_it_states(
    blueprint: Make, root: Path, tmp_path: Path
) -> None:
    for name in (
        "trainer/train.py",
        "trainer/model.py",
        "trainer/notes.txt",
        "config.json",
        "parts/a/b.yaml",
        "runs/x",
    ):
        file(root / name)
    beyond = file(tmp_path / "installed" / "tool")
    argv = ["{python}", "trainer/train.py", "--config", str(root / "config.json"), str(beyond), "x" * 5000, "no\0file"]
    made = blueprint("command", argv=argv, sources=["parts/**/*.yaml", "../../installed/*"], rows=4)
    expected = {"trainer/train.py", "trainer/model.py", "config.json", "parts/a/b.yaml", "../../installed/tool"}
    assert sent(made) == expected
    there = arrived(made, tmp_path / "a")
    argv = there.backend.model_dump()["argv"]
    assert argv[:3] == ("{python}", "trainer/train.py", "--config")
    assert (there.root / argv[1]).read_text() == str(root / "trainer" / "train.py")
    assert Path(argv[3]).is_relative_to(there.root) and Path(argv[3]).read_text() == str(root / "config.json")
    assert Path(argv[4]).is_relative_to(tmp_path / "a")
    assert (there.root / ".." / ".." / "installed" / "tool").exists()


def test_an_installed_program_does_not_travel(blueprint: Make, tmp_path: Path) -> None:
    beyond = file(tmp_path / "bin" / "tool")
    made = blueprint("command", argv=[str(beyond), "../elsewhere"], rows=4)
    assert sent(made) == set()
    assert arrived(made, tmp_path / "a").backend == made.backend


def test_a_program_can_be_started_where_it_was_sent(blueprint: Make, root: Path, tmp_path: Path) -> None:
    program = file(root / "train", "#!/bin/sh\n")
    program.chmod(0o755)
    made = blueprint("command", argv=["./train"], rows=4)
    there = arrived(made, tmp_path / "a")
    there.backend.check(there.root)
    program.chmod(0o644)
    plain = arrived(made, tmp_path / "a")
    with pytest.raises(OptionsError, match="no executable program"):
        plain.backend.check(plain.root)


def test_sources_that_are_not_there_are_refused_before_anything_starts(blueprint: Make, root: Path) -> None:
    made = blueprint("command", argv=["true"], sources=["trainer/*.py"], rows=4)
    with pytest.raises(OptionsError, match=r"objective\.sources: found no file 'trainer/\*\.py' in"):
        made.backend.check(root)


@pytest.mark.parametrize("stated", ["./base", "base", "../models/base", "absolute"])
def test_of_hf_travels_a_base_model_that_is_a_folder(blueprint: Make, root: Path, tmp_path: Path, stated: str) -> None:
    folder = {"../models/base": root.parent / "models" / "base", "absolute": tmp_path / "base"}.get(
        stated, root / "base"
    )
    for name in ("config.json", "model.safetensors", "tokenizer.json", "original/copy.pth", "README.md"):
        file(folder / name)
    made = blueprint("hf", base_model=str(folder) if stated == "absolute" else stated)
    assert {Path(path).name for path in sent(made)} == {"config.json", "model.safetensors", "tokenizer.json"}
    there = arrived(made, tmp_path / "a")
    base = Path(there.backend.model_dump()["base_model"])
    assert base.is_relative_to(tmp_path / "a") and (base / "config.json").read_text() == str(folder / "config.json")
    assert there.backend.fingerprint(there.root) == made.backend.fingerprint(root)


@pytest.mark.parametrize("name", ["tiny", "organisation/model"])
def test_a_model_that_is_no_folder_does_not_travel(blueprint: Make, tmp_path: Path, name: str) -> None:
    made = blueprint("hf", base_model=name)
    assert sent(made) == set()
    assert arrived(made, tmp_path / "a").backend == made.backend


def test_of_replay_travels_the_table(blueprint: Make, root: Path, tmp_path: Path) -> None:
    file(root / "past" / "runs.csv", "support,legal\n")
    made = blueprint("replay", table="past/runs.csv")
    assert sent(made) == {"past/runs.csv"}
    there = arrived(made, tmp_path / "a")
    assert there.backend.fingerprint(there.root) == made.backend.fingerprint(root)


def test_of_an_own_metric_travels_its_module_with_what_lies_beside_it(
    blueprint: Make, root: Path, tmp_path: Path
) -> None:
    for name in ("judges.py", "helper.py", "pack/__init__.py", "pack/deep/metric.py", "loose/metric.py", "data.csv"):
        file(root / name)

    def metric(function: str) -> Metric:
        return Metric(name="support/mine", goal=Goal.MAXIMIZE, function=function)

    assert sent(blueprint("hf", metric("judges:mine"))) == {"judges.py", "helper.py"}
    assert sent(blueprint("hf", metric("pack.deep.metric:mine"))) == {"pack/__init__.py", "pack/deep/metric.py"}
    assert sent(blueprint("hf", metric("loose.metric:mine"))) == {"loose/metric.py"}
    assert sent(blueprint("hf", metric("json:loads"))) == set()
    assert (arrived(blueprint("hf", metric("judges:mine")), tmp_path / "a").root / "helper.py").is_file()


def test_the_same_content_under_two_names_is_sent_once(blueprint: Make, tmp_path: Path) -> None:
    made = blueprint("command", argv=["true"], rows=4)
    for domain in made.domains:
        domain.train[0].write_text("same")
    items = {item.sha256: item for item in Shipment.of(made).items}
    assert len(items) == 3
    there = arrived(made, tmp_path / "a")
    assert [domain.train[0].read_text() for domain in there.domains] == ["same", "same"]


def test_a_changed_file_is_refused_and_a_touched_one_is_not(tmp_path: Path) -> None:
    path = file(tmp_path / "rows", "content")
    item = Item.of(path)
    time.sleep(0.01)
    path.touch()
    (tmp_path / "other").hardlink_to(path)
    assert item.piece(0, 100) == b"content"
    time.sleep(0.01)
    path.write_text("CONTENT")
    with pytest.raises(DataError, match="was changed since the study was started"):
        item.piece(0, 100)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read any more"):
        item.piece(0, 100)


def test_what_is_not_there_cannot_be_sent(blueprint: Make, root: Path) -> None:
    made = blueprint("command", argv=["true"], rows=4)
    (root / "legal.test.jsonl").unlink()
    with pytest.raises(DataError, match=r"legal\.test\.jsonl: cannot be read .*a worker elsewhere needs it"):
        Shipment.of(made)


def test_a_file_that_came_in_part_is_not_there(tmp_path: Path) -> None:
    item = Item.of(file(tmp_path / "rows", "content"))
    depot = Depot(tmp_path / "a")
    with pytest.raises(DataError, match="was changed"), depot.lock(item), depot.arriving(item) as arriving:
        arriving.add(b"cont")
    assert not depot.has(item)
    with pytest.raises(KeyError), depot.lock(item), depot.arriving(item) as arriving:
        raise KeyError
    assert not depot.has(item)


def test_two_studies_of_a_machine_have_a_file_of_theirs_in_common(blueprint: Make, root: Path, tmp_path: Path) -> None:
    one = arrived(blueprint("command", argv=["true"], rows=4), tmp_path / "a")
    other = arrived(
        Blueprint(backend=one.backend, domains=blueprint("command", argv=["true"], rows=4).domains, root=root.parent),
        tmp_path / "a",
    )
    assert one.root != other.root
    assert one.domains[0].train[0].samefile(other.domains[0].train[0])


def test_a_shipment_is_small_and_plain(blueprint: Make) -> None:
    shipment = Shipment.of(blueprint("command", argv=["true"], rows=4))
    assert len(pickle.dumps(shipment)) < 10_000
    assert json.dumps([item.sha256 for item in shipment.items])
