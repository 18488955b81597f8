"""Files of YAML: read strictly, and checked key by key, with errors that name the dotted path."""

from __future__ import annotations

import difflib
import re
import reprlib
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ratio_search.errors import SpecError

Model = TypeVar("Model", bound=BaseModel)


def shown(value: Any) -> str:
    """A value from the file, as an error shows it: on one line, and short however large it is."""
    text = "nothing" if value is None else str(value).lower() if isinstance(value, bool) else _REPR.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Not the plain repr: aliases let a few lines of YAML unfold into gigabytes.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 3, 60, 60


class _PlainLoader(yaml.SafeLoader):
    """Plain data only; what is merged into a mapping again and again stands in it once.

    Aliases name what is there already, and take no room. But PyYAML copies what is merged, so that a few lines which
    merge each other would unfold into gigabytes.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # Of keys that stand several times the last counts, as it did before.
        once = {
            (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key): (key, value)
            for key, value in node.value
        }
        node.value = list(once.values())


class _Loader(_PlainLoader):
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


def loaded(text: str) -> dict[str, Any]:
    """The plain data of a file's text.

    Raises:
        SpecError: it is not YAML, has a key twice, or has no keys at its top.
    """
    data = plain(text, _Loader)
    if not isinstance(data, dict):
        raise SpecError(f"expected keys such as name, domains, objective and metrics, found {shown(data)}")
    return data


def plain(text: str, loader: type[_PlainLoader] = _PlainLoader) -> Any:
    """The plain data of YAML that need not be a study file; numbers are YAML 1.1's.

    Args:
        text: YAML.
        loader: a stricter one.

    Raises:
        SpecError: it is not YAML, or the loader refuses it.
    """
    try:
        return yaml.load(text, Loader=loader)
    except SpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise SpecError(f"{where}not YAML: {error.problem or error.context}") from error
    except Exception as error:  # PyYAML lets ValueError, KeyError and more out of bad scalars, such as `!!int x`
        reason = " ".join(str(error).split())
        raise SpecError(f"not YAML that can be read: {type(error).__name__}: {reason}") from error


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
