"""docs/install.md, followed to the letter: every command of its ``sh run`` blocks, in their order, on one Mac of paper.

macOS's programs are stand-ins, Installer.app is played by ``ScratchMac``; ``prontuario`` is the real one, and so is the node:
what launchd would start is started here, once. What asks, and what takes two Macs, is ``test_install_pair.py``'s.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import ssl
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from appliance.config import Config, Paths
from appliance.daemon.cli import main
from appliance.daemon.enrolment import make_key_and_csr
from appliance.daemon.exits import Exit
from appliance.daemon.setup.home_steps import SEALED
from tests.checkpoints.gemma import make_tiny_gemma
from tests.conftest import start_node, stop_node, wait_ready
from tests.fakes.mac_ground import ScratchMac
from tests.fakes.packs import sign_model, write_trusted
from tests.system.install_page import PAGES, Reader, blocks, commands, make_package
from tests.unit.daemon.setup.grounds import LAN, OwnMachine, pages_of, share_words

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.xdist_group("node")]


class NodeMac(OwnMachine):
    """A Mac whose launchd, once it has taken the core's job, has a real node running."""

    started: list[tuple[Popen[str], str]]

    async def load(self, home: Path, config: Config) -> list[str]:
        labels = await super().load(home, config)
        assert "br.prontuario.core" in labels
        process = start_node(home, "--no-admin")
        self.started.append((process, ""))
        ready = wait_ready(process, home.parent / f"{home.name}.stderr")
        self.started[-1] = (process, ready["api"])
        object.__setattr__(self, "api_port", int(ready["api"].rpartition(":")[2]))
        return labels


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    package = make_package(tmp_path)
    mac = ScratchMac.make(tmp_path / "mac")
    monkeypatch.setenv("MAC_BOOK", str(mac.book))
    reader = Reader(tmp_path, mac, package)
    machine = machine_on(mac)
    reader.machine = machine
    yield reader
    for process, _api in machine.started:
        if process.returncode is None:
            stop_node(process)


def machine_on(mac: ScratchMac) -> NodeMac:
    environment = {"MAC_BOOK": str(mac.book), "PATH": f"{mac.book / 'bin'}:{os.environ['PATH']}"}
    machine = NodeMac(
        platform="darwin", is_root=True, networks=LAN, root=mac.root, launchctl=str(mac.book / "bin" / "launchctl"),
        environment=environment,
    )  # fmt: skip
    object.__setattr__(machine, "started", [])
    return machine


@pytest.mark.skipif(sys.platform == "darwin", reason="the stand-ins are Linux's")
def test_the_page_leads_from_a_package_to_a_phone_and_back_from_paper(reader: Reader) -> None:
    page = PAGES["install.md"]
    [answers] = blocks(page, "toml answers")
    papers = reader.folder / "Users" / "ti" / "prontuario-papeis"
    # Two things differ from the page: where the papers go, and that no keychain is on this machine.
    told = answers.replace("/Users/ti/prontuario-papeis", str(papers)) + 'profile = "development"\n'
    (reader.folder / "hospital.toml").write_text(told)
    papers.parent.mkdir(parents=True)
    volume = reader.folder / "Volumes"
    sign_model(make_tiny_gemma(volume / "PACOTES" / "medgemma-4b-it"), name="medgemma-4b-it")
    (write_trusted(volume / "keys") / "maker.pem").rename(volume / "PACOTES" / "modelos.pub.pem")
    steps = commands(page)
    at = {
        word: next(number for number, line in enumerate(steps) if word in line)
        for word in ("installer", "recover", "uninstall")
    }
    for line in steps[: at["installer"] + 2]:
        reader.follow(line)
    fresh = reader.mac.copy(reader.folder / "new-mac")
    for line in steps[at["installer"] + 2 : at["recover"]]:
        reader.follow(line)
    check_node(reader, papers, tomllib.loads(answers))
    check_phone(reader)
    recover_elsewhere(reader, fresh, papers, steps[at["recover"]])
    for line in steps[at["uninstall"] :]:
        reader.follow(line)
    assert not reader.mac.prefix.exists()
    assert not (reader.mac.root / "etc/sudoers.d/prontuario").exists()
    assert (reader.mac.home / "data" / "record.sqlite").exists(), "the data stays"


def check_node(reader: Reader, papers: Path, answers: dict[str, Any]) -> None:
    assert reader.mac.jobs == {f"br.prontuario.{name}" for name in ("firewall", "core", "admin")}
    count = len(answers["holders"])
    assert {path.name for path in papers.iterdir()} == {
        "folha-de-emergencia.pdf", SEALED, *(f"folha-{number}-de-{count}.pdf" for number in range(1, count + 1)),
    }  # fmt: skip
    sheet = " ".join(pages_of((papers / "folha-de-emergencia.pdf").read_bytes()))
    assert answers["address"] in sheet
    assert any(re.search(r"medgemma-4b-it-1 .*ACTIVE", said) for said in [reader.follow("sudo prontuario models list")])
    for secret in ("master.json", "first-admin.txt"):
        assert (reader.mac.home / "secrets" / secret).stat().st_mode & 0o077 == 0


def check_phone(reader: Reader) -> None:
    """The code that step 4 showed lets one phone in, once, at the address that the QR names."""
    codes = [re.search(r"Código: (\S+)", said) for said in reader.said]
    shown = [found[1] for found in codes if found]
    assert len(set(shown)) == 2, "at the end of set-up, and once more"
    assert any(re.search(r"h=10\.0\.0\.11%3A\d+&", said) for said in reader.said)
    assert isinstance(reader.machine, NodeMac)
    api = reader.machine.started[0][1]
    _key, csr = make_key_and_csr("iphone")
    body = {"code": shown[-1], "csr": csr.decode(), "device_name": "iPhone"}
    with httpx.Client(base_url=api, verify=_trusting(reader.mac.home), timeout=60) as phone:
        for status in (201, 403):
            answer = phone.post("/api/enrolment", json=body, headers={"Idempotency-Key": f"{status}-" + "k" * 16})
            assert answer.status_code == status, answer.text


def _trusting(home: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(Paths(home).ca))


def recover_elsewhere(reader: Reader, fresh: ScratchMac, papers: Path, line: str) -> None:
    """Every disk is lost but the copy's; on a new Mac two of the pages give everything back."""
    assert isinstance(reader.machine, NodeMac)
    assert stop_node(reader.machine.started[0][0]) == 0
    lost = reader.mac
    copy = reader.folder / "Volumes" / "COPIA"
    copy.mkdir()
    shutil.copytree(lost.home / "data" / "spool", copy / "data" / "spool")
    shutil.copy(papers / SEALED, copy)
    typed = [share_words((papers / f"folha-{number}-de-3.pdf").read_bytes()) for number in (3, 1)]
    reader.mac, reader.typed = fresh, "\n".join(["não é uma folha", *typed, ""])
    told = reader.follow(line)
    assert "! " in told, "the first line was no page"
    for name in ("root.key", "root.pem", "device-ca.key", "audit.key"):
        assert (fresh.home / "secrets" / name).read_bytes() == (lost.home / "secrets" / name).read_bytes()
    assert (fresh.home / "data" / "record.sqlite").stat().st_size > 0
    assert (fresh.home / "prontuario.toml").read_text() == (lost.home / "prontuario.toml").read_text()
    again = CliRunner().invoke(
        main, ["recover", "--home", str(fresh.home), "--backup", str(copy)], obj=reader.machine, input=reader.typed
    )
    assert (again.exit_code, "setup.home_taken" in again.output) == (Exit.SETUP_BACKUP, True)
    reader.mac, reader.typed = lost, ""


def test_both_languages_have_the_same_blocks() -> None:
    portuguese, english = PAGES.values()
    for kind in ("sh run", "toml answers"):
        assert blocks(portuguese, kind) == blocks(english, kind)
    assert len(commands(portuguese)) >= 11
    others = [[line.rpartition("--code")[0] or line for line in commands(page, "sh")] for page in (portuguese, english)]
    assert others[0] == others[1]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_every_command_and_option_exists_and_every_end_is_told(name: str) -> None:
    page = PAGES[name]
    inline = re.findall(r"`(?:sudo )?(prontuario [a-z][^`]*)`", page)
    for line in [*commands(page, "sh"), *commands(page), *inline]:
        found = re.search(r"(?:^|\s)prontuario (.+)", line)
        words = shlex.split(found[1]) if found else []
        command: click.Command = main
        while words and isinstance(command, click.Group):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
    ends = {int(status) for status in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert ends == {status.value for status in Exit if status.name.startswith("SETUP_")} | {
        Exit.OK,
        Exit.ALREADY_RUNNING,
    }
