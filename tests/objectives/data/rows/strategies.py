"""Rows and JSON values, drawn by hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from objectives.data.rows import Call, Message, Role, Row, Tool

characters = st.characters(exclude_categories=("Cs",))
text = st.text(characters, max_size=12)
words = st.text(characters, min_size=1, max_size=12).filter(str.strip)
names = st.sampled_from(["find", "add", "buy"])
ids = st.none() | st.sampled_from(["call-1", "call-2", "a", "b"])

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | text
numbers = st.floats(allow_nan=False, allow_infinity=False)
keys = st.sampled_from(["x", "output", "error", "type"]) | text


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)


values = st.recursive(scalars | numbers, _nested, max_leaves=5)
objects = st.dictionaries(keys, values, max_size=3)

plain_rows = st.builds(Row.of, text, words, st.none(), st.none() | words)
labelled_rows = st.builds(lambda asked, label, rest: Row.of(asked, label + rest, label), text, words, text)

calls = st.builds(Call, name=names, arguments=objects, id=ids)
tools = st.builds(Tool, name=names, description=st.none() | text, parameters=st.none() | objects)
users = st.builds(Message, role=st.just(Role.USER), text=text)
participants = st.none() | st.sampled_from(["Ann", "Bob"])

callers = st.builds(
    Message, role=st.just(Role.ASSISTANT), text=text, calls=st.lists(calls, min_size=1, max_size=3).map(tuple)
)
speakers = st.builds(Message, role=st.just(Role.ASSISTANT), text=words)
results = st.builds(
    Message, role=st.just(Role.TOOL), text=text, answers=ids, name=st.none() | names, failed=st.booleans()
) | st.builds(
    Message,
    role=st.just(Role.TOOL),
    data=values.filter(lambda value: value is not None),
    answers=ids,
    name=st.none() | names,
    failed=st.booleans(),
)


@st.composite
def conversations(draw: st.DrawFn) -> Row:
    """Rows that begin with a user and alternate, with calls and their results; mostly what every format can hold."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message(role=Role.SYSTEM, text=draw(text)))
    messages.append(draw(users))
    for _ in range(draw(st.integers(0, 2))):
        caller = draw(callers | speakers)
        messages.append(caller)
        if caller.calls:
            for call in caller.calls:
                result = draw(results)
                told = draw(st.booleans())
                messages.append(
                    Message(
                        role=Role.TOOL,
                        text=result.text,
                        data=result.data,
                        answers=call.id if told else None,
                        failed=draw(st.integers(0, 9)) == 0,
                    )
                )
        if not caller.calls or draw(st.booleans()):
            messages.append(draw(users))
    messages.append(draw(callers | speakers))
    return Row(messages=tuple(messages), tools=tuple(draw(st.lists(tools, max_size=2))))


_anything = st.lists(
    st.builds(
        Message,
        role=st.sampled_from([Role.SYSTEM, Role.USER]),
        text=text,
        name=participants,
    )
    | st.builds(Message, role=st.just(Role.ASSISTANT), text=text, name=participants, trained=st.booleans())
    | callers
    | results,
    max_size=5,
)
wild_rows = st.builds(
    lambda before, last, held: Row(messages=(*before, last), tools=tuple(held)),
    _anything,
    callers | speakers,
    st.lists(tools, max_size=2),
)
rows = plain_rows | labelled_rows | conversations() | wild_rows
