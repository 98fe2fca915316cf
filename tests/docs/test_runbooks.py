"""The runbooks name only commands and options that exist, and every one of them answers the same four questions twice."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from appliance.daemon.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
QUESTIONS_PT = ("O que se vê.", "O que significa.", "O que fazer.", "Como saber que acabou.")
QUESTIONS_EN = ("What you see.", "What it means.", "What to do.", "How to know it is over.")


def commands_in(text: str) -> list[list[str]]:
    return [shlex.split(found)[1:] for found in re.findall(r"`(?:sudo (?:-u _prontuario )?)?(prontuario [^`]+)`", text)]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that ``words`` name, and what is left of them."""
    command: click.Command = main
    left = list(words)
    while isinstance(command, click.Group):
        name = left.pop(0)
        assert name in command.commands, f"prontuario {' '.join(words)}: there is no {name}"
        command = command.commands[name]
    return command, left


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "README.md"], ids=lambda page: page.stem)
def test_every_command_and_option_exists(page: Path) -> None:
    found = commands_in(page.read_text())
    assert found
    for words in found:
        command, left = resolve(words)
        known = {option for parameter in command.params for option in parameter.opts}
        named = {word for word in left if word.startswith("--")}
        assert named <= known, f"prontuario {' '.join(words)}"


def test_the_check_notices_a_command_that_does_not_exist() -> None:
    with pytest.raises(AssertionError, match="no vanish"):
        resolve(["cluster", "vanish"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_both_languages_answer_the_same_questions_with_the_same_commands(page: Path) -> None:
    portuguese, english = page.read_text().split("\n---\n")
    assert [portuguese.count(f"**{question}**") for question in QUESTIONS_PT] == [1] * 4
    assert [english.count(f"**{question}**") for question in QUESTIONS_EN] == [1] * 4
    verbs = [[words[:2] for words in commands_in(half)] for half in (portuguese, english)]
    assert verbs[0] == verbs[1]


def test_the_index_names_every_page() -> None:
    text = (FOLDER / "README.md").read_text()
    assert {path.name for path in PAGES} == set(re.findall(r"\]\(([a-z-]+\.md)\)", text))
    assert {path.stem for path in PAGES} == {
        "first-install",
        "node-died",
        "network-cut",
        "both-died",
        "third-voter-lost",
        "disk-full",
        "old-primary-returns",
        "rolling-upgrade",
        "copy-failed",
        "power-failed",
        "read-only",
        "replication-behind",
        "engine-down",
        "fallback-active",
        "certificate-expires",
        "routine-failed",
        "audit-mismatch",
        "clock-off",
        "drill",
        "alerts-not-sent",
        "update-half-done",
    }
