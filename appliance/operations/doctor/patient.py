"""What a check is given: the node's home and configuration, the machine, and the line to the running node."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import psutil
from pysqlite3 import dbapi2

from appliance.config.model import Config, Paths
from appliance.plugin_api.blas import find_openblas
from appliance.store.durable import sync

PATIENCE_S: Final = 4.0
"""How long a program, or our own API, may take to answer; less than a check may."""
SYSTEM_FOLDERS: Final = "/usr/bin:/bin:/usr/sbin:/sbin"
"""sudo and launchd give a PATH without the administrator's tools."""
_FLUSHES: Final = 8


class Said(NamedTuple):
    """What a program answered."""

    status: int
    out: str
    err: str


def _now() -> datetime:
    return datetime.now(UTC)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _memory_bytes() -> int:
    return int(psutil.virtual_memory().total)


def _available_bytes() -> int:
    return int(psutil.virtual_memory().available)


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _addresses() -> frozenset[str]:
    return frozenset(one.address.partition("%")[0] for rows in psutil.net_if_addrs().values() for one in rows)


def filesystem(path: Path) -> str:
    """The kind of file system that holds ``path`` (``apfs``, ``ext4``, ``tmpfs``); empty if nobody knows."""
    real = path.resolve()
    holding = [one for one in psutil.disk_partitions(all=True) if real.is_relative_to(one.mountpoint)]
    return max(holding, key=lambda one: len(one.mountpoint)).fstype if holding else ""


def flush_s(folder: Path) -> float:
    """The median time in seconds of a small write flushed to the disk in ``folder``; nothing is left of it.

    Raises:
        OSError: it can't be written, or the volume refuses to flush.
    """
    probe = folder / f".doctor-flush-{os.getpid()}"
    took = []
    descriptor = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        for turn in range(_FLUSHES):
            began = time.perf_counter()
            os.pwrite(descriptor, bytes([turn]) * 4096, turn * 4096)
            sync(descriptor)
            took.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
    return median(took)


NTP_FILE: Final = Path("/etc/ntp.conf")


def time_server(file: Path = NTP_FILE) -> str | None:
    """The server that macOS's timed asks: systemsetup(8) writes it there."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    words = [line.split() for line in lines]
    return next((found[1] for found in words if len(found) > 1 and found[0] == "server"), None)


@dataclass(frozen=True, slots=True)
class Machine:
    """What doctor asks the machine; a test gives answers of its own."""

    now: Callable[[], datetime] = _now
    platform: str = sys.platform
    root: Path = Path("/")
    """Where macOS's own folders begin."""
    root_user: int = 0
    python_prefix: str = sys.prefix
    search_path: str | None = None
    """Where programs are looked for; None means PATH and the system's folders."""
    sqlite_version: tuple[int, ...] = tuple(dbapi2.sqlite_version_info)
    free_bytes: Callable[[Path], int] = _free_bytes
    memory_bytes: Callable[[], int] = _memory_bytes
    available_bytes: Callable[[], int] = _available_bytes
    can_bind: Callable[[str, int], bool] = _can_bind
    addresses: Callable[[], frozenset[str]] = _addresses
    filesystem: Callable[[Path], str] = filesystem
    flush_s: Callable[[Path], float] = flush_s
    openblas: Callable[[], Path | None] = find_openblas
    time_server: Callable[[], str | None] = time_server
    user: Callable[[], int] = os.geteuid
    patience_s: float = PATIENCE_S

    def program(self, name: str) -> str | None:
        """The full path of a program, or None."""
        usual = f"{self.python_prefix}/bin:{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}"
        return shutil.which(name, path=usual if self.search_path is None else self.search_path)

    def ask(self, name: str, *words: str) -> Said | None:
        """What a program of the system says, or None when this machine does not have it. It reads nothing from us.

        Raises:
            TimeoutError: it did not answer; it was ended.
        """
        program = self.program(name)
        if program is None:
            return None
        try:
            done = subprocess.run(
                [program, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                check=False, timeout=self.patience_s, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError(name) from None
        return Said(done.returncode, done.stdout, done.stderr)


Ask = Callable[[str], Mapping[str, Any]]
"""A verb of the operator's socket; raises ``OSError`` when no node runs, ``TimeoutError`` when it does not answer."""


def nobody(_verb: str) -> Mapping[str, Any]:
    """No node runs."""
    raise ConnectionRefusedError


class Line:
    """Asks the running node each verb once, however many checks want the answer."""

    def __init__(self, ask: Ask = nobody) -> None:
        self._ask = ask
        self._turn = threading.Lock()
        self._known: dict[str, Mapping[str, Any] | OSError] = {}

    def ask(self, verb: str) -> Mapping[str, Any]:
        """The answer. Raises as ``Ask`` (``TimeoutError`` is an ``OSError``)."""
        with self._turn:
            if verb not in self._known:
                try:
                    self._known[verb] = self._ask(verb)
                except OSError as error:
                    self._known[verb] = error
            known = self._known[verb]
        if isinstance(known, OSError):
            raise known
        return known


@dataclass(frozen=True, slots=True)
class Patient:
    """The node under examination."""

    paths: Paths
    config: Config
    machine: Machine = field(default_factory=Machine)
    line: Line = field(default_factory=Line)

    @property
    def paired(self) -> bool:
        """Whether it is one half of a pair by its configuration."""
        return self.config.cluster.mode == "paired"
