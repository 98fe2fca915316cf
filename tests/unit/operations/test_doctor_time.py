"""A Mac whose clock nobody keeps, or that is wrong, gets the advice for it; sntp(1) is a stand-in that says what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config.model import Config, Paths
from appliance.operations.doctor import CHECKS
from appliance.operations.doctor_context import Finding, Machine, Patient, time_server
from appliance.operations.doctor_time import time_service

SERVER = "10.0.0.1"


def sntp(folder: Path, says: str, status: int = 0) -> None:
    program = folder / "sntp"
    program.write_text(f'#!/bin/sh\necho "$*" >"{folder}/asked"\necho "{says}"\nexit {status}\n')
    program.chmod(0o755)


def examine(folder: Path, server: str | None = SERVER, platform: str = "darwin") -> Finding:
    machine = Machine(platform=platform, search_path=str(folder), time_server=lambda: server)
    return time_service(Patient(Paths(folder), Config(), machine))


@pytest.mark.parametrize(
    ("offset", "status"),
    [
        ("+0.003105", "ok"),
        ("-0.999", "ok"),
        ("+1.5", "warning"),
        ("-59.9", "warning"),
        ("+60.0", "failed"),
        ("-86400", "failed"),
    ],
)
def test_how_far_the_clock_is_off_decides(tmp_path: Path, offset: str, status: str) -> None:
    sntp(tmp_path, f"{offset} +/- 0.020321 {SERVER} {SERVER}")
    finding = examine(tmp_path)
    assert finding.status == status
    assert SERVER in finding.cause
    assert ("sntp -sS" in finding.next_step) == (status != "ok")


def test_the_named_server_is_the_one_that_is_asked(tmp_path: Path) -> None:
    sntp(tmp_path, "+0.0 +/- 0.1 x")
    examine(tmp_path, "relogio.hospital")
    assert (tmp_path / "asked").read_text().split() == ["-t", "3", "relogio.hospital"]


@pytest.mark.parametrize(
    ("says", "status"), [("", 1), ("sntp: Exchange failed: Timeout", 1), ("+0.0 +/- 0.1 x", 1), ("nonsense", 0)]
)
def test_a_server_that_does_not_answer_is_told(tmp_path: Path, says: str, status: int) -> None:
    sntp(tmp_path, says, status)
    finding = examine(tmp_path)
    assert finding.status == "warning"
    assert "does not answer" in finding.cause
    assert "systemsetup -setnetworktimeserver" in finding.next_step


def test_a_mac_without_a_time_server_is_told(tmp_path: Path) -> None:
    sntp(tmp_path, "+0.0 +/- 0.1 x")
    finding = examine(tmp_path, None)
    assert (finding.status, "No time server" in finding.cause) == ("warning", True)
    assert not (tmp_path / "asked").exists()


def test_a_mac_without_the_program_is_told(tmp_path: Path) -> None:
    assert examine(tmp_path).status == "warning"


def test_elsewhere_it_says_that_it_did_not_look(tmp_path: Path) -> None:
    finding = examine(tmp_path, None, "linux")
    assert finding.status == "ok"
    assert "macOS only" in finding.cause


@pytest.mark.parametrize(
    ("content", "server"),
    [
        ("server time.apple.com\n", "time.apple.com"),
        ("# comment\nserver 10.0.0.1 iburst\nserver 10.0.0.2\n", "10.0.0.1"),
        ("serverless x\n", None),
        ("server\n", None),
        ("", None),
    ],
)
def test_the_server_stands_where_macos_keeps_it(tmp_path: Path, content: str, server: str | None) -> None:
    file = tmp_path / "ntp.conf"
    file.write_text(content)
    assert time_server(file) == server


def test_no_file_is_no_server(tmp_path: Path) -> None:
    assert time_server(tmp_path / "missing") is None


def test_doctor_asks_it() -> None:
    assert time_service in CHECKS
