"""The border: a study file's YAML, checked key by key, with errors that name the dotted path."""

from __future__ import annotations

import enum
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from objectives.data import Action, Weigh
from objectives.metrics import Goal
from objectives.scorer import EXPECTED, BalanceKind
from ratio_search.database_url import EXAMPLE, DatabaseUrl
from ratio_search.sampler.strategy import SamplerKind
from ratio_search.stopping import WORTH, StopKind
from ratio_search.yaml_file import loaded, shown, validated

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A plain name: it becomes a folder, a database key and half of a metric's name."""


def _plain_name(value: Any) -> Any:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        number = isinstance(value, int | float)
        raise ValueError(
            "expected a plain name (1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit), "
            f"found {shown(value)}{'; put it in quotes' if number else ''}"
        )
    return value


def _files(value: Any) -> Any:
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not paths or not all(isinstance(p, str) and p and "\0" not in p for p in paths):
        raise ValueError(f"expected a path or a list of paths, found {shown(value)}")
    return paths


def _categories(value: Any) -> Any:
    """The platform's categories, each with its proportion, or None for the usual one."""
    named = [value] if isinstance(value, str) else value
    if isinstance(named, list) and named and all(isinstance(name, str) and name for name in named):
        if len(set(named)) < len(named):
            raise ValueError(f"expected each category once, found {shown(value)}")
        return dict.fromkeys(named)
    if isinstance(named, dict) and named and all(isinstance(name, str) and name for name in named):
        for name, weight in named.items():
            if _number(weight) <= 0:
                raise ValueError(f"expected a proportion above 0 for {name!r}, found {shown(weight)}")
        return named
    raise ValueError(
        "expected a category of the platform's own data, a list of them, or each with its proportion, "
        f"found {shown(value)}"
    )


def _benchmarks(value: Any) -> Any:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"expected a list of one or more benchmarks, found {shown(value)}")
    if len(set(value)) < len(value):
        raise ValueError(f"expected each benchmark once, found {shown(value)}")
    return value


def _members(value: Any) -> Any:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(f"expected a list of one or more domains, found {shown(value)}")
    return value


def _bounds(value: Any) -> Any:
    pair = value if isinstance(value, list) else [value, value]
    numbers = [n for n in pair if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not 0 <= pair[0] <= pair[1] <= 1:
        raise ValueError(
            "expected [lowest, highest] with 0 <= lowest <= highest <= 1, or one number that fixes the share, "
            f"found {shown(value)}"
        )
    return pair


def _not_drop(value: Action) -> Action:
    if value is Action.DROP:
        raise ValueError("expected error or warn, found drop; which rows to leave out would be anyone's guess")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {shown(value)}")
    return value


def _reference(value: Any) -> Any:
    if not isinstance(value, str):
        try:
            return _number(value)
        except ValueError:
            raise ValueError(f"expected a finite number, or a confirmed recipe's file, found {shown(value)}") from None
    if not value.strip() or "\0" in value:
        raise ValueError(f"expected a number, or a confirmed recipe's file, found {shown(value)}")
    return value


def _choices(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of values, found {shown(value)}")
    for choice in value:
        if not isinstance(choice, int | float | str) or (isinstance(choice, float) and not math.isfinite(choice)):
            raise ValueError(f"expected text, finite numbers, true or false, found {shown(choice)}")
    return value


def _hyperparameter_name(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise ValueError(f"expected a name of letters, digits, '_', '.' and '-', found {shown(value)}")
    return value


Name = Annotated[str, BeforeValidator(_plain_name)]
HyperparameterName = Annotated[str, BeforeValidator(_hyperparameter_name)]
Files = Annotated[tuple[str, ...], BeforeValidator(_files)]
# Strict, so that neither text nor true and false pass for numbers.
Whole = Annotated[int, Field(strict=True)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[Finite, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DomainSection(Section):
    """One entry of `domains`: its data, and the bounds of its share (one number fixes it).

    Attributes:
        train, test, final: its files.
        category: instead of training files, categories of the platform's own data, each with its proportion, or None
            for the platform's; `rest` stands for all that no other domain has.
        benchmarks: public ones that the platform runs.
        share: bounds of its share.
        max_epochs: passes over it that a run may take.
    """

    train: Files = ()
    test: Files = ()
    final: Files = ()
    category: Annotated[dict[str, float | None], BeforeValidator(_categories)] = {}
    benchmarks: Annotated[tuple[str, ...], BeforeValidator(_benchmarks)] = ()
    share: Annotated[tuple[float, float], BeforeValidator(_bounds)] | None = None
    max_epochs: Annotated[Finite, Field(gt=0)] | None = None


class MetricSection(Section):
    """One entry of `metrics`."""

    name: str
    goal: Goal | None = None
    weight: Annotated[Finite, Field(ge=0)] | None = None
    reference: Annotated[float | str, BeforeValidator(_reference)] | None = None
    scale: Annotated[Finite, Field(gt=0)] | None = None
    guard: Annotated[Finite, Field(ge=0)] | None = None
    confidence: Annotated[Finite, Field(ge=EXPECTED, lt=1)] | None = None
    target: Finite | None = None
    function: str | None = None


class BalanceSection(Section):
    """`balance`: how the gains become one score."""

    kind: BalanceKind = BalanceKind.WORST
    mean: Annotated[Finite, Field(ge=0)] = 0.0


class AuditSection(Section):
    """`data.audit`: what follows from each finding, and from which similarity on rows count as nearly the same."""

    bad_rows: Action = Action.ERROR
    empty_outputs: Action = Action.ERROR
    duplicates: Action = Action.WARN
    across_domains: Action = Action.WARN
    leakage: Action = Action.ERROR
    near: Annotated[Finite, Field(gt=0, lt=1)] | None = None
    near_leakage: Action = Action.WARN
    too_long: Action = Action.WARN
    imbalance: Annotated[Action, AfterValidator(_not_drop)] = Action.WARN


class DataSection(Section):
    """`data`: what a share is a share of, how often data may repeat, and what to do about bad rows."""

    weigh_by: Weigh = Weigh.ROWS
    max_epochs: Annotated[Finite, Field(gt=0)] | None = None
    audit: AuditSection = AuditSection()


class GroupSection(Section):
    """One entry of `search.space.groups`: its domains, bounds on their sum, and weights that settle the rest."""

    domains: Annotated[tuple[str, ...], BeforeValidator(_members)]
    share: Annotated[tuple[float, float], BeforeValidator(_bounds)] = (0.0, 1.0)
    proportions: dict[str, Annotated[Finite, Field(gt=0)]] | None = None


class SpaceSection(Section):
    """`search.space`: what is asked of mixtures beside the bounds of each domain's share."""

    groups: dict[Name, GroupSection] = {}
    grid: Annotated[Finite, Field(gt=0)] | None = None
    at_most: Annotated[Whole, Field(ge=1)] | None = None


class HyperparameterSection(Section):
    """One entry of `search.hyperparameters`: a range of numbers, or choices."""

    low: Annotated[int | float, BeforeValidator(_number)] | None = None
    high: Annotated[int | float, BeforeValidator(_number)] | None = None
    step: Annotated[Whole, Field(ge=1)] | None = None
    log: Annotated[bool, Field(strict=True)] = False
    whole: Annotated[bool, Field(strict=True)] | None = None
    choices: Annotated[tuple[int | float | str | bool, ...], BeforeValidator(_choices)] | None = None


class SearchSection(Section):
    """`search`: how many fine-tunes, how many at a time, the seed of every draw, who chooses mixtures, when to stop."""

    trials: Annotated[Whole, Field(ge=1)] = 24
    parallel: Annotated[Whole, Field(ge=1)] = 2
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    sampler: SamplerKind = SamplerKind.SIMPLEX_GP
    stop: StopKind | None = None
    worth: Annotated[Finite, Field(gt=0)] = WORTH
    hyperparameters: dict[HyperparameterName, HyperparameterSection] = {}
    space: SpaceSection = SpaceSection()


Price = Annotated[Finite, Field(ge=0)]


class PricesSection(Section):
    """`budget.prices`: what a unit of each of the other limits costs, where no amount is billed for a job.

    Attributes:
        usd_per_hour: of wall-clock time while a driver runs, such as a rented machine's price.
        usd_per_gpu_hour: of each GPU that a job holds.
        usd_per_million_tokens: that a job trains on.
    """

    usd_per_hour: Price | None = None
    usd_per_gpu_hour: Price | None = None
    usd_per_million_tokens: Price | None = None


class BudgetSection(Section):
    """`budget`: what may be spent beside the number of trials; whichever limit comes first ends the study.

    Attributes:
        usd: money.
        hours: wall-clock time of drivers, over all resumes.
        gpu_hours: of each GPU that a job holds.
        tokens: that jobs train on, repeats counted.
        prices: what turns the others into money.
    """

    usd: Annotated[Finite, Field(gt=0)] | None = None
    hours: Annotated[Finite, Field(gt=0)] | None = None
    gpu_hours: Annotated[Finite, Field(gt=0)] | None = None
    tokens: Annotated[Finite, Field(gt=0)] | None = None
    prices: PricesSection = PricesSection()


class StorageKind(enum.StrEnum):
    """Where a study is kept."""

    SQLITE = "sqlite"
    """In a folder of its own, with a database."""
    MEMORY = "memory"
    """In this process alone: it ends with it."""


def _storage(value: Any) -> Any:
    """A kind of storage, or the URL of a server; what may hold a password is not shown."""
    if value in tuple(StorageKind):
        return StorageKind(value)
    if isinstance(value, str) and "://" in value:
        return DatabaseUrl.parse(value)
    found = "other text" if isinstance(value, str) and re.search("[:@]", value) else shown(value)
    raise ValueError(f"expected sqlite, memory, or a URL such as {EXAMPLE}, found {found}")


class KeepSection(Section):
    """`keep`: how many of the best trials' artefacts stay on disk, and how much room they may take."""

    best: Annotated[Whole, Field(ge=0)] = 2
    disk_gb: Annotated[Finite, Field(gt=0)] = 20.0


class HealthSection(Section):
    """`health`: when a trial counts as stuck, and the room on the disk that is left alone.

    Attributes:
        stuck_after_s: seconds without a sign of life of whoever runs it.
        floor_gb: below it nothing new is started; None never waits for room.
        wait_s: seconds to wait for room once nothing runs any more, before the driver ends.
    """

    stuck_after_s: Annotated[Finite, Field(gt=0)] = 120.0
    floor_gb: Annotated[Finite, Field(gt=0)] | None = 1.0
    wait_s: Annotated[Finite, Field(ge=0)] = 600.0


class StudyFile(Section):
    """The whole file; `objective` is checked by the back end that it names."""

    name: Name
    domains: dict[Name, DomainSection]
    objective: dict[str, Any]
    metrics: tuple[MetricSection, ...]
    current: dict[str, Share] | None = None
    baseline: Annotated[bool, Field(strict=True)] | None = None
    balance: BalanceSection = BalanceSection()
    data: DataSection = DataSection()
    search: SearchSection = SearchSection()
    budget: BudgetSection = BudgetSection()
    keep: KeepSection = KeepSection()
    health: HealthSection = HealthSection()
    storage: Annotated[StorageKind | DatabaseUrl, PlainValidator(_storage)] = StorageKind.SQLITE


def parse(text: str) -> StudyFile:
    """Checks a study file's text.

    Raises:
        SpecError: it is not YAML, a key is unknown or twice there, or a value is not what is expected; all such
            places are listed.
    """
    return validated(StudyFile, loaded(text))
