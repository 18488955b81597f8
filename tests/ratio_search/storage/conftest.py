from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ratio_search.storage.server import PostgresServer, programs, server


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    """A server of PostgreSQL, while tests of this folder run; skips the test where that is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with server(found) as made:
        yield made
