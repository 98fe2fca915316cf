"""What a pack says of itself: name, version, capability, licence, intended use, memory, and the SHA-256 of each file.

``prontuario-pack.json`` lies in the pack's folder beside its signature; the signature covers its bytes as they are.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from appliance.operations.packs.errors import MANIFEST, PATH, UNSIGNED
from appliance.plugin_api.capabilities import CAPABILITIES

MANIFEST_NAME: Final = "prontuario-pack.json"
SIGNATURE_NAME: Final = "prontuario-pack.sig"
OWN_FILES: Final = frozenset({MANIFEST_NAME, SIGNATURE_NAME})
FORMAT: Final = 1
MOST_BYTES: Final = 4 << 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
_LONGEST_NAME: Final = 64
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class PackFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: its path below the pack's folder with ``/``, its size in bytes, its SHA-256 in lower-case hex."""

    path: str
    size: int
    sha256: str


class PackManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``version`` only grows; ``licence`` and ``intended_use`` are texts for people; ``footprint_bytes`` in memory."""

    format: int = FORMAT
    name: str
    version: int
    capability: str
    licence: str
    intended_use: str
    footprint_bytes: int
    files: tuple[PackFile, ...]

    @property
    def pack(self) -> str:
        """The pack's name on this node: ``<name>-<version>``."""
        return f"{self.name}-{self.version}"

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files)


def encode(manifest: PackManifest) -> bytes:
    """As it is signed and written."""
    check(manifest)
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(content: bytes) -> PackManifest:
    """Raises ``pack.manifest`` or ``pack.path`` (422)."""
    try:
        manifest = msgspec.json.decode(content, type=PackManifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MANIFEST(reason=str(error)) from error
    check(manifest)
    return manifest


def check(manifest: PackManifest) -> None:
    """Every field makes sense by itself. Raises ``pack.manifest`` or ``pack.path`` (422)."""
    wrong = [
        reason
        for reason, bad in (
            (f"format {manifest.format}, this node reads {FORMAT}", manifest.format != FORMAT),
            ("name: lower-case letters, digits, . _ -", not is_name(manifest.name)),
            ("version must be 1 or more", manifest.version < 1),
            (f"unknown capability {manifest.capability}", manifest.capability not in CAPABILITIES),
            ("licence is empty", not manifest.licence.strip()),
            ("intended_use is empty", not manifest.intended_use.strip()),
            ("footprint_bytes must be 1 or more", manifest.footprint_bytes < 1),
            ("it lists no file", not manifest.files),
        )
        if bad
    ]
    if wrong:
        raise MANIFEST(reason="; ".join(wrong))
    seen: set[str] = set()
    for file in manifest.files:
        check_path(file.path)
        if file.size < 0 or not _SHA256.fullmatch(file.sha256):
            raise MANIFEST(reason=f"size or sha256 of {file.path}")
        if file.path.casefold() in seen:  # two names that are one on a Mac's disk
            raise PATH(file=file.path, reason="listed twice")
        seen.add(file.path.casefold())


def is_name(name: str) -> bool:
    """Whether it can be the name of a pack, or of a pack with its version."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def check_path(path: str) -> None:
    """It stays inside the folder and means the same everywhere. Raises ``pack.path`` (422)."""
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or path.startswith("/"):
        raise PATH(file=path, reason="not a plain relative path")
    if ".." in parts:
        raise PATH(file=path, reason="leads out of the folder")
    if any(part.startswith(".") for part in parts):
        raise PATH(file=path, reason="hidden")
    if path.casefold() in OWN_FILES or "\\" in path or not path.isprintable():
        raise PATH(file=path, reason="reserved name or character")


def read_raw(folder: Path) -> tuple[bytes, bytes]:
    """(manifest, signature) as bytes; nothing is believed yet.

    Raises:
        ProntuarioError: ``pack.unsigned``, ``pack.manifest`` or ``pack.path`` (422).
    """
    found = []
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        path = folder / name
        if path.is_symlink():
            raise PATH(file=name, reason="symbolic link")
        if not path.is_file():
            raise UNSIGNED(file=name)
        if path.stat().st_size > MOST_BYTES:
            raise MANIFEST(reason=f"{name} is larger than {MOST_BYTES} bytes")
        found.append(path.read_bytes())
    return found[0], found[1]


def digest(content: bytes) -> str:
    """The SHA-256 by which a manifest is told from another."""
    return hashlib.sha256(content).hexdigest()
