"""The shelf as a person at the dashboard sees it: every pack with its state, who signed it, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs.coreml_contents import SUFFIX as COREML
from appliance.operations.packs.examination import Told, told
from appliance.operations.packs.manifest import PackFile, PackManifest
from appliance.operations.packs.onnx_contents import SUFFIX as ONNX
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.signing import signer
from appliance.plugin_api.errors import ProntuarioError

State = Literal["active", "previous", "standby", "trouble"]
"""``previous`` served before the active one, which is what a rollback goes back to; ``standby`` is any other."""


class PackView(msgspec.Struct, frozen=True, kw_only=True):
    """A pack on the shelf; sizes in bytes. With ``trouble`` nothing of its manifest is believed, and the rest is empty.

    ``licence`` is the first line of the text. ``mac_only``: a network of it runs on a Mac only.
    """

    pack: str
    capability: str
    state: State
    trouble: Told = Told()
    name: str = ""
    version: int = 0
    bytes: int = 0
    footprint_bytes: int = 0
    files: int = 0
    licence: str = ""
    intended_use: str = ""
    signed_by: str = ""
    mac_only: bool = False


class PackText(msgspec.Struct, frozen=True, kw_only=True):
    """What is read in full before a pack is put to work."""

    pack: str
    licence: str
    intended_use: str
    files: tuple[PackFile, ...]


def picture(shelf: Shelf) -> list[PackView]:
    """Every installed pack, by ability, the newest first; nothing but manifests is read. Blocks."""
    rows = [_view(shelf, folder) for folder in shelf.folders()]
    return sorted(rows, key=lambda row: (row.capability, row.name, -row.version))


def text(shelf: Shelf, pack: str) -> PackText:
    """Licence and intended use in full. Raises ``pack.unknown`` (404), or why the manifest is not to be believed (422)."""
    known = shelf.manifest(shelf.find(pack))
    return PackText(pack=known.pack, licence=known.licence, intended_use=known.intended_use, files=known.files)


def mac_only(manifest: PackManifest) -> bool:
    """A Core ML package for which there is no ONNX network of the same name beside it."""
    paths = {file.path for file in manifest.files}
    packages = {path.partition(f"{COREML}/")[0] for path in paths if f"{COREML}/" in path}
    return any(f"{package}{ONNX}" not in paths for package in packages)


def _view(shelf: Shelf, folder: Path) -> PackView:
    capability, pack = folder.parent.name, folder.name
    try:
        known = shelf.manifest(folder)
        signed_by = signer(*manifests.read_raw(folder), shelf.trusted())
    except ProntuarioError as error:
        state: State = "active" if shelf.active(capability) == pack else "trouble"
        return PackView(pack=pack, capability=capability, state=state, trouble=told(error))
    return PackView(
        pack=pack, capability=capability, state=_state(shelf, capability, pack), name=known.name, version=known.version,
        bytes=known.size, footprint_bytes=known.footprint_bytes, files=len(known.files), signed_by=signed_by,
        licence=known.licence.strip().partition("\n")[0].strip(), intended_use=known.intended_use, mac_only=mac_only(known),
    )  # fmt: skip


def _state(shelf: Shelf, capability: str, pack: str) -> State:
    if shelf.active(capability) == pack:
        return "active"
    return "previous" if shelf.memory(capability).previous == pack else "standby"
