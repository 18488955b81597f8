"""The service's own description of its requests and answers, as botocore carries it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import OperationModel, OperationNotFoundError, Shape
from botocore.validate import ParamValidator

from tests.services.sagemaker.refusal import Refusal, invalid, unknown_operation


class Shapes:
    """Checks what goes in and out against SageMaker's service model."""

    def __init__(self) -> None:
        self._model = botocore.session.get_session().get_service_model("sagemaker")

    def operation(self, name: str) -> OperationModel:
        """An operation of SageMaker.

        Raises:
            Refusal: it has none of that name.
        """
        try:
            return self._model.operation_model(name)
        except OperationNotFoundError as error:
            raise unknown_operation() from error

    def check_request(self, operation: str, asked: dict[str, Any]) -> None:
        """Checks a request: members, types, patterns, lengths and the values of enumerations.

        Raises:
            Refusal: it breaks a rule of the service model.
        """
        shape = self.operation(operation).input_shape
        found = ParamValidator().validate(asked, shape)
        if found.has_errors():
            raise Refusal("SerializationException", found.generate_report())
        broken = list(_broken(asked, shape, ""))
        if broken:
            plural = "s" if len(broken) > 1 else ""
            raise invalid(f"{len(broken)} validation error{plural} detected: {'; '.join(broken)}")

    def check_answer(self, operation: str, answer: dict[str, Any]) -> None:
        """Checks an answer of ours; that it breaks a rule is our own bug."""
        shape = self.operation(operation).output_shape
        if shape is None:
            assert not answer, f"{operation} answers nothing"
            return
        found = ParamValidator().validate(answer, shape)
        broken = [found.generate_report()] if found.has_errors() else list(_broken(answer, shape, ""))
        assert not broken, f"{operation} answers what it cannot: {broken}"


def _broken(value: Any, shape: Shape, at: str) -> Iterator[str]:
    """The rules that a well-typed value breaks, in AWS's words."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from _broken(value[name], member, f"{at}.{_first_lower(name)}".lstrip("."))
        return
    if shape.type_name in ("list", "map", "string"):
        yield from _wrong_size(len(value), shape, at, value)
    if shape.type_name == "list":
        for i, item in enumerate(value, 1):
            yield from _broken(item, shape.member, f"{at}.{i}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _broken(key, shape.key, f"{at}.{key}.key")
            yield from _broken(item, shape.value, f"{at}.{key}.member")
    elif shape.type_name in ("integer", "long"):
        yield from _wrong_number(value, shape, at)
    elif shape.type_name == "string":
        yield from _wrong_text(value, shape, at)


def _wrong_size(size: int, shape: Shape, at: str, value: Any) -> Iterator[str]:
    if size < shape.metadata.get("min", 0):
        yield _failed(value, at, f"have length greater than or equal to {shape.metadata['min']}")
    if size > shape.metadata.get("max", size):
        yield _failed(value, at, f"have length less than or equal to {shape.metadata['max']}")


def _wrong_number(value: float, shape: Shape, at: str) -> Iterator[str]:
    if value < shape.metadata.get("min", value):
        yield _failed(value, at, f"have value greater than or equal to {shape.metadata['min']}")
    if value > shape.metadata.get("max", value):
        yield _failed(value, at, f"have value less than or equal to {shape.metadata['max']}")


def _wrong_text(value: str, shape: Shape, at: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    if (
        pattern and "\\p" not in pattern and not re.fullmatch(pattern, value, re.DOTALL)
    ):  # Java's classes are not Python's
        yield _failed(value, at, f"satisfy regular expression pattern: {pattern}")
    if shape.enum and value not in shape.enum:
        yield _failed(value, at, f"satisfy enum value set: [{', '.join(shape.enum)}]")


def _failed(value: Any, at: str, rule: str) -> str:
    return f"Value '{value}' at '{at}' failed to satisfy constraint: Member must {rule}"


def _first_lower(name: str) -> str:
    return name[:1].lower() + name[1:]
