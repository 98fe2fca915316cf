"""A lab, and vipd running in its nodes."""

from __future__ import annotations

import json
import os
import signal
import socket as sockets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.lease_clock import steady_s
from tests.cluster.netlab import INTERFACE, VIP, NetLab, why_not

PROGRAM = Path(__file__).with_name("vipd_program.py")
PATIENCE_S = 30.0
"""How long a test waits for what must happen in the end: far longer than it takes, since the machine may be busy."""


def eventually(what: Callable[[], bool], limit_s: float = PATIENCE_S) -> bool:
    """Whether it became true within the limit."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return what()


@dataclass
class RunningVipd:
    """A vipd in a node of the lab, spoken to in plain JSON."""

    node: str
    lab: NetLab
    process: subprocess.Popen[bytes]
    socket: Path
    guard: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """One question, one answer."""
        with sockets.socket(sockets.AF_UNIX) as line:
            line.settimeout(PATIENCE_S)
            line.connect(str(self.socket))
            line.sendall(json.dumps({"verb": verb, **request}).encode() + b"\n")
            return {"held": [], "up": [], "code": ""} | json.loads(line.makefile().readline())

    def acquire(self, epoch: int = 1, for_s: float = 30.0, addresses: tuple[str, ...] = (VIP,)) -> dict[str, Any]:
        """Ask for the addresses for so many seconds from now."""
        deadline = steady_s() + for_s
        return self.ask("acquire", epoch=epoch, deadline_s=deadline, addresses=addresses, interface=INTERFACE["lan"])

    def stop(self) -> int:
        """SIGTERM and the exit status."""
        self.process.terminate()
        return int(self.process.wait(PATIENCE_S))


StartVipd = Callable[..., RunningVipd]


@pytest.fixture
def lab() -> Iterator[NetLab]:
    """Skipped with the reason where namespaces can't be made."""
    if reason := why_not():
        pytest.skip(reason)
    with NetLab() as made:
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short, root-owned path: a Unix socket's may have 104 characters."""
    with tempfile.TemporaryDirectory(prefix="pt-vip-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def start_vipd(lab: NetLab, folder: Path) -> Iterator[StartVipd]:
    """Start vipd in a node; all are ended when the test is over."""
    running: list[RunningVipd] = []

    def start(node: str = "a", addresses: tuple[str, ...] = (VIP,), **settings: Any) -> RunningVipd:
        socket = folder / node / "vipd.sock"
        asked = {"addresses": addresses, "interface": INTERFACE["lan"], "socket": str(socket), **settings}
        ready, ready_end = os.pipe()
        log = folder / f"{node}.log"
        with log.open("ab") as sink:
            process = lab.popen(
                node,
                [sys.executable, str(PROGRAM), json.dumps(asked), f"--ready-fd={ready_end}"],
                pass_fds=(ready_end,),
                stderr=sink,
            )
        os.close(ready_end)
        with os.fdopen(ready) as answer:
            line = answer.readline()
        assert line, log.read_text()
        running.append(RunningVipd(node, lab, process, socket, json.loads(line)["guard"], log))
        return running[-1]

    yield start
    for vipd in running:
        if vipd.process.poll() is None:
            vipd.process.send_signal(signal.SIGCONT)
            vipd.stop()
