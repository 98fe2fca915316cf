"""``prontuario-plugin.toml``: what a third-party plugin is and what it asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_host.errors import QuarantineError

FILE_NAME: Final = "prontuario-plugin.toml"
NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}")
_PLAIN: Final = frozenset({"engines", "routes", "store", "jobs", "permissions"})
_ROUTE: Final = "route:"
_PROVIDE: Final = "provide:"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be asked: engines, routes, store, jobs, permissions, ``provide:<capability>``, ``route:<permission>``.

    ``route:ai.chat`` lets its routes name the appliance's permission ``ai.chat``; the plugin's own permissions need no entry.
    """

    name: str
    version: str
    permissions: tuple[str, ...] = ()
    description: str = ""

    def asks(self, permission: str) -> bool:
        """Whether the plugin asked for ``permission``."""
        return permission in self.permissions


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an installed plugin: at the top of its folder or inside its package.

    Raises:
        QuarantineError: missing, ambiguous, or not what it should be.
    """
    found = [file for file in (folder / FILE_NAME, *sorted(folder.glob(f"*/{FILE_NAME}"))) if file.is_file()]
    if len(found) != 1:
        raise QuarantineError(f"{FILE_NAME}: found {len(found)} in the plugin's folder, there must be one")
    try:
        manifest = msgspec.convert(tomllib.loads(found[0].read_text(encoding="utf-8")), Manifest)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise QuarantineError(f"{FILE_NAME}: {error}") from error
    if not NAME.fullmatch(manifest.name):
        raise QuarantineError(f"{FILE_NAME}: name {manifest.name!r} must be lower-case letters, digits and _")
    if unknown := sorted(p for p in manifest.permissions if not _known(p)):
        raise QuarantineError(f"{FILE_NAME}: unknown permissions: {', '.join(unknown)}")
    if folder.name != f"{manifest.name}-{manifest.version}":
        raise QuarantineError(f"the folder must be called {manifest.name}-{manifest.version}")
    return manifest


def _known(permission: str) -> bool:
    if permission.startswith(_PROVIDE):
        return permission.removeprefix(_PROVIDE) in CAPABILITIES
    return permission in _PLAIN or (permission.startswith(_ROUTE) and len(permission) > len(_ROUTE))
