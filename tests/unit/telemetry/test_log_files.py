"""A log that can't be written costs no more than its lines: no tracebacks, one sentence, a count, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.plugin_api.hooks import Health
from appliance.telemetry.log_files import LogFile, Losses, Terminal

SECRET = "Zuleica Quirimbó"
PROGRAM = """
import asyncio, json, logging, resource, sys
from pathlib import Path
from appliance.telemetry import logs

path = Path(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
logs.configure(level="info", file=path, terminal_level="critical")
log = logs.get_logger("care")
logs.get_logger("care").info("before")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # what a full disk does to a file, for this process only
for number in range(400):
    log.info("while full", count=number)
full = asyncio.run(logs.LOSSES.health())
lost = logs.LOSSES.lines
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.info("after")
after = asyncio.run(logs.LOSSES.health())
logging.shutdown()
print(json.dumps([full.status, lost, after.status, logs.LOSSES.lines, full.message_pt, after.message_pt]))
"""


def run_out_of_room(path: Path) -> tuple[list[Any], str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=True, timeout=100
    )
    return json.loads(done.stdout), done.stderr


def test_a_full_disk_is_told_once_and_counted_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "core.jsonl"
    (full, lost, after, at_end, told_full, told_after), stderr = run_out_of_room(path)
    assert (full, after) == ("degraded", "ok")
    assert lost == at_end > 100
    assert "EFBIG" in told_full
    assert str(lost) in told_after
    assert "Traceback" not in stderr
    assert "Logging error" not in stderr
    assert stderr.count("can't be written") == stderr.count("is written again") == 1
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert (events[0], events[-1]) == ("before", "after")
    assert all(event == "while full" for event in events[1:-1]), "every line that got there is whole"


def record(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("prontuario.care", logging.INFO, "x.py", 1, text, arguments, None)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_file_without_room_is_named_by_its_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    link, losses = tmp_path / "core.jsonl", Losses()
    link.symlink_to("/dev/full")
    handler = LogFile(link, max_bytes=1 << 20, keep=1, losses=losses)
    for _ in range(3):
        handler.handle(record("x"))
    handler.close()
    assert (losses.lines, losses.failing, losses.reason) == (3, True, "ENOSPC")
    assert capfd.readouterr().err.count("ENOSPC") == 1
    assert asyncio.run(losses.health()).status == "degraded"


def test_a_record_that_can_not_be_formatted_is_dropped_without_its_arguments(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    losses = Losses()
    handler = LogFile(tmp_path / "core.jsonl", max_bytes=1 << 20, keep=1, losses=losses)
    handler.handle(record("%d", SECRET))
    handler.handle(record("fine"))
    handler.close()
    assert (losses.lines, losses.failing, losses.reason) == (1, False, "TypeError")
    assert SECRET not in capfd.readouterr().err
    assert (tmp_path / "core.jsonl").read_text() == "fine\n"


def test_a_file_that_can_not_be_rotated_is_counted_too(tmp_path: Path) -> None:
    losses = Losses()
    path = tmp_path / "core.jsonl"
    handler = LogFile(path, max_bytes=64, keep=1, losses=losses)
    handler.handle(record("x" * 60))
    blocked = tmp_path / "core.jsonl.1"
    (blocked / "folder").mkdir(parents=True)  # the name that rotation needs is taken by a folder
    handler.handle(record("y" * 60))
    assert losses.lines == 1
    (blocked / "folder").rmdir()
    blocked.rmdir()
    handler.handle(record("z" * 60))
    handler.close()
    assert not losses.failing
    assert path.read_text() == "z" * 60 + "\n"


def test_a_terminal_that_nobody_reads_is_no_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as closed:
        Terminal(closed).handle(record("said to nobody"))
        with contextlib.suppress(BrokenPipeError):
            closed.close()
    assert "Traceback" not in capfd.readouterr().err


def test_health_begins_well() -> None:
    health: Health = asyncio.run(Losses().health())
    assert (health.status, "0" in health.message, bool(health.message_pt)) == ("ok", True, True)
