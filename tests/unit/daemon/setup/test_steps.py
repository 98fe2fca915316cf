"""A whole set-up: on Linux, on a Mac of paper, interrupted anywhere; nothing is ever made twice."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.config import load_config
from appliance.daemon.lock import HomeLock
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.home_steps import SEALED, hand_over_files, make_home
from appliance.daemon.setup.journal import Journal, Progress
from appliance.daemon.setup.service_steps import SHEET, PausedError, clear_key_pages, enrol_phone
from appliance.daemon.setup.steps import STEPS, run, taken_up
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.protectors import PASSPHRASE_VARIABLE, ask_passphrase
from appliance.security.recovery import combine, from_words, unseal
from tests.fakes.mac_ground import ScratchMac
from tests.unit.daemon.setup.grounds import Listener, answering, context, linux, mac_of, share_words

KEYS = ("root.key", "root.pem", "device-ca.key", "device-ca.pem", "master.json", "audit.key", "first-admin.txt")


class CutError(BaseException):
    """As if the power had failed: nothing of ours catches it."""


class Scissors:
    """Ends the process' work at the n-th file that gets its name. Audit hooks stay for ever, so this one is inert at rest."""

    def __init__(self) -> None:
        self.left = 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _arguments: Any) -> None:
        if event == "os.rename" and self.left:
            self.left -= 1
            if not self.left:
                raise CutError


@pytest.fixture(scope="module")
def scissors() -> Scissors:
    return Scissors()


async def until_it_waits(ctx: Context) -> None:
    journal = Journal(ctx.home)
    with journal.alone():
        try:
            await run(ctx, journal, taken_up(journal.read(), ()))
        except PausedError:
            return
    pytest.fail("nobody started the node")


def secrets_of(home: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name in KEYS if (path := home / "secrets" / name).exists()}


async def test_cut_off_anywhere_the_next_run_goes_on_and_makes_nothing_twice(
    tmp_path: Path, scissors: Scissors
) -> None:
    """Every run is cut at a later file than the one before, until one gets through."""
    seen: dict[str, bytes] = {}
    cuts = 0
    heard = Listener()
    ctx = context(tmp_path, linux(), heard)
    for cut in range(1, 60, 3):
        scissors.left = cut
        try:
            await until_it_waits(ctx)
            break
        except CutError:
            cuts += 1
            now = secrets_of(ctx.home)
            assert {name: now.get(name) for name in seen} == seen, f"cut at file {cut}"
            seen = now
    assert cuts > 3
    scissors.left = 0
    assert set(secrets_of(ctx.home)) == set(KEYS)
    assert {name: secrets_of(ctx.home)[name] for name in seen} == seen
    assert not list(ctx.home.rglob(".half-written-*"))
    pages = sorted(ctx.papers.glob("folha-*-de-3.pdf"))
    master = combine([from_words(share_words(pages[at].read_bytes())) for at in (0, 2)])
    sealed = unseal(master, (ctx.papers / SEALED).read_bytes())
    assert sealed["root.key"] == secrets_of(ctx.home)["root.key"]
    before = {path: path.read_bytes() for path in ctx.papers.iterdir()}
    await until_it_waits(ctx)
    assert {path: path.read_bytes() for path in ctx.papers.iterdir()} == before, "done is done"
    assert heard.text.count("Senha do administrador") >= 1


async def test_a_lone_node_is_configured_for_its_phones(tmp_path: Path) -> None:
    ctx = context(tmp_path, linux(), Listener())
    await make_home(ctx)
    config = load_config(ctx.paths.config)
    assert (config.node.name, config.node.hospital, config.node.phase) == ("mac-1", "Santa Casa", "pilot")
    assert (config.api.host, config.cluster.mode) == ("0.0.0.0", "single")
    assert "10.0.0.11" in config.api.names
    assert (ctx.paths.secrets / "first-admin.txt").read_text().startswith("chefe ")
    other = context(tmp_path, linux(), Listener(), hospital="Outro")
    with pytest.raises(ProntuarioError, match=r"setup\.changed"):
        await make_home(other)
    with HomeLock(ctx.paths.run), pytest.raises(ProntuarioError, match=r"setup\.running"):
        await make_home(ctx)


async def test_a_mac_is_set_up_to_its_first_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = ScratchMac.make(tmp_path / "mac")
    monkeypatch.setenv("MAC_BOOK", str(ground.book))
    heard = Listener()
    ctx = context(tmp_path, mac_of(ground), heard, home=ground.home)
    await make_home(ctx)  # so that the node's certificate is there for what answers below
    async with answering(ctx.paths) as (port, asked):
        ctx = dataclasses.replace(ctx, machine=dataclasses.replace(ctx.machine, api_port=port))
        journal = Journal(ctx.home)
        with journal.alone():
            await run(ctx, journal, ())
    assert journal.read() == Progress(ctx.answers, tuple(step.name for step in STEPS if step.needed(ctx)))
    assert ground.jobs == {f"br.prontuario.{name}" for name in ("firewall", "core", "admin")}
    assert {"pmset", "tmutil", "visudo"} <= {call.split()[0] for call in ground.calls}
    assert (ground.root / "etc/sudoers.d/prontuario").exists()
    assert (ground.book / "directory/Users/_prontuario/UserShell").read_text() == "/usr/bin/false"
    assert asked == [{"verb": "enrolment.code", "user": "chefe", "role": "admin"}]
    assert "ABCDE-1" in heard.text
    assert "ATENÇÃO" in heard.text, "the key's pages are still on the disk"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in ctx.papers.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(ctx.papers.stat().st_mode) == 0o700


async def test_a_setting_that_macos_refuses_stops_with_its_words_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = ScratchMac.make(tmp_path / "mac")
    ground.program(ground.book / "bin" / "pmset", "echo 'pmset: no' >&2; exit 1")
    ctx = context(tmp_path, mac_of(ground), Listener(), home=ground.home)
    journal = Journal(ctx.home)
    with journal.alone(), pytest.raises(ProntuarioError, match=r"setup\.mac.*power_settings\.sh"):
        await run(ctx, journal, ())
    kept = journal.read()
    assert kept is not None
    assert kept.done == ()
    assert not ctx.paths.config.exists()
    (ground.prefix / "current").unlink()
    with journal.alone(), pytest.raises(ProntuarioError, match=r"setup\.package"):
        await run(ctx, journal, ())


async def test_no_file_with_a_second_name_changes_its_owner(tmp_path: Path) -> None:
    ground = ScratchMac.make(tmp_path / "mac")
    ctx = context(tmp_path, mac_of(ground), Listener(), home=ground.home)
    ctx.paths.secrets.mkdir(parents=True)
    (ctx.home / "link").symlink_to("/etc/hostname")
    await hand_over_files(ctx)
    (tmp_path / "sudoers").write_text("root's")
    os.link(tmp_path / "sudoers", ctx.home / "mine")
    with pytest.raises(ProntuarioError, match=r"setup\.foreign_file"):
        await hand_over_files(ctx)


async def test_the_pages_go_once_somebody_says_that_they_were_printed(tmp_path: Path) -> None:
    person = Listener(["n", "s"])
    ctx = context(tmp_path, linux(), person)
    ctx.papers.mkdir()
    page, sheet = ctx.papers / "folha-1-de-3.pdf", ctx.papers / SHEET
    for path in (page, sheet):
        path.touch()
    asking = Context(ctx.home, ctx.machine, ctx.answers, person.say, ask=person.ask)
    await clear_key_pages(asking)
    assert page.exists()
    await clear_key_pages(asking)
    assert (page.exists(), sheet.exists()) == (False, True)


async def test_a_node_that_is_not_there_is_told_when_a_phone_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ProntuarioError, match=r"setup\.refused"):
        await enrol_phone(context(tmp_path, linux(), Listener()))


async def test_another_code_is_made_when_the_first_ran_out(tmp_path: Path) -> None:
    person = Listener(["c", ""])
    ctx = context(tmp_path, linux(), person)
    await make_home(ctx)
    async with answering(ctx.paths) as (_port, asked):
        await enrol_phone(Context(ctx.home, ctx.machine, ctx.answers, person.say, ask=person.ask))
    assert len(asked) == 2
    assert "ABCDE-2" in person.text


def test_two_set_ups_of_one_home_take_turns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "home")
    with journal.alone(), pytest.raises(ProntuarioError, match=r"setup\.busy"), journal.alone():
        pass
    with journal.alone():
        assert journal.read() is None
        (tmp_path / "home/setup/progress.json").write_text("{half")
        assert journal.read() is None


async def test_papers_that_can_not_be_written_are_told_and_the_next_run_goes_on(
    tmp_path: Path,
) -> None:
    ctx = context(tmp_path, linux(), Listener())
    ctx.papers.symlink_to("/nowhere/at/all")
    journal = Journal(ctx.home)
    with journal.alone(), pytest.raises(ProntuarioError, match=r"setup\.disk"):
        await run(ctx, journal, ())
    kept = journal.read()
    assert kept is not None
    assert kept.done == ("home",)
    ctx.papers.unlink()
    await until_it_waits(ctx)
    assert (ctx.papers / SHEET).exists()


def test_the_passphrase_is_lent_for_one_opening_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    ctx = dataclasses.replace(context(tmp_path, linux(), Listener()), passphrase="uma frase comprida")
    for _ in range(2):
        with ctx.key():
            assert ask_passphrase() == "uma frase comprida"
            assert PASSPHRASE_VARIABLE not in os.environ
        with ctx.key():
            pass
        assert PASSPHRASE_VARIABLE not in os.environ, "no child inherits it"
