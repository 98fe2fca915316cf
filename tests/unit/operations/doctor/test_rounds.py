"""Doctor in a process of its own: one at a time, kept over a restart, and never silent about what went wrong."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from appliance.operations.doctor.model import Finding
from appliance.operations.doctor.rounds import FILE, DoctorRounds, doctor_command, examine_apart
from appliance.operations.doctor.run import Report
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.hand_clock import HandClock
from tests.unit.store.conftest import until

FOUND = Finding(
    id="disk-space", verdict="full", status="failed", group="home", title_pt="Disco", title_en="Disk", cause_pt="cheio",
    cause_en="full", step_pt="libere", step_en="free some", runbook="disk-full",
)  # fmt: skip
REPORT = Report(at="2026-03-02T12:00:00.000Z", status="failed", findings=[FOUND])


def saying(report: Report, folder: Path, *, status: int = 5) -> list[str]:
    """A program that counts its runs and prints ``report`` as doctor does, with doctor's exit status."""
    text, log = msgspec.json.encode(report).decode(), folder / "runs"
    return [sys.executable, "-c", f"open({str(log)!r}, 'a').write('x'); print({text!r}); raise SystemExit({status})"]


def rounds(folder: Path, command: list[str], limit_s: float = 300.0) -> DoctorRounds:
    return DoctorRounds(folder / "doctor.json", "mac-a", command, HandClock(), limit_s=limit_s)


async def ended(one: DoctorRounds) -> None:
    await until(lambda: not one.view().running)


async def test_what_it_finds_is_told_with_who_asked_and_kept_over_a_restart(tmp_path: Path) -> None:
    one = rounds(tmp_path, saying(REPORT, tmp_path))
    assert (one.view().running, one.view().last) == (False, None)
    one.begin("ana")
    one.begin("bia")  # joins
    assert (one.view().running, one.view().asked_by, one.view().asked_at) == (True, "ana", "2026-03-02T12:00:00.000Z")
    await ended(one)
    view = one.view()
    assert view.last is not None
    assert (view.last.by, view.last.at, view.last.report, view.trouble) == ("ana", REPORT.at, REPORT, None)
    assert (tmp_path / "runs").read_text() == "x"
    assert rounds(tmp_path, []).view().last == view.last
    await one.close()


async def test_a_doctor_that_says_nothing_is_told_and_the_last_report_stays(tmp_path: Path) -> None:
    one = rounds(tmp_path, saying(REPORT, tmp_path))
    one.begin("ana")
    await ended(one)
    again = rounds(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"])
    again.begin("bia")
    await ended(again)
    trouble = again.view().trouble
    assert trouble is not None
    assert (trouble.code, "código 3" in trouble.cause_pt, "prontuario doctor" in trouble.step_en) == (
        "doctor.silent",
        True,
        True,
    )
    assert again.view().last == one.view().last


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    one = rounds(tmp_path, [str(tmp_path / "nothing")])
    one.begin("ana")
    await ended(one)
    assert (one.view().trouble is not None, one.view().last) == (True, None)


async def test_what_hangs_is_ended_at_its_limit(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hanging = [
        sys.executable,
        "-c",
        f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1e6)",
    ]
    with pytest.raises(ProntuarioError) as caught:
        await examine_apart(hanging, 0.01)
    assert caught.value.kind.code == "doctor.late"
    one = rounds(tmp_path, hanging)
    one.begin("ana")
    await until(lambda: pid.exists() and bool(pid.read_text()))
    await one.close()
    assert not Path(f"/proc/{pid.read_text()}").exists()
    assert not one.view().running


async def test_a_file_that_can_not_be_read_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "doctor.json").write_text("{")
    assert rounds(tmp_path, []).view().last is None


async def test_the_nodes_own_ends_with_the_node(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = DoctorRounds.of(stack, tmp_path, "mac-a", HandClock())
        assert one.view().node == "mac-a"
    assert doctor_command(tmp_path, "--deadline", "20")[-3:] == ["--json", "--deadline", "20"]
    assert FILE.startswith("data/"), "beside the schedule's memory, out of a backup's way"
