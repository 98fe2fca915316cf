"""docs/launchd.md names only commands, scripts and jobs that exist, and says the same in both languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from appliance.daemon.cli import main
from appliance.daemon.launchd.jobs import jobs_of
from appliance.daemon.launchd.layout import Installation
from tests.unit.daemon.launchd.parts import HOME, PAIR

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "launchd.md").read_text()
PORTUGUESE, ENGLISH = PAGE.split("\n---\n")


def commands(text: str) -> list[list[str]]:
    return [shlex.split(found)[1:] for found in re.findall(r"(?:`|^)(prontuario [^`\n]+)", text, re.MULTILINE)]


def test_every_command_and_option_exists() -> None:
    for words in commands(PAGE):
        command: click.Command = main
        while isinstance(command, click.Group):
            assert words[0] in command.commands, words
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_every_script_of_the_package_is_in_the_instructions_and_no_other() -> None:
    named = set(re.findall(r"\$S/(\w+\.sh)", PORTUGUESE))
    assert named == {path.name for path in (ROOT / "packaging" / "scripts").glob("*.sh")}


def test_both_languages_name_every_job_and_its_account() -> None:
    for half in (PORTUGUESE, ENGLISH):
        rows = dict(re.findall(r"\| `(br\.[^`]+)` \| `?(\w+)", half))
        assert rows == {job.label: job.user for job in jobs_of(HOME, PAIR, Installation())}


def test_both_languages_name_the_same_commands() -> None:
    said = [{" ".join(words[:2]) for words in commands(half)} for half in (PORTUGUESE, ENGLISH)]
    assert said[0] == said[1]
