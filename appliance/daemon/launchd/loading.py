"""Giving a node's jobs to launchd, and taking them away, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from appliance.daemon.launchd.launchctl import Launchctl, patience_of
from appliance.daemon.launchd.layout import DOMAIN
from appliance.daemon.launchd.lint import check

ORDER: Final = ("firewall", "etcd", "vipd", "core", "admin")
"""Who is needed comes first; they end the other way round."""
UNKNOWN_S: Final = 120.0
"""For a job whose file, and with it its ExitTimeOut, is gone."""


def plists_in(folder: Path) -> list[Path]:
    """A node's plists in ``folder``, in the order of their start."""
    found = {path.stem: path for path in folder.glob(f"{DOMAIN}.*.plist")}
    wanted = [f"{DOMAIN}.{name}" for name in ORDER]
    return [found[label] for label in (*wanted, *sorted(set(found) - set(wanted))) if label in found]


async def load_all(folder: Path, launchctl: Launchctl) -> list[str]:
    """Replace every job by what its file says; the labels. Nothing is touched unless every file is sound.

    Raises:
        ProntuarioError: ``launchd.plist``, ``launchd.launchctl``, ``launchd.leaving``.
        OSError: a file can't be read.
    """
    plists = plists_in(folder)
    check((path.name, path.read_bytes()) for path in plists)
    await _all_leave(plists, launchctl)  # before any comes: an old core must not meet a new vipd
    for path in plists:
        await launchctl.bootstrap(path, within_s=patience_of(path))
    return [path.stem for path in plists]


async def unload_all(folder: Path, launchctl: Launchctl) -> list[str]:
    """Take every job away and wait for each to end; the labels.

    Raises:
        ProntuarioError: ``launchd.launchctl``, ``launchd.leaving``.
        OSError: a file can't be read.
    """
    plists = plists_in(folder)
    await _all_leave(plists, launchctl)
    return [path.stem for path in reversed(plists)]


async def _all_leave(plists: Sequence[Path], launchctl: Launchctl) -> None:
    """Also those that an earlier configuration had and whose file is gone."""
    patience = {f"{DOMAIN}.{name}": UNKNOWN_S for name in ORDER} | {path.stem: patience_of(path) for path in plists}
    for label, within_s in reversed(patience.items()):
        await launchctl.bootout(label, within_s=within_s)
