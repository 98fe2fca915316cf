"""Finding the Litestream program, and the file that tells it what to do."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.store import errors

MAX_SOCKET_PATH_BYTES: Final = 100
"""A Unix socket's path has room for 104 bytes on macOS (sys/un.h), 108 on Linux."""
KEEP_HOURS: Final = 7 * 24
"""How far back ``restore --at`` reaches."""


_SOURCE: Final = "/replica"
"""What a replica to restore from is called towards Litestream; no such file has to exist."""


def program(prefix: str = sys.prefix, search: str | None = None) -> Path:
    """The ``litestream`` installed beside this Python (``prefix``), else the one on PATH (or in ``search``).

    Raises:
        ProntuarioError: ``store.litestream_missing``.
    """
    beside = Path(prefix) / "bin" / "litestream"
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which("litestream", path=search)
    if found is None:
        raise errors.LITESTREAM_MISSING()
    return Path(found)


def render_source(replica: Path) -> bytes:
    """What ``restore_command`` reads from its standard input: where the replica lies.

    As a URL it can't be said: Litestream 0.5.17 takes the path of ``file:///Library/Application%20Support`` as it stands,
    and every Mac's home lies there.
    """
    source = {"path": _SOURCE, "replica": {"type": "file", "path": str(replica.absolute())}}
    return msgspec.json.encode({"dbs": [source]})


def restore_command(output: Path, *options: str) -> list[str]:
    """``litestream restore`` into ``output`` of what ``render_source`` says on standard input.

    Raises:
        ProntuarioError: ``store.litestream_missing``.
    """
    words = ["restore", "-config", "/dev/stdin", "-no-expand-env", *options, "-o", str(output), _SOURCE]
    return [str(program()), *words]


def choose_socket(run: Path) -> Path:
    """Where the control socket lies: in ``run``, or in a private folder of its own when that path is too long."""
    usual = run / "litestream.sock"
    if len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES:
        return usual
    for base in (None, "/tmp"):  # noqa: S108  a folder of mode 0700 is made in it
        short = Path(tempfile.mkdtemp(prefix="prontuario-", dir=base))
        if len(os.fsencode(short / usual.name)) <= MAX_SOCKET_PATH_BYTES:
            break
        short.rmdir()
    return short / usual.name


def render(database: Path, spool: Path, socket: Path) -> bytes:
    """Litestream's configuration (YAML; JSON is a subset of it, and quotes every path right).

    The short compaction levels and L0 retention hold the number of L0 files down: it decides the latency of a sync.
    """
    settings: dict[str, Any] = {
        "socket": {"enabled": True, "path": str(socket), "permissions": 0o600},
        "logging": {"level": "warn", "type": "json", "stderr": True},
        "levels": [{"interval": "1s"}, {"interval": "10s"}, {"interval": "1m"}, {"interval": "1h"}],
        "l0-retention": "2s",
        "l0-retention-check-interval": "1s",
        "snapshot": {"interval": "24h", "retention": f"{KEEP_HOURS}h"},
        "verify-compaction": True,
        "shutdown-sync-timeout": "5s",
        "dbs": [{"path": str(database), "replica": {"type": "file", "path": str(spool), "sync-interval": "1s"}}],
    }
    return msgspec.json.encode(settings)
