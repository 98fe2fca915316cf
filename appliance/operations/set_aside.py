"""What was put aside because it had failed or was overtaken: old spools, old records. Only a person deletes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec

from appliance.config.model import Paths
from appliance.operations.schedule_memory import Figure
from appliance.plugin_api.errors import NOT_FOUND
from appliance.telemetry.logs import get_logger

log = get_logger("backup")
_SPOOLS: Final = ("spool.failed-*", "replica/*.failed-*")
_RECORDS: Final = ("set-aside/*",)


class Aside(msgspec.Struct, frozen=True):
    """One folder: ``name`` is its path below ``data/``, ``kind`` is ``spool`` or ``record``; size in bytes, age in days."""

    name: str
    kind: str
    bytes: int
    age_days: float


def list_aside(paths: Paths, now_s: float) -> list[Aside]:
    """Everything that waits for a person, oldest first. ``now_s``: seconds since 1970. Blocks."""
    data = paths.home / "data"
    found = [
        Aside(str(path.relative_to(data)), kind, _size(path), round((now_s - path.stat().st_mtime) / 86400, 2))
        for kind, patterns in (("spool", _SPOOLS), ("record", _RECORDS))
        for pattern in patterns
        for path in data.glob(pattern)
        if path.is_dir()
    ]
    return sorted(found, key=lambda one: -one.age_days)


def figures(found: list[Aside]) -> dict[str, Figure]:
    """For people."""
    return {
        "folders": len(found),
        "bytes": sum(one.bytes for one in found),
        "oldest_days": max((one.age_days for one in found), default=0.0),
    }


def delete_aside(paths: Paths, name: str) -> int:
    """A person has looked at ``name`` (as ``list_aside`` calls it) and wants it gone; how many bytes that freed. Blocks.

    Raises:
        ProntuarioError: ``not_found`` 404: nothing of that name was set aside.
    """
    known = {one.name: one for one in list_aside(paths, 0.0)}
    if name not in known:
        raise NOT_FOUND(what=name)
    shutil.rmtree(paths.home / "data" / name)
    log.warning("a person deleted what was set aside", bytes=known[name].bytes, kind=known[name].kind)
    return known[name].bytes


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
