"""How many threads linear algebra takes."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """While it lasts, linear algebra takes one thread.

    On matrices of hundreds of rows more of them wait for each other, and for the trials that run beside them: on a
    busy machine of two cores a fit took fifty times as long with two.
    """
    limit: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limit


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
