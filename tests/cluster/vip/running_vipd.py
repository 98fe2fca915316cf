"""vipd in a node of the lab, started and spoken to in plain JSON; tests, chaos runs and benches share it."""

from __future__ import annotations

import json
import os
import signal
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.cluster.lease_clock import steady_s
from tests.cluster.netlab import INTERFACE, VIP, NetLab

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
    """One vipd. ``pid`` is the server's, ``guard`` the guard's."""

    node: str
    lab: NetLab
    process: subprocess.Popen[bytes]
    socket: Path
    guard: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @classmethod
    def start(
        cls, lab: NetLab, folder: Path, node: str = "a", addresses: tuple[str, ...] = (VIP,), **settings: Any
    ) -> RunningVipd:
        """Start it and wait until it serves. ``settings``: as vipd_program.py takes them. Its log: ``<node>.log``."""
        socket = folder / node / "vipd.sock"
        asked = {"addresses": addresses, "interface": INTERFACE["lan"], "socket": str(socket), **settings}
        ready, ready_end = os.pipe()
        log = folder / f"{node}.log"
        argv = [sys.executable, str(PROGRAM), json.dumps(asked), f"--ready-fd={ready_end}"]
        with log.open("ab") as sink:
            process = lab.popen(node, argv, pass_fds=(ready_end,), stderr=sink)
        os.close(ready_end)
        with os.fdopen(ready) as answer:
            line = answer.readline()
        assert line, log.read_text()
        return cls(node, lab, process, socket, json.loads(line)["guard"])

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
        """SIGTERM, also to one that is stopped; the exit status. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return int(self.process.wait(PATIENCE_S))


StartVipd = Callable[..., RunningVipd]
