"""Processes of the peers that we measure against: started as the user they need, watched, and ended with all their children.

The programs come from ``bench/peers_setup.sh``; a bench that misses one says so and installs nothing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "peers" / "bin"
POSTGRES_USER = "postgres"
SETUP = "run bench/peers_setup.sh first"
START_LIMIT_S = 60.0


def program(name: str) -> str:
    """The path of a peer's program. Raises SystemExit with what to do when it is missing."""
    if (VENV / name).exists():
        return str(VENV / name)
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed: {SETUP}")
    return found


def postgres_program(name: str) -> str:
    """A program of the newest PostgreSQL that Debian has installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else program(name)


def postgres_user() -> str | None:
    """PostgreSQL refuses to run as root; None when we are somebody else already."""
    return POSTGRES_USER if os.geteuid() == 0 else None


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder that the peers' user may write, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    user = postgres_user()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_as(path: Path, text: str) -> Path:
    """Write a configuration file that the peers' user may read and change."""
    path.write_text(text, encoding="utf-8")
    user = postgres_user()
    if user is not None:
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    return path


def run(argv: Sequence[str], **options: str) -> str:
    """Run to its end as the peers' user; its output. Raises SystemExit with the output when it failed."""
    done = subprocess.run(
        list(argv), text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user=postgres_user(), cwd="/",
        env=os.environ | {"HOME": "/", "LC_ALL": "C"} | options,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


class Peer:
    """One process in a group of its own; faults and the end reach its children too."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, **environment: str) -> None:
        self.name = name
        self._argv = list(argv)
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, user=postgres_user(), cwd="/",
                env=os.environ | {"HOME": "/", "LC_ALL": "C"} | self._environment,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def signal_all(self, number: int) -> None:
        """Send a signal to the process and everything that it started, sessions of their own included."""
        if self._process is not None:
            signal_tree(self._process.pid, number)

    def crash(self) -> None:
        """Kill -9 of all of it at once, as when the machine goes."""
        self.signal_all(signal.SIGKILL)
        self.wait()

    def stop(self, limit_s: float = 20.0) -> None:
        """End it in order, and by force after ``limit_s``."""
        if self._process is None:
            return
        self.signal_all(signal.SIGCONT)
        if self.alive:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(limit_s)
        self.crash()

    def wait(self) -> None:
        """Until the process itself is gone."""
        if self._process is not None:
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]


def signal_tree(pid: int, number: int) -> None:
    """Send a signal to a process and everything below it."""
    for one in [pid, *descendants(pid)]:
        with suppress(ProcessLookupError):
            os.kill(one, number)


def descendants(pid: int) -> list[int]:
    """All children, their children and so on."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [(int(child), int(parent)) for child, parent in (line.split() for line in listed.splitlines())]
    found, frontier = list[int](), {pid}
    while frontier:
        frontier = {child for child, parent in pairs if parent in frontier}
        found += frontier
    return found


def wait_for(what: str, ready: Callable[[], bool], limit_s: float = START_LIMIT_S) -> None:
    """Poll ``ready`` until it is so. Raises SystemExit after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come about within {limit_s:.0f} s")
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
