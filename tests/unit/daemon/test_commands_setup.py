"""``prontuario setup`` and ``recover`` as a person types them: what they say, and with which status they end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.daemon.setup.errors import EXITS, told
from appliance.daemon.setup.journal import Journal
from appliance.daemon.setup.machine import Machine
from appliance.daemon.setup.steps import NAMES
from appliance.operations.packs.errors import UNTRUSTED
from appliance.plugin_api.errors import NOT_FOUND, ProntuarioError, catalogue
from appliance.security.errors import VAULT_LOCKED
from tests.unit.daemon.setup.grounds import linux

ANSWERS = """\
hospital = "Santa Casa"
name = "mac-1"
profile = "development"
phone_user = ""
"""


def run(*words: str, machine: Machine | None = None) -> Result:
    return CliRunner().invoke(main, list(words), obj=machine or linux(), input="")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "answers.toml"
    file.write_text(f'{ANSWERS}papers = "{tmp_path / "papers"}"\n')
    return file


def test_off_the_mac_it_says_what_to_start_and_goes_on_from_there(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "home"
    first = run("setup", "--home", str(home), "--answers", str(file))
    assert (first.exit_code, f"prontuario up --home {home}" in first.output) == (Exit.OK, True)
    again = run("setup", "--home", str(home), "--language", "en")
    assert again.exit_code == Exit.OK, again.output
    assert "[1/" not in again.output, "what is done is not done again"
    assert "Start the node" in again.output
    sheet = run("setup", "--home", str(home), "--again", "sheet")
    assert "Folha de emergência" in sheet.output
    phone = run("setup", "--home", str(home), "--again", "phone")
    assert "phone: não faz parte destas respostas" in phone.output
    (home / "setup" / "progress.json").unlink()
    bare = tmp_path / "bare.toml"
    bare.write_text(
        "\n".join(line for line in file.read_text().splitlines() if not line.startswith(("hospital", "name")))
    )
    recovered = run("setup", "--home", str(home), "--answers", str(bare))
    assert recovered.exit_code == Exit.OK, "a home that exists answers whose it is by itself"
    file.write_text(file.read_text().replace("Santa Casa", "Outra"))
    other = run("setup", "--home", str(home), "--answers", str(file), "--again", "home")
    assert (other.exit_code, "setup.changed" in other.output) == (Exit.SETUP_ANSWERS, True)


def test_answers_that_are_no_good_change_nothing(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "home"
    file.write_text('hospital = "H"\naddress = "10.9.9.9"\npapers = "here"\nname = "A B"\n')
    done = run("setup", "--home", str(home), "--answers", str(file))
    assert done.exit_code == Exit.SETUP_ANSWERS
    for key in ("address", "papers", "name"):
        assert f"{key}: " in done.output
    assert not (home / "prontuario.toml").exists()
    assert run("setup", "--home", str(home)).exit_code == Exit.SETUP_ANSWERS, "nobody can be asked"


def test_on_a_mac_it_wants_root(tmp_path: Path) -> None:
    machine = dataclasses.replace(linux(), platform="darwin")
    for words in (["setup"], ["recover", "--backup", str(tmp_path)]):
        done = run(*words, "--home", str(tmp_path / "home"), machine=machine)
        assert (done.exit_code, "sudo prontuario setup" in done.output) == (Exit.SETUP_ROOT, True)
    assert not (tmp_path / "home").exists()


def test_two_at_once_are_told_apart(tmp_path: Path, file: Path) -> None:
    with Journal(tmp_path / "home").alone():
        done = run("setup", "--home", str(tmp_path / "home"), "--answers", str(file))
    assert (done.exit_code, "setup.busy" in done.output) == (Exit.ALREADY_RUNNING, True)


def test_a_step_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    done = run("setup", "--home", str(tmp_path), "--again", "everything")
    assert done.exit_code == Exit.USAGE
    assert all(name in done.output for name in NAMES)


def test_pages_that_run_out_end_a_recovery(tmp_path: Path) -> None:
    done = run("recover", "--home", str(tmp_path / "home"), "--backup", str(tmp_path))
    assert done.exit_code == Exit.SETUP_KEYS
    file = tmp_path / "pages.txt"
    file.write_text("babab babab\n")
    wrong = run("recover", "--home", str(tmp_path / "home"), "--backup", str(tmp_path), "--shares", str(file))
    assert (wrong.exit_code, "recovery.words" in wrong.output) == (Exit.SETUP_KEYS, True)


def test_every_failure_of_setup_has_a_status_of_its_own_kind() -> None:
    kinds = {code: kind for code, kind in catalogue().items() if code.startswith("setup.")}
    assert set(kinds) <= set(EXITS)
    for code, kind in kinds.items():
        error: ProntuarioError = kind()
        assert told(error, "pt").code == EXITS[code]
        assert code in str(told(error, "en"))
    for other, status in ((VAULT_LOCKED, Exit.SETUP_KEYS), (UNTRUSTED, Exit.SETUP_PACK), (NOT_FOUND, Exit.FAILED)):
        assert told(other(), "pt").code == status
