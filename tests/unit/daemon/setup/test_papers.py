"""What is printed: the emergency sheet names only what exists and holds no secret; a page of the key reads back."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from appliance.daemon.cli import main
from appliance.daemon.setup.share_pages import share_page
from appliance.daemon.setup.sheet import Facts, emergency_sheet, procedures
from appliance.security.recovery import from_words, split
from tests.unit.daemon.setup.grounds import pages_of, share_words

PAIR = Facts(
    hospital="Santa Casa", made_on="21/11/2026", nodes=(("a", "10.0.0.11"), ("b", "10.0.0.12")), phones="10.0.0.10:8443",
    vip="10.0.0.10", witness="10.0.0.13", fingerprint=f"{':'.join(['AB'] * 16)} {':'.join(['CD'] * 16)}", home="/home/of/it",
    logs="/var/log/prontuario", papers="/papers", holders=("Direção", "TI", "Cofre"), needed=2,
)  # fmt: skip
ALONE = Facts("Só", "21/11/2026", (("mac-1", "10.0.0.11"),), "10.0.0.11:8443", "", "", "AB", "/h", "/l", "/p")


@pytest.mark.parametrize("facts", [PAIR, ALONE], ids=["pair", "alone"])
def test_the_sheet_says_what_is_needed_at_night(facts: Facts) -> None:
    text = " ".join(" ".join(pages_of(emergency_sheet(facts))).split())
    for fact in (facts.hospital, facts.phones, facts.home, facts.logs, *(address for _name, address in facts.nodes)):
        assert fact in text
    for part in facts.fingerprint.split():
        assert part in text
    for title, steps in procedures(facts):
        assert title in text
        for _text, command in steps:
            assert command in text
    assert ("Os dois Macs estão desligados" in text) == facts.is_pair
    assert ("cluster" in text) == facts.is_pair
    assert "Quem chamar" in text
    assert emergency_sheet(facts) == emergency_sheet(facts), "nothing of the moment is in it"


def test_the_sheet_fits_two_pages() -> None:
    assert len(pages_of(emergency_sheet(PAIR))) == 2
    assert len(pages_of(emergency_sheet(ALONE))) <= 2


@pytest.mark.parametrize("facts", [PAIR, ALONE], ids=["pair", "alone"])
def test_every_command_and_option_on_paper_exists(facts: Facts) -> None:
    share = share_page(split(bytes(32), 2, 3)[0], "H", "TI")
    printed = [command for _title, steps in procedures(facts) for _text, command in steps if command]
    printed += re.findall(r"sudo prontuario [a-z]+ --[a-z]+ PASTA", " ".join(pages_of(share)))
    assert len(printed) > 6
    for line in printed:
        words = line.removeprefix("sudo ").removeprefix("-u _prontuario ").split()
        if words[0] != "prontuario":
            assert words[0] == "tail"
            continue
        command: click.Command = main
        left = words[1:]
        while isinstance(command, click.Group):
            name = left.pop(0)
            assert name in command.commands, line
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in left if word.startswith("--")} <= known, line


def test_a_page_of_the_key_is_one_page_and_reads_back() -> None:
    share = split(bytes(range(32)), 2, 3)[1]
    pdf = share_page(share, "Santa Casa de Misericórdia", "Direção clínica")
    [text] = pages_of(pdf)
    assert from_words(share_words(pdf)) == share
    assert "folha 2 de 3" in text
    assert "Direção clínica" in text
    assert "Santa Casa de Misericórdia" in text


def test_long_names_do_not_leave_the_page(tmp_path: Path) -> None:
    share = split(bytes(range(32)), 2, 3)[1]
    long = "Hospital " * 13
    assert len(pages_of(share_page(share, long, "x" * 120))) == 1
    assert (
        len(pages_of(emergency_sheet(Facts(long, "1", (("m", "1"),), "p", "", "", "AB", "/h" * 60, "/l", "/p")))) <= 2
    )
