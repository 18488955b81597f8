"""Whose answers are that do not say so: found out by their order, and by the texts that the model was given."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from objectives.backends.sagemaker.inference import Inference
from objectives.backends.sagemaker.questions import Question, named
from objectives.errors import ResultError

SURE = math.log(1e6)
"""Golds that can be in more orders than this, as a logarithm, are in the right one by no accident."""

PIECE = 16
"""Characters of a query that are looked for in prompts before the rest is."""

Pairs = list[tuple[Question, Inference]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Answers, and the questions that they may be to.

    Attributes:
        inferences: the answers.
        questions: all that are left.
        wordings: what each question says.
        possible: what the question of each answer may say.
    """

    inferences: Sequence[Inference]
    questions: Sequence[Question]
    wordings: Sequence[Wording]
    possible: Sequence[Sequence[Wording]]

    @classmethod
    def of(cls, inferences: Sequence[Inference], questions: Sequence[Question]) -> Self:
        """Looks for the questions' texts in what the model was given."""
        wordings = [Wording.of(question) for question in questions]
        known = Wordings.of(wordings)
        return cls(
            inferences=inferences,
            questions=questions,
            wordings=wordings,
            possible=[known.possible(one) for one in inferences],
        )

    def pairs(self) -> Pairs:
        """Answers with their questions; some of these may be without.

        Raises:
            ResultError: an answer is to nothing that was asked, or cannot be told whose it is.
        """
        return list(zip(self.questions, self.inferences, strict=True)) if self._in_order() else self._by_text()

    def _in_order(self) -> bool:
        """Whether the answers are in the order of the questions, as far as that can be told."""
        if len(self.inferences) != len(self.questions) or any(
            one.gold is None or not one.expects(question)
            for one, question in zip(self.inferences, self.questions, strict=True)
        ):
            return False
        if not any(self.possible) or all(one.prompt is None for one in self.inferences):
            # No prompt says anything. Of one domain, it is enough that right answers are beside equal ones.
            alone = len({question.domain for question in self.questions}) == 1
            return alone or _orders([wording.gold for wording in self.wordings]) > SURE
        return all(wording in possible for wording, possible in zip(self.wordings, self.possible, strict=True))

    def _by_text(self) -> Pairs:
        """Answers with the questions whose texts the model was given.

        If then every question has an answer, none can be another's: it would have gone to a question with a longer
        text, whose own answer would have had to go to one with a longer text still. Questions of the same texts are
        alike, and have their answers in order.
        """
        alike: dict[Wording, list[Question]] = {}
        for wording, question in zip(self.wordings, self.questions, strict=True):
            alike.setdefault(wording, []).append(question)
        pairs: Pairs = []
        taken: Counter[Wording] = Counter()
        for one, possible in zip(self.inferences, self.possible, strict=True):
            if not possible:
                raise ResultError(f"line {one.line} of the answers is to nothing that was asked: {one}")
            if len(possible) > 1:
                several = named([alike[wording][0] for wording in possible[:2]])
                raise ResultError(
                    f"line {one.line} of the answers does not say whose it is, and could be to several questions, such "
                    f"as {several}: {one}"
                )
            own, number = alike[possible[0]], taken[possible[0]]
            if number == len(own):
                raise ResultError(f"line {one.line} of the answers is one too many to {named(own)}: {one}")
            pairs.append((own[number], one))
            taken[possible[0]] += 1
        return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A text as a prompt may contain it.

    Attributes:
        text: it, without white space around it.
        spellings: as it is, and as it stands in JSON and in Python.
    """

    text: str
    spellings: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """The phrase of a text."""
        bare = text.strip()
        quoted = (json.dumps(bare), json.dumps(bare, ensure_ascii=False), repr(bare))
        return cls(text=bare, spellings=tuple(dict.fromkeys((bare, *(spelling[1:-1] for spelling in quoted)))))

    def stands_in(self, prompt: str) -> bool:
        """Whether a prompt contains it."""
        return any(spelling in prompt for spelling in self.spellings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What a question says; that of two questions can be the same.

    Attributes:
        query, system: what a model is given; the latter may be empty.
        gold: the right answer, without white space around it.
    """

    query: Phrase
    system: Phrase
    gold: str

    @classmethod
    def of(cls, question: Question) -> Self:
        """The wording of a question."""
        return cls(
            query=Phrase.of(question.query),
            system=Phrase.of(question.system or ""),
            gold=question.response.strip(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """All that questions say, to be looked for in prompts, each of which is read once.

    Attributes:
        distinct: the wordings, each once.
        pieces: short pieces of queries, one of each spelling and as rare as can be, with those that have them.
        sizes: characters of the pieces.
    """

    distinct: tuple[Wording, ...]
    pieces: Mapping[str, Sequence[Wording]]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, wordings: Sequence[Wording]) -> Self:
        """The wordings of some questions."""
        distinct = tuple(dict.fromkeys(wordings))
        spelled = [(wording, spelling) for wording in distinct for spelling in wording.query.spellings]
        # What many queries share, such as the task in front of each, leads to none of them.
        common = Counter(piece for _, spelling in spelled for piece in _pieces(spelling))
        pieces: dict[str, list[Wording]] = {}
        for wording, spelling in spelled:
            pieces.setdefault(min(_pieces(spelling), key=common.__getitem__), []).append(wording)
        return cls(distinct=distinct, pieces=pieces, sizes=tuple(sorted({len(piece) for piece in pieces})))

    def possible(self, inference: Inference) -> list[Wording]:
        """What the question of an answer may say.

        Its gold is that of the answer. It has the longest query that stands in the prompt and, of one query, the
        longest system text.
        """
        prompt = inference.prompt
        near = self.distinct if prompt is None else self._near(prompt)
        found = [wording for wording in near if inference.gold in (wording.gold, None)]
        if prompt is None:
            return found
        found = _longest([wording for wording in found if wording.query.stands_in(prompt)], lambda w: w.query)
        if len({wording.query for wording in found}) != 1:
            return found
        return _longest([wording for wording in found if wording.system.stands_in(prompt)], lambda w: w.system) or found

    def _near(self, prompt: str) -> Iterable[Wording]:
        """Those of which a piece stands in a prompt."""
        return dict.fromkeys(
            wording
            for size in self.sizes
            for start in range(len(prompt) - size + 1)
            for wording in self.pieces.get(prompt[start : start + size], ())
        )


def _longest(wordings: Sequence[Wording], phrase: Callable[[Wording], Phrase]) -> list[Wording]:
    """The wordings with the longest phrase."""
    size = max((len(phrase(wording).text) for wording in wordings), default=0)
    return [wording for wording in wordings if len(phrase(wording).text) == size]


def _pieces(text: str) -> list[str]:
    """Pieces of a text, evenly spread over it."""
    last = max(0, len(text) - PIECE)
    return [text[(start := last * number // 7) : start + PIECE] for number in range(8)]


def _orders(golds: Sequence[str]) -> float:
    """How many orders golds can be in, as a logarithm."""
    return math.lgamma(len(golds) + 1) - sum(math.lgamma(count + 1) for count in Counter(golds).values())
