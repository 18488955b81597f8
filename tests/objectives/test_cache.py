from __future__ import annotations

from pathlib import Path

import pytest

from objectives.cache import cache_folder


class TestCacheFolder:
    def test_is_the_users_unless_told_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RATIO_SEARCH_CACHE", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        assert cache_folder() == Path.home() / ".cache" / "ratio-search"
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        assert cache_folder() == Path("/somewhere/ratio-search")
        monkeypatch.setenv("RATIO_SEARCH_CACHE", "/elsewhere")
        assert cache_folder() == Path("/elsewhere")

    def test_empty_variables_say_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", "")
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        assert cache_folder() == Path.home() / ".cache" / "ratio-search"

    def test_may_be_below_the_users_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", "~/kept")
        assert cache_folder() == Path.home() / "kept"
        monkeypatch.delenv("RATIO_SEARCH_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", "~/all")
        assert cache_folder() == Path.home() / "all" / "ratio-search"

    def test_is_not_made_by_asking(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("RATIO_SEARCH_CACHE", str(tmp_path / "cache"))
        assert not cache_folder().exists()
