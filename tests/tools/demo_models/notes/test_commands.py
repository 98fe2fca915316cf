from __future__ import annotations

import json
import subprocess
import sys

import pytest


def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.demo_models", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_consults_are_printed_with_their_facts() -> None:
    shown = tool("consults", "--seed", "3", "--count", "2")
    assert shown.returncode == 0
    assert "[S] " in shown.stdout
    assert "patient " in shown.stdout
    assert tool("consults", "--seed", "3", "--count", "2").stdout == shown.stdout
    assert tool("consults", "--seed", "4", "--count", "2").stdout != shown.stdout


@pytest.mark.parametrize("verb", ["train-notes", "export-notes", "evaluate-notes", "smoke-notes", "consults"])
def test_every_verb_has_help(verb: str) -> None:
    assert tool(verb, "--help").returncode == 0


def test_no_verb_and_an_unknown_one_are_refused() -> None:
    assert tool().returncode == 2
    assert "invalid choice" in tool("fly").stderr


def test_the_demonstration_pack_can_be_scored() -> None:
    scored = tool("evaluate-notes", "--count", "1", "--sets", "clean")
    assert scored.returncode == 0, scored.stderr
    report = json.loads(scored.stdout.splitlines()[-1])
    assert report["clean"]["valid"] == 1
