"""Counts tokens with the base model's own tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from objectives.backends.hf import TEMPLATE, HfBackend
from objectives.backends.hf.hub import cached_tokenizer
from objectives.backends.hf.tiny import TINY, TinyRecipe, base_rows, digest, tiny_model
from objectives.data import Row
from objectives.errors import OptionsError


class HfCounter:
    """Counts what the model would read of a row, template included; loads the tokenizer when it first counts.

    Attributes:
        name: changes with the base model and the template's rule.
        about: how tokens are counted, in words.
    """

    def __init__(self, source: str | Path, name: str, model: str) -> None:
        """Takes the tokenizer's place.

        Args:
            source: a folder, or `tiny`.
            name: of the counts.
            model: what the study file calls the base model.
        """
        self.name = name
        self.about = f"counted with the tokenizer of {model}"
        self._source = source
        self._loaded: tuple[Any, Any] | None = None

    @classmethod
    def of(cls, settings: HfBackend, root: Path) -> Self | None:
        """The counter of an objective's base model; None if that is on the hub and its tokenizer not in the cache here.

        Args:
            settings: of the objective.
            root: folder that relative paths refer to.

        Raises:
            OptionsError: the base model is a path, and there is no model.
        """
        if settings.base_model == TINY:
            return cls(TINY, f"{digest(base_rows(), TinyRecipe())}-{TEMPLATE}", TINY)
        # The name of a folder in the hub's cache is the commit, which another state of the model does not share.
        folder = settings.base_folder(root) or cached_tokenizer(settings.base_model)
        if folder is None:
            return None
        known = settings.fingerprint(root).get("base_model", f"{settings.base_model}/{folder.name}")
        name = hashlib.sha256(f"{known}/{TEMPLATE}".encode()).hexdigest()[:16]
        return cls(folder, name, settings.base_model)

    def count(self, rows: Sequence[Row]) -> list[int]:
        """Tokens of each row, nothing cut off.

        Raises:
            OptionsError: the tokenizer cannot be loaded from this machine.
        """
        from objectives.backends.hf.encoding import split

        if self._loaded is None:
            self._loaded = self._load()
        return [len(prompt) + len(response) for prompt, response in split(rows, *self._loaded)]

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer

        from objectives.backends.hf.template import Template

        source = tiny_model() if self._source == TINY else self._source
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the libraries behind it raise errors of their own, without a common root
            raise OptionsError(f"objective.base_model: the tokenizer of {source} cannot be loaded: {error}") from error
        return tokenizer, Template.of(tokenizer)
