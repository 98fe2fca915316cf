"""The leash: a program ends when its parent does, whatever ends the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.store import leash
from tests.unit.store.conftest import gone

STUBBORN = (
    "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


@dataclass
class Leashed:
    process: subprocess.Popen[str]
    our_end: int
    lock: Path

    @property
    def program_pid(self) -> int:
        """Its second line, once it is there."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = self.lock.read_text().split("\n")
            if len(lines) > 2:
                return int(lines[1])
            time.sleep(0.01)
        raise TimeoutError

    def let_go(self) -> None:
        os.close(self.our_end)
        self.our_end = -1


Starter = Callable[..., Leashed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    made: list[Leashed] = []

    def starter(*program: str) -> Leashed:
        their_end, our_end = os.pipe()
        lock = tmp_path / "lock"
        lock.write_text(f"{os.getpid()}\n")
        with lock.open("r+") as lock_file:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", leash.__file__, str(their_end), str(lock_file.fileno()), "--", *program],
                pass_fds=(their_end, lock_file.fileno()),
                stdout=subprocess.PIPE,
                text=True,
            )
        os.close(their_end)
        made.append(Leashed(process, our_end, lock))
        return made[-1]

    yield starter
    for each in made:
        if each.our_end >= 0:
            os.close(each.our_end)
        if each.process.poll() is None:
            os.kill(each.program_pid, signal.SIGKILL)
            each.process.wait()
        assert each.process.stdout is not None
        each.process.stdout.close()


def soon_gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if gone(pid):
            return True
        time.sleep(0.01)
    return False


def test_the_program_ends_when_its_parent_lets_go(start: Starter) -> None:
    leashed = start("/bin/sleep", "600")
    pid = leashed.program_pid
    leashed.let_go()
    assert leashed.process.wait(60) == 128 + signal.SIGTERM
    assert soon_gone(pid)


def test_the_parents_line_of_the_lock_file_stays(start: Starter) -> None:
    leashed = start("/bin/sleep", "600")
    pid = leashed.program_pid
    assert leashed.lock.read_text() == f"{os.getpid()}\n{pid}\n"


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_programs_exit_status_is_passed_on(start: Starter, code: str, status: int) -> None:
    assert start(sys.executable, "-c", code).process.wait(60) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_leash_ends_the_program(start: Starter, number: signal.Signals) -> None:
    leashed = start("/bin/sleep", "600")
    pid = leashed.program_pid
    leashed.process.send_signal(number)
    assert leashed.process.wait(60) == 128 + signal.SIGTERM
    assert soon_gone(pid)


def test_a_program_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    """With a short grace: the leash's own main, in a process of its own."""
    script = (
        "import os, sys; from appliance.store import leash; leash.GRACE_S = 0.2\n"
        "their, ours = os.pipe(); lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "import threading; threading.Timer(float(sys.argv[2]), os.close, [ours]).start()\n"
        f"print(leash.main([str(their), str(lock), '--', sys.executable, '-c', {STUBBORN!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "lock"), "2"],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.stdout.split() == ["deaf", str(-signal.SIGKILL % 256)]
    assert soon_gone(int((tmp_path / "lock").read_text().split("\n")[1]))


def test_the_program_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, time; their, ours = os.pipe(); lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        f"subprocess.Popen([sys.executable, '-I', '-S', {leash.__file__!r}, str(their), str(lock), '--',"
        " '/bin/sleep', '600'], pass_fds=(their, lock)); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "lock")])
    deadline = time.monotonic() + 60
    while not (tmp_path / "lock").exists() or (tmp_path / "lock").read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pid = int((tmp_path / "lock").read_text().split("\n")[1])
    parent.kill()
    parent.wait()
    assert soon_gone(pid)
