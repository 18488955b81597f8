from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from objectives.data.columns import content_hash

SPACES = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"

characters = st.characters(exclude_categories=("Cs",))
ascii_text = st.text(st.characters(max_codepoint=127))
text = st.text(characters, max_size=20) | st.text(
    st.sampled_from("aAßẞΐΆά\u0301\u0308\u0327\u0345é\uff21ﬁ②K Ⅷ가\u1100\u1161")
)
forms = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])


def general(text: str) -> bytes:
    """The hash by the rule for all texts, letter by letter."""

    def decomposed(text: str) -> str:
        return unicodedata.normalize("NFKD", text)

    plain = decomposed("".join(letter for letter in decomposed(text).casefold() if not letter.isspace()))
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def spread(text: str, spaces: list[str]) -> str:
    """The text with white space between its letters."""
    return "".join(letter + space for letter, space in zip(text, spaces + [""] * len(text), strict=False))


class TestContentHash:
    @given(ascii_text)
    @example("".join(map(chr, range(128))))
    def test_of_ascii_is_by_the_same_rule(self, text: str) -> None:
        assert content_hash(text) == general(text)

    @given(text)
    def test_is_of_eight_bytes_by_one_rule(self, text: str) -> None:
        assert content_hash(text) == general(text)
        assert len(content_hash(text)) == 8

    @given(text, forms, st.lists(st.sampled_from(SPACES)))
    @example("ΐ", "NFD", [])
    @example("e\u0301", "NFC", [" "])
    @example("e\u0301\u0327", "NFC", ["", " "])
    def test_is_the_same_for_other_forms_cases_and_spaces(self, text: str, form: str, spaces: list[str]) -> None:
        assume("\u0345" not in unicodedata.normalize("NFKD", text))  # folding makes it a letter
        known = content_hash(text)
        assert content_hash(unicodedata.normalize(form, text)) == known
        assert content_hash(text.casefold()) == known
        assert content_hash(text.lower()) == known
        assert content_hash(spread(text, spaces)) == known
        if "\u0131" not in text:  # the dotless i, whose capital is that of the other i
            assert content_hash(text.upper()) == known
            assert content_hash(unicodedata.normalize(form, spread(text.title(), spaces))) == known

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("The answer is 42.", "THE\tANSWER\n\nis 42. "),
            ("ABC 123", "\uff21\uff22\uff23\u3000\uff11\uff12\uff13"),
            ("office", "oﬃce"),
            ("Straße", "STRASSE"),
            ("naïve", "nai\u0308ve"),
            ("ΰ", "ΰ".upper()),
            ("ᾷ", "ᾷ".title()),
            ("한국", "한국"),
            ("x²", "x2"),
            ("", " \u2003\x1f"),
        ],
    )
    def test_is_the_same_for(self, one: str, other: str) -> None:
        assert content_hash(one) == content_hash(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("The answer is 42.", "The answer is 43."),
            ("The answer is 42.", "The answer is 42"),
            ("naïve", "naive"),
            ("ab", "ba"),
            ("", "\x00"),
            ("", "\u200b"),
            ("a\u2019s", "a's"),
            ("\u0661", "1"),
        ],
    )
    def test_is_another_for(self, one: str, other: str) -> None:
        assert content_hash(one) != content_hash(other)

    @given(text, text)
    def test_is_another_for_other_texts(self, one: str, other: str) -> None:
        def plain(text: str) -> str:
            folded = "".join(unicodedata.normalize("NFKD", text).casefold().split())
            return unicodedata.normalize("NFKD", folded)

        assume(plain(one) != plain(other))
        assert content_hash(one) != content_hash(other)

    def test_takes_any_text(self) -> None:
        assert content_hash("half \ud800") == content_hash("HALF\ud800") != content_hash("half \udc00")
