"""What the tests of all back ends share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What other runs, of other code, kept of the same rows is not believed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATIO_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
