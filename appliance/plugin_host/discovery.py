"""Finding plugins: our own through entry points, others in the node's home. Nothing is imported here."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from appliance.plugin_api.hooks import ENTRY_POINT_GROUP
from appliance.plugin_host.admission import TRUSTED, admit, import_from, newest_first, plugin_folders
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.manifest import Manifest
from appliance.plugin_host.signature import trusted_keys

OUR_DISTRIBUTION: Final = "prontuario"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugin that was found. ``obstacle`` says why it can't even be imported; ``superseded`` that a newer one is there."""

    name: str
    version: str
    first_party: bool
    load: Callable[[], Any]
    manifest: Manifest | None = None
    obstacle: str = ""
    superseded: bool = False


def discover(root: Path, *, development: bool) -> list[Candidate]:
    """Every plugin of this node, ours first; ``root`` is ``<home>/plugins``."""
    return [*_installed(development=development), *_in_home(root, development=development)]


def from_entry_points(entries: Iterable[importlib.metadata.EntryPoint], *, development: bool) -> list[Candidate]:
    """Candidates of the environment that the appliance itself runs in."""
    found = []
    for entry in sorted(entries, key=lambda e: (_distribution(e) != OUR_DISTRIBUTION, e.name)):
        ours = _distribution(entry) == OUR_DISTRIBUTION
        allowed = ours or development
        obstacle = "" if allowed else "it lies in the appliance's own environment; install it below <home>/plugins"
        version = entry.dist.version if entry.dist is not None else ""
        found.append(Candidate(entry.name, version, ours, entry.load, obstacle=obstacle))
    return found


def _installed(*, development: bool) -> list[Candidate]:
    return from_entry_points(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), development=development)


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else ""


def _in_home(root: Path, *, development: bool) -> list[Candidate]:
    trusted = trusted_keys(root / TRUSTED)
    found: list[Candidate] = []
    seen: set[str] = set()
    for folder in sorted(plugin_folders(root), key=lambda f: (f.name.rpartition("-")[0], newest_first(f))):
        name, _, version = folder.name.rpartition("-")
        load = partial(import_from, folder, name)
        try:
            manifest, obstacle = admit(folder, trusted=trusted, development=development), ""
        except QuarantineError as error:
            manifest, obstacle = None, str(error)
        found.append(Candidate(name or folder.name, version, False, load, manifest, obstacle, name in seen))
        seen.add(name)
    return found
