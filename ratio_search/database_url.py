"""The address of a database server that keeps studies, as a study file states it: never with a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlsplit

SCHEMES = ("postgresql", "postgresql+psycopg")
"""What the URL of a database server may begin with."""

EXAMPLE = "postgresql://user@host:5432/database"

_SECRETS = frozenset({"password", "sslpassword"})
_PASSWORDS = (
    "put the password where PostgreSQL's own programs look for it: in the environment variable PGPASSWORD, in the file "
    "~/.pgpass (or the one that PGPASSFILE names), or in a connection service file"
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a server keeps the trials of studies.

    Attributes:
        text: as it was stated.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a URL.

        Raises:
            ValueError: it is none of a server that is supported, or holds a password; this the message does not repeat.
        """
        scheme = text.partition("://")[0]
        if scheme not in SCHEMES:
            found = f"a URL of {scheme}" if re.fullmatch(r"[a-z0-9+]{1,30}", scheme) else "another URL"
            raise ValueError(f"expected sqlite, or the URL of a PostgreSQL database such as {EXAMPLE}, found {found}")
        unreadable = (
            f"expected a URL such as {EXAMPLE}, found one that cannot be read; other signs in a name are written with "
            "'%', such as %40 for '@', and a password does not belong here"
        )
        try:
            parts = urlsplit(text)
            options = parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True) if parts.query else []
            _ = parts.port
        except ValueError:
            raise ValueError(unreadable) from None
        if parts.password is not None or any(name.lower() in _SECRETS for name, _ in options):
            raise ValueError(
                "found a URL with a password, which anybody could read in the study's folder; take it out, and "
                f"{_PASSWORDS}"
            )
        database = parts.path.removeprefix("/")
        if not re.fullmatch("[!-~]+", text) or parts.fragment or re.search("[/@:]", database):
            raise ValueError(unreadable)
        if not database and not {"dbname", "service"} & {name for name, _ in options}:
            raise ValueError(f"expected a URL that names a database, such as {EXAMPLE}, found none in it")
        return cls(text)

    @property
    def sqlalchemy(self) -> str:
        """The URL with the name of the package that connects, as SQLAlchemy and Optuna want it."""
        return f"postgresql+psycopg://{self.text.partition('://')[2]}"

    def __str__(self) -> str:
        return self.text
