"""Which third-party plugins may be loaded at all: a manifest, a signature, one entry point of the right name."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.plugin_api.hooks import ENTRY_POINT_GROUP
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.manifest import Manifest, read_manifest
from appliance.plugin_host.signature import is_signed, verify_folder

TRUSTED: Final = "trusted"


def plugin_folders(root: Path) -> list[Path]:
    """Installed third-party plugins: every folder of ``<home>/plugins`` but the one with the trusted keys."""
    if not root.is_dir():
        return []
    return [
        entry for entry in sorted(root.iterdir()) if entry.is_dir() and entry.name != TRUSTED and entry.name[0] != "."
    ]


def newest_first(folder: Path) -> tuple[int, ...]:
    """Sort key of ``<name>-<version>``: its numbers (release segments; no pre-releases are installed in a hospital)."""
    return tuple(-int(number) for number in re.findall(r"\d+", folder.name.rpartition("-")[2]))


def admit(folder: Path, *, trusted: Sequence[Ed25519PublicKey], development: bool) -> Manifest:
    """The manifest of a folder that may be loaded.

    An unsigned plugin is admitted in a development profile only; a wrong signature never is.

    Raises:
        QuarantineError: the reason.
    """
    manifest = read_manifest(folder)
    if is_signed(folder):
        verify_folder(folder, trusted)
    elif not development:
        raise QuarantineError("it is not signed; a production node takes only signed plugins")
    return manifest


def import_from(folder: Path, name: str) -> Any:
    """Import the plugin called ``name`` from its folder, which becomes importable (last, so that it shadows nothing).

    Raises:
        QuarantineError: no such entry point, or the module comes from elsewhere.
    """
    found = [
        entry
        for distribution in importlib.metadata.distributions(path=[str(folder)])
        for entry in distribution.entry_points
        if entry.group == ENTRY_POINT_GROUP
    ]
    if [entry.name for entry in found] != [name]:
        names = ", ".join(entry.name for entry in found) or "none"
        raise QuarantineError(f"its entry points in {ENTRY_POINT_GROUP} must be exactly {name!r}; there are: {names}")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    plugin = found[0].load()
    origin = getattr(sys.modules[found[0].module], "__file__", None) or ""
    if not Path(origin).resolve().is_relative_to(folder.resolve()):
        raise QuarantineError(f"its module {found[0].module} hides behind another one of the same name")
    return plugin
