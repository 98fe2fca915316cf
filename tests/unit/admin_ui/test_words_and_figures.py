from __future__ import annotations

import ast
import string
from pathlib import Path

import pytest

from admin_ui import figures
from admin_ui.listing import plain
from admin_ui.words import WORDS, known, language_of, words
from appliance.care import ai_switches

SOURCES = Path(__file__).parents[3] / "admin_ui"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def spoken_keys() -> set[str]:
    """Every constant key that the dashboard's code says."""
    found = set()
    for file in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "say":
                found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return found


@pytest.mark.parametrize("key", sorted(WORDS))
def test_both_languages_say_the_same_with_the_same_values(key: str) -> None:
    portuguese, english = WORDS[key]
    assert portuguese.strip()
    assert english.strip()
    assert placeholders(portuguese) == placeholders(english)


def test_every_word_that_the_pages_say_exists() -> None:
    spoken = spoken_keys()
    assert len(spoken) > 80
    assert spoken <= WORDS.keys()


def test_a_missing_word_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        words("pt")("no.such.word")


def test_a_code_newer_than_the_dashboard_is_shown_as_it_is() -> None:
    assert known(words("en"), "status", "ready") == "ready"
    assert known(words("pt"), "status", "ready") == "pronto"
    assert known(words("pt"), "status", "teleporting") == "teleporting"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "pt"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("en-US,en;q=0.9", "en"),
        ("en;q=0.3, pt;q=0.4", "pt"),
        ("de-DE,de;q=0.9,en;q=0.5", "en"),
        ("fr", "pt"),
        ("en;q=much", "pt"),
    ],
)
def test_the_browser_chooses_the_language(header: str, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize(
    ("count", "language", "shown"),
    [
        (0, "pt", "0 B"),
        (1023, "pt", "1.023 B"),
        (1 << 20, "en", "1 MiB"),
        (1_524_713_390, "pt", "1,42 GiB"),
        (1_524_713_390, "en", "1.42 GiB"),
        (5 << 50, "en", "5,120 TiB"),
        (900 << 30, "en", "900 GiB"),
    ],
)
def test_sizes(count: int, language: str, shown: str) -> None:
    assert figures.size(count, language) == shown


@pytest.mark.parametrize(
    ("value", "language", "shown"),
    [(120_177, "pt", "120.177"), (18.46, "pt", "18,5"), (0.05, "en", "0.050"), (3.0, "en", "3"), (-2.5, "en", "-2.50")],
)
def test_numbers(value: float, language: str, shown: str) -> None:
    assert figures.number(value, language) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (59.9, "59 s"), (598, "9 min 58 s"), (3_600, "1 h 00 min"), (90_061, "1 d 1 h")],
)
def test_spans(seconds: float, shown: str) -> None:
    assert figures.span(seconds) == shown


def test_moments_are_read_in_the_order_of_the_language_and_odd_ones_kept() -> None:
    instant = "2026-11-21T12:30:05.250Z"
    assert figures.moment(instant, "pt").split()[0] in ("20/11/2026", "21/11/2026", "22/11/2026")
    assert figures.moment(instant, "en").startswith("2026-11-2")
    assert figures.moment("ontem", "pt") == "ontem"


def test_search_forgives_case_and_accents() -> None:
    assert plain("Conceição ÁVILA") == "conceicao avila"


def test_every_ai_function_has_a_name() -> None:
    assert [function for function in ai_switches.FUNCTIONS if f"ai.name.{function}" not in WORDS] == []
