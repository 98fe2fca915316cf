"""``prontuario doctor`` at the command line: language, JSON, exit status."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.operations.doctor import checks
from appliance.operations.doctor.home import CONFIGURATION, HOME, OWNER
from appliance.operations.doctor.run import Report


@pytest.fixture(autouse=True)
def _few_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", (HOME, OWNER, CONFIGURATION))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "prontuario.toml").write_text("[node]\nname = 'teste'\n")
    return tmp_path


def doctor(home: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["doctor", "--home", str(home), "--deadline", "300", *options])
    return done.exit_code, done.stdout


def test_a_folder_without_a_node(tmp_path: Path) -> None:
    status, said = doctor(tmp_path / "nowhere")
    assert status == Exit.UNHEALTHY
    assert "FALHA Pasta do nó: Não há nó em" in said
    assert "Rode: prontuario init --home" in said


def test_what_is_well_is_told_only_when_asked_for(home: Path) -> None:
    status, said = doctor(home)
    assert (status, said) == (0, "3 bem, 0 de atenção, 0 falhas, 0 não examinadas (--all mostra todas).\n")
    _, said = doctor(home, "--all", "--language", "en")
    assert "The node's folder: The folder is" in said
    assert "3 well" in said


def test_a_warning_is_no_failure(home: Path) -> None:
    (home / "prontuario.toml").unlink()
    status, said = doctor(home)
    assert status == 0
    assert "atenção Configuração" in said


def test_a_configuration_that_can_not_be_read_is_a_finding(home: Path) -> None:
    """Other commands end with status 3 here; doctor is what tells why."""
    (home / "prontuario.toml").write_text("[node]\nnmae = 1\n")
    status, said = doctor(home, "--language", "en")
    assert status == Exit.UNHEALTHY
    assert "prontuario.toml:2" in said


def test_machines_read_json(home: Path) -> None:
    status, said = doctor(home, "--json")
    told = msgspec.json.decode(said, type=Report)
    assert (status, told.status, [one.id for one in told.findings]) == (
        0,
        "ok",
        ["home", "home-owner", "configuration"],
    )
