"""Giving a node's jobs to launchd, and taking them away, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.daemon.launchd.launchctl import Launchctl, patience_of
from appliance.daemon.launchd.layout import DOMAIN
from appliance.daemon.launchd.lint import check

ORDER: Final = ("firewall", "etcd", "vipd", "core", "admin")
"""Who is needed comes first; they end the other way round."""


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
    # All leave before any comes: an old core must not meet a new vipd.
    for path in reversed(plists):
        await launchctl.bootout(path.stem, within_s=patience_of(path))
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
    for path in reversed(plists):
        await launchctl.bootout(path.stem, within_s=patience_of(path))
    return [path.stem for path in reversed(plists)]
