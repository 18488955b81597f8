"""The learner of a job: kept from the last one where both train the same kind of thing, else made anew."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from objectives.backends.hf import HfBackend, LoraOptions, Method
from objectives.backends.hf.learner import Learner

Kind = tuple[Method, LoraOptions]


class Bench:
    """Holds one learner at a time.

    Jobs may differ in what they train, an adapter of another rank or all weights. Adapters change the model that they
    are put into, and trained weights are no longer the base model's, so such a job begins with the base model as it
    is on disk.
    """

    def __init__(self, make: Callable[[HfBackend], Learner], learner: Learner, settings: HfBackend) -> None:
        """Takes the first learner.

        Args:
            make: makes a learner for a job's settings.
            learner: that of `settings`.
            settings: the study's.
        """
        self._make = make
        self._learner: Learner | None = learner
        self._kind = _kind(settings)

    def learner(self, settings: HfBackend) -> Learner:
        """The learner for a job's settings, to be put back to its beginning.

        Raises:
            OptionsError: the base model is no longer there, or cannot be used.
        """
        if self._learner is None or self._kind != _kind(settings):
            # Two models may not fit into the memory that one fits into.
            self._learner = None
            gc.collect()
            torch.cuda.empty_cache()
            self._learner = self._make(settings)
            self._kind = _kind(settings)
        return self._learner


def _kind(settings: HfBackend) -> Kind:
    return settings.method, settings.lora if settings.method is Method.LORA else LoraOptions()
