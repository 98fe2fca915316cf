"""Which model files go to the other node: of a signed pack only what is still as it was signed.

Files there are replaced by the primary's when they differ. What rotted here would otherwise destroy the good copy, and with it the
one place from which it could be repaired; the other way round, a good copy here does repair the other node's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.cluster.peer_messages import FileEntry
from appliance.operations.packs.manifest import MANIFEST_NAME, OWN_FILES
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("packs")


def as_signed(shelf: Shelf, entries: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """``entries`` (paths below ``shelf.models``) without what must stay here; folders that are no packs are left alone. Blocks.

    Raises:
        OSError: a manifest can't be read.
    """
    signed = {
        folder.relative_to(shelf.models).as_posix(): _signed(shelf, folder)
        for folder in shelf.folders()
        if (folder / MANIFEST_NAME).is_file()
    }
    fit = tuple(entry for entry in entries if _is_fit(entry, signed))
    if len(fit) < len(entries):
        log.warning("model files that are not as signed do not go to the peer", count=len(entries) - len(fit))
    return fit


def _signed(shelf: Shelf, folder: Path) -> dict[str, str]:
    """Path in the pack → SHA-256; empty when its manifest is not to be believed."""
    try:
        return {file.path: file.sha256 for file in shelf.manifest(folder).files}
    except ProntuarioError:
        return {}


def _is_fit(entry: FileEntry, signed: Mapping[str, Mapping[str, str]]) -> bool:
    capability, _, below = entry.path.partition("/")
    pack, _, inside = below.partition("/")
    known = signed.get(f"{capability}/{pack}")
    if known is None:
        return True
    return bool(known) if inside in OWN_FILES else known.get(inside) == entry.sha256
