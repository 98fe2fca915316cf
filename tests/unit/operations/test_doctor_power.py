"""A UPS that is silent, a Mac that may not be switched off, and targets outside the hospital get their advice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.config.model import Alerts, Config, Node, Paths, Power
from appliance.operations.doctor import CHECKS
from appliance.operations.doctor_context import Machine, Patient
from appliance.operations.doctor_power import alert_targets, switching_off, ups
from tests.fakes.upsd import free_port


def patient(folder: Path, platform: str = "linux", **sections: Any) -> Patient:
    return Patient(Paths(folder), Config(**sections), Machine(platform=platform, search_path=str(folder)))


@contextmanager
def upsd(status: str) -> Iterator[int]:
    """A server in a thread of its own: a check runs a loop of its own."""
    answer = f'BEGIN LIST VAR ups\nVAR ups ups.status "{status}"\nEND LIST VAR ups\n'.encode()
    ready, done, port = threading.Event(), asyncio.Event(), [0]
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port[0] = server.sockets[0].getsockname()[1]
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize(
    ("status", "verdict", "advice"),
    [
        ("OL", "ok", ""),
        ("OB", "warning", "power-failed"),
        ("OL RB", "warning", "replaced"),
        ("WAIT", "failed", "[power]"),
    ],
)
def test_what_the_ups_says_decides(tmp_path: Path, status: str, verdict: str, advice: str) -> None:
    with upsd(status) as port:
        finding = ups(patient(tmp_path, power=Power(kind="nut", port=port)))
    assert finding.status == verdict
    assert advice in finding.next_step


def test_a_silent_ups_is_told_with_where_to_look(tmp_path: Path) -> None:
    finding = ups(patient(tmp_path, power=Power(kind="nut", port=free_port())))
    assert (finding.status, "[power]" in finding.next_step) == ("failed", True)


def test_in_production_a_missing_ups_is_a_warning(tmp_path: Path) -> None:
    assert ups(patient(tmp_path)).status == "ok"
    finding = ups(patient(tmp_path, node=Node(profile="production")))
    assert (finding.status, "docs/power.md" in finding.next_step) == ("warning", True)


def sudo(folder: Path, status: int) -> None:
    program = folder / "sudo"
    program.write_text(f'#!/bin/sh\necho "$*" >"{folder}/asked"\nexit {status}\n')
    program.chmod(0o755)


def test_a_mac_asks_sudo_for_exactly_the_command(tmp_path: Path) -> None:
    mac = patient(tmp_path, "darwin", power=Power(kind="nut"))
    assert switching_off(mac).status == "failed", "there is no sudo"
    sudo(tmp_path, 0)
    assert switching_off(mac).status == "ok"
    assert (tmp_path / "asked").read_text() == "-n -l /sbin/shutdown -h now\n"
    sudo(tmp_path, 1)
    assert "sudoers" in switching_off(mac).next_step


def test_elsewhere_a_command_has_to_be_named_and_there(tmp_path: Path) -> None:
    assert switching_off(patient(tmp_path)).status == "ok", "no UPS"
    assert switching_off(patient(tmp_path, power=Power(kind="nut"))).status == "warning"
    named = patient(tmp_path, power=Power(kind="nut", shutdown_command=("sudo", "halt")))
    assert switching_off(named).status == "failed"
    sudo(tmp_path, 0)
    assert switching_off(named).status == "ok"


@pytest.mark.parametrize(
    ("alerts", "status", "told"),
    [
        (Alerts(), "ok", "dashboard only"),
        (Alerts(webhooks=("http://127.0.0.1:9/x",)), "ok", "1 target"),
        (Alerts(webhooks=("https://8.8.8.8/x",)), "failed", "webhook 1: the address lies outside"),
        (Alerts(smtp_host="8.8.8.8", email_to=("a@b",)), "failed", "mail: the address lies outside"),
        (Alerts(networks=("0.0.0.0/0",)), "failed", "no private network"),
        (Alerts(networks=("hospital",)), "failed", "[alerts] networks"),
    ],
)
def test_targets_lie_in_private_networks(tmp_path: Path, alerts: Alerts, status: str, told: str) -> None:
    finding = alert_targets(patient(tmp_path, alerts=alerts))
    assert (finding.status, told in finding.cause) == (status, True)


def test_doctor_asks_all_three() -> None:
    assert {ups, switching_off, alert_targets} <= set(CHECKS)
