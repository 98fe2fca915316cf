"""What doctor advises can be done: every command and option that a verdict names exists, and so does every page."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from appliance.daemon.cli import main
from appliance.operations.doctor.checks import CHECKS
from appliance.operations.doctor.model import COMMON

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = [*COMMON, *(verdict for check in CHECKS for verdict in check.verdicts.values())]
SENTENCES = sorted({text for one in VERDICTS for text in (*one.pt, *one.en) if text})


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = main
    left = list(words)
    while isinstance(command, click.Group):
        assert left, words
        name = left.pop(0).rstrip(",.;:)")
        assert name in command.commands, f"prontuario {' '.join(words)}: there is no {name}"
        command = command.commands[name]
    return command, left


@pytest.mark.parametrize("text", [text for text in SENTENCES if "prontuario " in text])
def test_commands_exist(text: str) -> None:
    for found in re.finditer(r"\bprontuario ((?:[^.;:,(]|--)+)", text):
        command, left = resolve(found[1].split())
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in left if word.startswith("--")} <= known, found[0]


def test_a_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no vanish"):
        resolve(["cluster", "vanish"])


def test_pages_and_scripts_exist() -> None:
    for text in SENTENCES:
        for page in re.findall(r"docs/[\w/-]+\.md", text.replace("{page}", "disk-full")):
            assert (ROOT / page).exists(), text
        for script in re.findall(r"/scripts/(\w+\.sh)", text):
            assert (ROOT / "packaging" / "scripts" / script).exists(), text


def test_the_page_names_every_check() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()
    assert [check.id for check in CHECKS if f"**`{check.id}`**" not in text] == []
