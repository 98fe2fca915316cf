"""A model's own words: one a line, and a file that is wrong says in which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.plugin_api.vocabulary import (
    LONGEST_TERM,
    MOST_TERMS,
    VOCABULARY_FILE,
    parse_vocabulary,
    read_vocabulary,
)


def test_terms_come_once_in_order_without_comments_and_spare_spaces() -> None:
    text = "# da farmácia\r\n  Xarelto \n\nsoro   fisiológico 0,9%\nXARELTO\n# fim\nUTI neonatal"
    assert parse_vocabulary(text) == ("Xarelto", "soro fisiológico 0,9%", "UTI neonatal")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\n" + "x" * (LONGEST_TERM + 1), f"line 2: more than {LONGEST_TERM} characters"),
        ("a\nb\nc\u0007d", "line 3: a character that can't be printed"),
        (
            "\n".join(f"palavra {n}" for n in range(MOST_TERMS + 1)),
            f"line {MOST_TERMS + 1}: more than {MOST_TERMS} terms",
        ),
    ],
)
def test_a_wrong_line_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="line") as caught:
        parse_vocabulary(text)
    assert str(caught.value) == reason


def test_the_longest_list_of_the_longest_terms_is_taken() -> None:
    terms = tuple(f"{n:03d}" + "x" * (LONGEST_TERM - 3) for n in range(MOST_TERMS))
    assert parse_vocabulary("\n".join(terms)) == terms


def test_a_folder_without_the_file_has_no_terms_and_a_bad_file_is_refused(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) == ()
    (tmp_path / VOCABULARY_FILE).write_text("dipirona\n")
    assert read_vocabulary(tmp_path) == ("dipirona",)
    (tmp_path / VOCABULARY_FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="decode"):
        read_vocabulary(tmp_path)
    (tmp_path / VOCABULARY_FILE).write_bytes(b"#" * (65 << 10))
    with pytest.raises(ValueError, match="larger"):
        read_vocabulary(tmp_path)
