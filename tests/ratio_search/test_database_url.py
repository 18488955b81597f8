from __future__ import annotations

import pytest

from ratio_search.database_url import DatabaseUrl


class TestWhatIsTaken:
    @pytest.mark.parametrize(
        "text",
        [
            "postgresql://user@host:5432/database",
            "postgresql+psycopg://user@host/database",
            "postgresql://host/database?sslmode=require&connect_timeout=30",
            "postgresql://a%40b@[::1]:5432/my%2Fstudies",
            "postgresql:///database?host=/var/run/postgresql",
            "postgresql:///?service=team",
        ],
    )
    def test_it_stays_as_it_was_stated(self, text: str) -> None:
        assert str(DatabaseUrl.parse(text)) == text

    def test_optuna_is_told_which_package_connects(self) -> None:
        for scheme in ("postgresql", "postgresql+psycopg"):
            assert DatabaseUrl.parse(f"{scheme}://u@h:1/d").sqlalchemy == "postgresql+psycopg://u@h:1/d"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "text",
        [
            "postgresql://user:hunter2@host/database",
            "postgresql://user:@host/hunter2",
            "postgresql://user:hunter2%20@host/database",
            "postgresql://user@host/database?password=hunter2",
            "postgresql://user@host/database?sslmode=require&PassWord=hunter2",
            "postgresql://user@host/database?sslkey=k&sslpassword=hunter2",
        ],
    )
    def test_a_password_which_the_message_does_not_repeat(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"a URL with a password.*PGPASSWORD.*~/\.pgpass.*service file") as error:
            DatabaseUrl.parse(text)
        assert "hunter2" not in str(error.value)

    @pytest.mark.parametrize(
        "text",
        [
            # A password with a sign that means something else, each of them.
            "postgresql://user:hunter2/x@host/database",
            "postgresql://user:12/hunter2@host/database",
            "postgresql://user:hunter2#x@host/database",
            "postgresql://user:12?hunter2@host/database",
            "postgresql://user:hunter2[@host/database",
            "postgresql://user:hunter2 x@host:99999/database",
            "postgresql://host:port/hunter2",
            "postgresql://host/d hunter2",
        ],
    )
    def test_what_cannot_be_read_is_not_repeated_either(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"password") as error:
            DatabaseUrl.parse(text)
        assert "hunter2" not in str(error.value)

    @pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg2", "postgres", "sqlite", "mssql+pyodbc"])
    def test_other_databases_are_named_with_what_is_supported(self, scheme: str) -> None:
        with pytest.raises(ValueError, match="expected sqlite, or the URL of a PostgreSQL database") as error:
            DatabaseUrl.parse(f"{scheme}://user:hunter2@host/database")
        assert str(error.value).endswith(f"found a URL of {scheme}")

    def test_a_url_without_a_database(self) -> None:
        for text in ("postgresql://user@host", "postgresql://user@host/", "postgresql://"):
            with pytest.raises(ValueError, match="names a database"):
                DatabaseUrl.parse(text)
