"""The border: a study file's YAML, checked key by key, with errors that name the dotted path."""

from __future__ import annotations

import difflib
import enum
import math
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from objectives.data import Action, Weigh
from objectives.metrics import Goal
from objectives.scorer import BalanceKind
from ratio_search.errors import SpecError
from ratio_search.sampler.strategy import SamplerKind

Model = TypeVar("Model", bound=BaseModel)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A plain name: it becomes a folder, a database key and half of a metric's name."""


def shown(value: Any) -> str:
    """A value from the file, as an error shows it: on one line, and short however large it is."""
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else _REPR.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Not the plain repr: aliases let a few lines of YAML unfold into gigabytes.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 3, 60, 60


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
    """One entry of `domains`: its files, and the bounds of its share (one number fixes it)."""

    train: Files = ()
    test: Files = ()
    final: Files = ()
    share: Annotated[tuple[float, float], BeforeValidator(_bounds)] | None = None
    max_epochs: Annotated[Finite, Field(gt=0)] | None = None


class MetricSection(Section):
    """One entry of `metrics`."""

    name: str
    goal: Goal | None = None
    weight: Annotated[Finite, Field(ge=0)] | None = None
    reference: Finite | None = None
    scale: Annotated[Finite, Field(gt=0)] | None = None
    guard: Annotated[Finite, Field(ge=0)] | None = None


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
    """`search`: how many fine-tunes, how many at a time, the seed of every random draw, and who chooses mixtures."""

    trials: Annotated[Whole, Field(ge=1)] = 24
    parallel: Annotated[Whole, Field(ge=1)] = 2
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    sampler: SamplerKind = SamplerKind.SIMPLEX_GP
    hyperparameters: dict[HyperparameterName, HyperparameterSection] = {}
    space: SpaceSection = SpaceSection()


class BudgetSection(Section):
    """`budget`: what may be spent beside the number of trials."""

    hours: Annotated[Finite, Field(gt=0)] | None = None


class StorageKind(enum.StrEnum):
    """Where a study is kept."""

    SQLITE = "sqlite"
    """In a folder of its own, with a database."""
    MEMORY = "memory"
    """In this process alone: it ends with it."""


class KeepSection(Section):
    """`keep`: how many of the best trials' artefacts stay on disk, and how much room they may take."""

    best: Annotated[Whole, Field(ge=0)] = 2
    disk_gb: Annotated[Finite, Field(gt=0)] = 20.0


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
    storage: StorageKind = StorageKind.SQLITE


class _Loader(yaml.SafeLoader):
    """Plain data only; every key is text and stands once; numbers are YAML 1.2's, so that 1e-3 is one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag not in _KEY_TAGS:
                found = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or keys with values"
                raise SpecError(f"line {line}: keys must be text, found {found}; put it in quotes")
            if key.value in seen:
                raise SpecError(f"line {line}: the key {key.value!r} stands twice here; remove one")
            seen.add(key.value)
        return node


_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
_INT, _FLOAT, _DATE = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp"))
# PyYAML's are YAML 1.1's, to which 1e-3 is text, 1:30 is 90, 010 is 8 and a name such as 2024-01-31 a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _DATE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)
_Loader.add_constructor(_INT, lambda loader, node: int(node.value))


def read(path: Path) -> str:
    """The text of a study file.

    Raises:
        SpecError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SpecError(
            f"{path}: not valid UTF-8 (byte {error.start + 1} is 0x{byte:02x}); save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SpecError(f"{path}: cannot be read ({why}); expected a study file") from error


def parse(text: str) -> StudyFile:
    """Checks a study file's text.

    Raises:
        SpecError: it is not YAML, a key is unknown or twice there, or a value is not what is expected; all such
            places are listed.
    """
    try:
        data = yaml.load(text, Loader=_Loader)
    except SpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise SpecError(f"{where}not YAML: {error.problem or error.context}") from error
    except Exception as error:  # PyYAML lets ValueError, KeyError and more out of bad scalars, such as `!!int x`
        reason = " ".join(str(error).split())
        raise SpecError(f"not YAML that can be read: {type(error).__name__}: {reason}") from error
    if not isinstance(data, dict):
        raise SpecError(f"expected keys such as name, domains, objective and metrics, found {shown(data)}")
    return validated(StudyFile, data)


def validated(model: type[Model], data: Any, at: str = "") -> Model:
    """Validates plain data, turning every problem into one line with its dotted path.

    Args:
        model: what the data should be.
        data: plain data from YAML.
        at: dotted path of the data in the file.

    Raises:
        SpecError: it is not.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SpecError(explained(model, error, at)) from None


def explained(model: type[BaseModel], error: ValidationError, at: str) -> str:
    """What is wrong with plain data, each problem in one line with its dotted path.

    Args:
        model: what the data should be.
        error: what pydantic says of it.
        at: dotted path of the data in the file.
    """
    return "\n".join(_explain(model, detail, at) for detail in error.errors(include_url=False))


_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt:.15g}",
    "less_than_equal": "a number of at most {le:g}",
    "model_type": "keys with values",
    "string_type": "text",
    "too_short": "a longer list",
    "tuple_type": "a list",
}
"""What pydantic expected, in the words of somebody who writes YAML; its own words are kept for the rest."""


def _explain(model: type[BaseModel], detail: ErrorDetails, at: str) -> str:
    path = at
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    kind, message = detail["type"], detail["msg"]
    if kind == "extra_forbidden":
        known = _keys(model, detail["loc"][:-1])
        near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"{path}: unknown key; {hint}"
    if kind == "missing":
        return f"{path}: required, but not there; add it"
    if kind == "value_error":
        return f"{path.removesuffix('.[key]')}: {message.removeprefix('Value error, ')}"
    if kind in _EXPECTED:
        message = f"expected {_EXPECTED[kind].format(**detail.get('ctx', {}))}"
    else:
        message = message.replace("Input should be", "expected")
    return f"{path}: {message}, found {shown(detail['input'])}"


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at a location may have."""
    parts = iter(location)
    for part in parts:
        annotation = model.model_fields[str(part)].annotation
        model = _section(annotation)
        if get_origin(annotation) in (dict, tuple):
            next(parts)  # the entry's own name or number
    return list(model.model_fields)


def _section(annotation: Any) -> Any:
    """The model inside an annotation such as `dict[str, Section]` or `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section, getattr(annotation, "__args__", ()))), None)
