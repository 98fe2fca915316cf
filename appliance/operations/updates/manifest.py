"""What an update says of itself: version, from which one it may come, its migrations, and each part's files with their SHA-256.

``prontuario-update.json`` lies in the bundle's folder beside its signature; the signature covers its bytes as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from appliance.operations.packs.manifest import check_path, is_name
from appliance.operations.updates.errors import MANIFEST, UNSIGNED

MANIFEST_NAME: Final = "prontuario-update.json"
SIGNATURE_NAME: Final = "prontuario-update.sig"
FORMAT: Final = 1
PACKAGE: Final = "package"
TABLE: Final = "table"
PACK: Final = "pack"
_MOST_BYTES: Final = 8 << 20
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_FINISHED: Final = "~"
"""Sorts behind ``a``, ``b`` and ``rc``: 1.2.0rc1 comes before 1.2.0."""


class UpdateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its path below the bundle's folder with ``/``, its size in bytes, its SHA-256 in lower-case hex."""

    path: str
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``package``: the program, one file. ``table``: one file for a plugin, ``name`` is ``<plugin>/<path below its data>``.

    ``pack``: a signed model pack, ``name`` is ``<name>-<version>`` and ``capability`` what it serves.
    """

    kind: Literal["package", "table", "pack"]
    name: str
    capability: str = ""
    files: tuple[UpdateFile, ...]


class SchemaStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One migration of the new program: see ``appliance.store.migrate.Migration``."""

    number: int
    readable_by: int
    checksum: str


class UpdateManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``version`` only grows; ``from_version`` is the oldest from which this one may come; the notes are for people.

    ``installed_bytes``: what the program takes on the disk once it is laid down.
    """

    format: int = FORMAT
    version: str
    from_version: str
    made: str
    notes_pt: str
    notes_en: str
    installed_bytes: int
    schema: tuple[SchemaStep, ...]
    parts: tuple[Part, ...]

    @property
    def package(self) -> UpdateFile:
        """The program's one file."""
        return next(part.files[0] for part in self.parts if part.kind == PACKAGE)

    def of_kind(self, kind: str) -> list[Part]:
        """The parts of one kind."""
        return [part for part in self.parts if part.kind == kind]

    def files(self) -> Iterator[UpdateFile]:
        """Every file of every part."""
        for part in self.parts:
            yield from part.files

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files())


def order(version: str) -> tuple[int, int, int, str, int]:
    """By this versions are compared. Raises ``update.manifest`` (422)."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise MANIFEST(reason=f"{version!r} is no version")
    major, minor, patch, stage, number = found.groups()
    return int(major), int(minor), int(patch), stage or _FINISHED, int(number or 0)


def encode(manifest: UpdateManifest) -> bytes:
    """As it is signed and written. Raises ``update.manifest`` or ``pack.path`` (422)."""
    check(manifest)
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(content: bytes) -> UpdateManifest:
    """Raises ``update.manifest`` or ``pack.path`` (422)."""
    try:
        manifest = msgspec.json.decode(content, type=UpdateManifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MANIFEST(reason=str(error)) from error
    check(manifest)
    return manifest


def check(manifest: UpdateManifest) -> None:
    """Every field makes sense by itself. Raises ``update.manifest`` or ``pack.path`` (422)."""
    numbers = [step.number for step in manifest.schema]
    wrong = [
        reason
        for reason, bad in (
            (f"format {manifest.format}, this node reads {FORMAT}", manifest.format != FORMAT),
            ("from_version is not older", order(manifest.from_version) >= order(manifest.version)),
            ("installed_bytes must be 1 or more", manifest.installed_bytes < 1),
            ("schema is not in order", not numbers or numbers != sorted(set(numbers))),
            ("it has to carry exactly one program", len(manifest.of_kind(PACKAGE)) != 1),
            ("a part is named twice", len({(p.kind, p.name) for p in manifest.parts}) != len(manifest.parts)),
        )
        if bad
    ]
    if wrong:
        raise MANIFEST(reason="; ".join(wrong))
    for part in manifest.parts:
        _check_part(part, manifest.version)
    seen: set[str] = set()
    for file in manifest.files():
        check_path(file.path)
        if file.size < 0 or not _SHA256.fullmatch(file.sha256):
            raise MANIFEST(reason=f"size or sha256 of {file.path}")
        if file.path.casefold() in seen or file.path.casefold() in {MANIFEST_NAME, SIGNATURE_NAME}:
            raise MANIFEST(reason=f"{file.path} is listed twice")
        seen.add(file.path.casefold())


def _check_part(part: Part, version: str) -> None:
    if not part.files or (part.kind != PACK and len(part.files) != 1):
        raise MANIFEST(reason=f"the files of {part.name}")
    if part.kind == PACKAGE and part.name != version:
        raise MANIFEST(reason=f"its program is {part.name}, not {version}")
    if part.kind == TABLE:
        check_path(part.name)
        if "/" not in part.name:
            raise MANIFEST(reason=f"the table {part.name} names no plugin")
    if part.kind == PACK and not (is_name(part.name) and is_name(part.capability)):
        raise MANIFEST(reason=f"the name of the pack {part.name}")
    if part.kind == PACK and not all(file.path.startswith(f"packs/{part.name}/") for file in part.files):
        raise MANIFEST(reason=f"a file of {part.name} lies elsewhere")


def read_raw(folder: Path) -> tuple[bytes, bytes]:
    """(manifest, signature) as bytes; nothing is believed yet. Raises ``update.unsigned``, ``update.manifest`` (422)."""
    found = []
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise UNSIGNED(file=name)
        if path.stat().st_size > _MOST_BYTES:
            raise MANIFEST(reason=f"{name} is larger than {_MOST_BYTES} bytes")
        found.append(path.read_bytes())
    return found[0], found[1]


def digest(content: bytes) -> str:
    """By this a bundle is told from another: the first 32 hex digits of its manifest's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]
