"""Writes the training file of a recipe, for any trainer or platform that takes one file.

Of a recipe that mixes in a platform's own data, that is the team's own, in its proportions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.attempt import write_json
from objectives.backends import Backend
from objectives.data import ESTIMATE, Blend, Corpus, Format, Lengths, Split, Tally, Written, usable, write
from objectives.errors import DataError
from ratio_search.errors import SpecError
from ratio_search.recipe import Recipe
from ratio_search.spec import StudySpec

CHANGED = 1.25
"""A domain that repeats this many times as often as in the study, or as much less often, is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of a mix.

    Attributes:
        rows, tokens, steps: its length, at most one of them; without any, that of the study's fine-tunes. What a
            platform adds of its own is among the steps' rows, and not among `rows` and `tokens`.
        format: of the rows.
        shards: files that it is divided among.
        seed: of the rows' order; None for that of the recipe's trial.
    """

    rows: int | None = None
    tokens: int | None = None
    steps: int | None = None
    format: Format = Format.INSTRUCTION
    shards: int = 1
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A mix that was written.

    Attributes:
        recipe: what was mixed.
        order: what was wanted.
        blend: the rows.
        tally: how many of them, and their tokens.
        sources: SHA-256 of each domain's training files, as they are now.
        files: what was written.
        counted: how tokens were counted, in words.
    """

    recipe: Recipe
    order: Order
    blend: Blend
    tally: Tally
    sources: Mapping[str, tuple[str, ...]]
    files: tuple[Written, ...]
    counted: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before training with it: the best ratio moves with how often data repeats."""
        told = []
        for name, rows in self.tally.rows.items():
            before = self.recipe.ingredients[name].epochs
            now = rows / self.blend.sizes[name]
            # Within the first pass nothing repeats, however much of it is used.
            if before is not None and not 1 / CHANGED < max(now, 1) / max(before, 1) < CHANGED:
                told.append(
                    f"{name!r} is passed over {now:.2f} times here and was {before:.2f} times in the study; the best "
                    "ratio moves with repetition: search again at this size, or confirm the recipe before relying on it"
                )
        return tuple(told)

    def to_json(self) -> dict[str, Any]:
        """The mix as plain data: what its manifest holds."""
        tokens = self.tally.tokens
        assert tokens is not None
        all_rows, all_tokens = sum(self.tally.rows.values()), sum(tokens.values())
        return {
            "study": self.recipe.study,
            "identity": self.recipe.identity,
            "trial": self.recipe.trial,
            "format": self.order.format.value,
            "weigh_by": self.blend.weigh_by.value,
            "seed": self.blend.seed,
            "rows": all_rows,
            "tokens": all_tokens,
            "tokens_counted": self.counted,
            "domains": {
                name: {
                    "share": share,
                    "rows": self.tally.rows[name],
                    "share_of_rows": self.tally.rows[name] / all_rows,
                    "tokens": tokens[name],
                    "share_of_tokens": tokens[name] / all_tokens,
                    "epochs": self.tally.rows[name] / self.blend.sizes[name],
                    "sha256": list(self.sources[name]),
                }
                for name, share in self.blend.mixture.items()
            },
            "files": [
                {"name": file.path.name, "rows": file.rows, "bytes": file.size, "sha256": file.sha256}
                for file in self.files
            ],
            "warnings": list(self.warnings),
        }


def mix(recipe: Recipe, out: Path, order: Order) -> Mix:
    """Writes a recipe's blend, and beside it a manifest with its shares, repeats and hashes.

    What stood there stays until all is whole.

    Args:
        recipe: what to mix.
        out: the file; of several, each has its number before the suffix.
        order: what is wanted.

    Raises:
        DataError: the data cannot be used, or the files cannot be written.
        SpecError: the recipe's study file cannot be used here, or does not say how long a run is, or where the data is.
    """
    spec = recipe.spec
    without = [domain.name for domain in spec.mixed if not domain.train and not domain.categories]
    if without:
        raise SpecError(
            f"the recipe's study file states no train files for {', '.join(without)}, so there are no rows to mix; mix "
            "the recipe's shares where the data is, or state the files and search again"
        )
    opened = Corpus.open(spec.domains, spec.root, spec.data)
    paths = shards(out, order.shards)
    _check_apart(opened, (*paths, manifest_file(out)))
    capacity = spec.backend.capacity(spec.root)
    corpus = usable(opened, capacity)
    blend = _blend(order, recipe, spec, corpus, corpus.lengths(capacity.counter))
    if next(blend.parts(), None) is None:
        raise DataError(f"a mix of {order.tokens:,} tokens has no room for its first row; ask for more")
    data = corpus.of(Split.TRAIN)
    files, tally = write(blend, data, order.format, paths)
    done = Mix(
        recipe=recipe,
        order=order,
        blend=blend,
        tally=tally,
        sources={name: tuple(index.sha256 for index in rows.files) for name, rows in data.items()},
        files=files,
        counted=ESTIMATE if capacity.counter is None else capacity.counter.about,
    )
    try:
        write_json(manifest_file(out), done.to_json())
    except OSError as error:
        raise DataError(f"{manifest_file(out)}: cannot be written ({error.strerror}); free some room") from error
    return done


def shards(out: Path, number: int) -> tuple[Path, ...]:
    """The files of a mix: `mix.jsonl`, or `mix-00000-of-00004.jsonl` and so on."""
    if number == 1:
        return (out,)
    return tuple(out.with_name(f"{out.stem}-{i:05}-of-{number:05}{out.suffix}") for i in range(number))


def manifest_file(out: Path) -> Path:
    """Where a mix's manifest stands."""
    return out.with_name(f"{out.name}.manifest.json")


def _check_apart(corpus: Corpus, paths: Sequence[Path]) -> None:
    """Checks that none of the study's own data would be written over."""
    own = {index.path.resolve() for splits in corpus.data.values() for data in splits.values() for index in data.files}
    for path in paths:
        if path.resolve() in own:
            raise DataError(f"{path}: is data of the study, which is only read; choose another file")


def _blend(order: Order, recipe: Recipe, spec: StudySpec, corpus: Corpus, lengths: Mapping[str, Lengths]) -> Blend:
    """The rows of a mix: so many of them or of their tokens, or those of a run.

    Args:
        order: what is wanted.
        recipe: whose settings say how long a step and a run are.
        spec: its study.
        corpus: the study's data.
        lengths: tokens of each domain's rows.
    """
    seed = recipe.seeds.data if order.seed is None else order.seed
    backend = spec.backend.with_hyperparameters(recipe.hyperparameters)
    if order.rows is None and order.tokens is None:
        rows = _run_rows(order, backend)
        return backend.training_blend(corpus, recipe.mixture, seed=seed, rows=rows, lengths=lengths)
    mixture = backend.filed(recipe.mixture, corpus.domains)
    return corpus.blend(mixture, seed=seed, rows=order.rows, tokens=order.tokens, lengths=lengths)


def _run_rows(order: Order, backend: Backend) -> int:
    """How many rows a run trains on."""
    if order.steps is not None:
        if backend.rows_per_step is None:
            raise SpecError(
                f"objective {backend.kind!r} does not say how many rows a step takes; state the rows or "
                "the tokens of the mix"
            )
        return order.steps * backend.rows_per_step
    if backend.train_rows is None:
        raise SpecError("the study does not say how long its fine-tunes are; state the rows of the mix, or its tokens")
    return backend.train_rows
