"""What a check is given and what it answers."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec
import psutil
from pysqlite3 import dbapi2

from appliance.config.model import Config, Paths
from appliance.plugin_api.blas import find_openblas

Status = Literal["ok", "warning", "failed"]


class Finding(msgspec.Struct, frozen=True):
    """One check's answer: what is so (``cause``) and, unless all is well, what to do now (``next_step``)."""

    name: str
    status: Status
    cause: str
    next_step: str = ""


def _now() -> datetime:
    return datetime.now(UTC)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _memory_bytes() -> int:
    return int(psutil.virtual_memory().total)


def _can_bind(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


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
    python_prefix: str = sys.prefix
    search_path: str | None = None
    """Where programs are looked for; None means PATH."""
    sqlite_version: tuple[int, ...] = tuple(dbapi2.sqlite_version_info)
    free_bytes: Callable[[Path], int] = _free_bytes
    memory_bytes: Callable[[], int] = _memory_bytes
    can_bind: Callable[[str, int], bool] = _can_bind
    openblas: Callable[[], Path | None] = find_openblas
    time_server: Callable[[], str | None] = time_server

    def program(self, name: str) -> str | None:
        """The full path of a program, or None."""
        return shutil.which(name, path=self.search_path)


@dataclass(frozen=True, slots=True)
class Patient:
    """The node under examination."""

    paths: Paths
    config: Config
    machine: Machine = field(default_factory=Machine)


Check = Callable[[Patient], Finding]
