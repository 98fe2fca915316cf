"""A whole node for benches and chaos runs, started as a person would and stopped at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from report import say

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "appliance.daemon"]
STOP_LIMIT_S = 60


@dataclass
class BenchNode:
    """A running node."""

    api: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def core_pid(self) -> int:
        """The pid of core now (it changes when it was killed)."""
        return int((self.home / "run" / "core.pid").read_text().strip() or 0)

    def client(self, user: str, role: str = "physician") -> dict[str, str]:
        """An enrolled device's client file."""
        out = self.home.parent / f"{user}.json"
        command = ["client", "enrol", "--home", str(self.home), "--user", user, "--role", role, "--out", str(out)]
        subprocess.run([*COMMAND, *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return dict(json.loads(out.read_text()))


@contextmanager
def serving(home: Path, *options: str) -> Iterator[BenchNode]:
    """Start a node on a home, which is made when it is not there; stop it afterwards. Its log is beside the home."""
    file = home.parent / "node.log"
    argv = [*COMMAND, "up", "--home", str(home), "--port-base", "0", "--ready-json", *options]
    with file.open("a") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the node did not start:\n{file.read_text()[-3000:]}")
        yield BenchNode(json.loads(line)["api"], home, process)
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(STOP_LIMIT_S)
        process.stdout.close()


@contextmanager
def running_node(*options: str, prepare: Callable[[Path], None] = lambda _home: None) -> Iterator[BenchNode]:
    """Start a node in a scratch home, after ``prepare(home)``; stop and remove it afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix="prontuario-bench-"))
    home = scratch / "home"
    try:
        prepare(home)
        say(f"starting a node in {home}")
        with serving(home, *options) as node:
            yield node
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
