"""The stand-in launchd: what bites about the real one bites here, too, with real processes."""

from __future__ import annotations

import asyncio
import grp
import os
import plistlib
import pwd
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bench import mac_launchd
from bench.mac_launchd import Launchd, ask, serve

LABEL = "br.prontuario.core"
TARGET = f"system/{LABEL}"
DRAINS = """
import os, pathlib, signal, time
def drain(*_):
    while not pathlib.Path("may-go").exists():
        time.sleep(0.01)
    os._exit(0)
signal.signal(signal.SIGTERM, drain)
with open("lives", "a") as book:
    book.write("x")
while True:
    time.sleep(0.01)
"""
ENDS = """
with open("lives", "a") as book:
    book.write("x")
"""


def plist(folder: Path, program: str, **keys: Any) -> Path:
    job = {
        "Label": LABEL, "ProgramArguments": [sys.executable, "-I", "-S", "-c", program], "WorkingDirectory": str(folder),
        "UserName": pwd.getpwuid(os.getuid()).pw_name, "GroupName": grp.getgrgid(os.getgid()).gr_name, "ThrottleInterval": 0,
        "StandardOutPath": str(folder / "log"), "EnvironmentVariables": {"PATH": os.environ["PATH"]}, **keys,
    }  # fmt: skip
    path = folder / "jobs" / f"{LABEL}.plist"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(plistlib.dumps(job))
    return path


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  another process does it
            await asyncio.sleep(0.01)


def lives(folder: Path) -> int:
    book = folder / "lives"
    return len(book.read_text()) if book.exists() else 0


@pytest.fixture
async def launchd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Launchd]:
    monkeypatch.setattr(mac_launchd, "LEAST_LEAVING_S", 0.0)
    made = Launchd()
    yield made
    (tmp_path / "may-go").touch()
    await made.close()


async def test_bootout_answers_while_the_job_drains_and_its_label_stays_taken(launchd: Launchd, tmp_path: Path) -> None:
    path = str(plist(tmp_path, DRAINS, KeepAlive=True))
    assert launchd.answer("bootstrap", ["system", path])[0] == 0
    await until(lambda: lives(tmp_path) == 1)
    assert launchd.answer("bootstrap", ["system", path])[0] == 5, "it is there already"
    assert launchd.answer("bootout", [TARGET])[0] == 0
    assert launchd.answer("bootout", [TARGET])[0] == 36
    assert launchd.answer("bootstrap", ["system", path])[0] in {5, 37}
    status, said = launchd.answer("print", [TARGET])
    assert (status, "SIGTERMed" in said) == (0, True)
    assert lives(tmp_path) == 1, "nothing was started beside the one that drains"
    (tmp_path / "may-go").touch()
    await until(lambda: launchd.answer("print", [TARGET])[0] == 113)
    assert launchd.answer("bootstrap", ["system", path])[0] == 0
    await until(lambda: lives(tmp_path) == 2)


async def test_a_job_that_does_not_end_in_its_time_is_killed(launchd: Launchd, tmp_path: Path) -> None:
    path = plist(tmp_path, DRAINS, KeepAlive=True, ExitTimeOut=0.05)
    launchd.bootstrap(path)
    await until(lambda: lives(tmp_path) == 1)
    launchd.answer("bootout", [TARGET])
    await until(lambda: not launchd.jobs)


async def test_only_what_is_to_be_kept_alive_starts_again(launchd: Launchd, tmp_path: Path) -> None:
    launchd.bootstrap(plist(tmp_path, ENDS))
    keeper = launchd.jobs[LABEL].keeper
    assert keeper is not None
    await until(keeper.done)
    assert lives(tmp_path) == 1
    assert launchd.answer("print", [TARGET])[0] == 0, "it stays loaded"
    launchd.answer("bootout", [TARGET])
    await until(lambda: not launchd.jobs)
    launchd.bootstrap(plist(tmp_path, ENDS, KeepAlive=True))
    await until(lambda: lives(tmp_path) >= 3)


async def test_what_launchd_does_not_know_it_says_so(launchd: Launchd, tmp_path: Path) -> None:
    assert launchd.answer("print", [TARGET])[0] == 113
    assert launchd.answer("bootout", [TARGET])[0] == 3
    assert launchd.answer("bootstrap", ["system", str(tmp_path / "nothing.plist")])[0] == 5
    assert launchd.answer("kickstart", [TARGET])[0] == 64


async def test_at_boot_every_plist_is_loaded_and_launchctl_asks_by_the_socket(tmp_path: Path) -> None:
    job, stop = plist(tmp_path, ENDS), asyncio.Event()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a short path: a socket's has little room
        place = f"{folder}/launchd.sock"
        serving = asyncio.create_task(serve(place, [job], stop))
        try:
            await until(Path(place).exists)
            assert (await asyncio.to_thread(ask, place, ["print", TARGET]))[0] == 0
            await until(lambda: lives(tmp_path) == 1)
        finally:
            stop.set()
            await serving
