"""May this update come to this node? Its version, the one it comes from, the way back through the schema, and room on the disks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from appliance.operations.updates.errors import NO_ROOM, OLDER, SCHEMA, TOO_FAR
from appliance.operations.updates.manifest import PACK, TABLE, UpdateManifest, order
from appliance.store.migrate import Migration

SPARE_BYTES: Final = 1 << 30
"""Must stay free on a disk that the record shares."""
_MIB: Final = 1 << 20
FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """How much the disk of ``folder`` (or of what exists above it) still takes."""
    return shutil.disk_usage(_existing(folder)).free


def check_version(manifest: UpdateManifest, running: str, newest: str) -> None:
    """It is newer than what runs, no older than what ran for good here before, and may come from what runs.

    ``newest``: the highest version that an update has brought to its end here; empty: none yet.

    Raises:
        ProntuarioError: ``update.older``, ``update.too_far`` (409).
    """
    if order(manifest.version) <= order(running):
        raise OLDER(version=manifest.version, newest=running)
    if newest and order(manifest.version) < order(newest):
        raise OLDER(version=manifest.version, newest=newest)
    if order(running) < order(manifest.from_version):
        raise TOO_FAR(version=manifest.version, running=running, least=manifest.from_version)


def check_schema(manifest: UpdateManifest, known: Sequence[Migration]) -> None:
    """The program that runs now can still use the database after the new one has migrated it (N-1).

    ``known``: the running program's migrations, as ``appliance.store.migrate.known_migrations`` gives them.

    Raises:
        ProntuarioError: ``update.schema`` (409): a new migration is not readable here, or an old one was changed or dropped.
    """
    here = {migration.number: migration for migration in known}
    newest = max(here, default=0)
    brought = {step.number: step for step in manifest.schema}
    for number, migration in here.items():
        if number not in brought or brought[number].checksum != migration.checksum:
            raise SCHEMA(version=manifest.version, migration=number)
    for number, step in brought.items():
        if number not in here and step.readable_by > newest:
            raise SCHEMA(version=manifest.version, migration=number)


def check_room(manifest: UpdateManifest, program: Path, home: Path, *, free: FreeBytes = free_bytes) -> None:
    """Before anything is touched: room for the staged copy, the program twice (as its own preinstall wants), tables and packs.

    Raises:
        ProntuarioError: ``update.no_room`` (507).
    """
    needs = {program: manifest.size + 2 * manifest.installed_bytes + SPARE_BYTES}
    at_home = sum(file.size for kind in (PACK, TABLE) for part in manifest.of_kind(kind) for file in part.files)
    if _disk(program) == _disk(home):
        needs[program] += at_home
    else:
        needs[home] = at_home + SPARE_BYTES
    for folder, needed in needs.items():
        if (there := free(folder)) < needed:
            raise NO_ROOM(needed_mib=-(-needed // _MIB), free_mib=there // _MIB)


def _disk(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())
