"""Signing a plugin's folder: Ed25519 (RFC 8032) over the list of SHA-256 digests of all its files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from appliance.plugin_host.errors import QuarantineError

SUMS: Final = "prontuario-plugin.sums"
SIGNATURE: Final = "prontuario-plugin.sig"
_DOMAIN: Final = b"prontuario plugin v1\n"
_CACHE: Final = "__pycache__"


def digest_list(folder: Path) -> bytes:
    """``<sha256>  <path>`` of every file, sorted by path; byte-code caches are left out (and removed before use).

    Raises:
        QuarantineError: a symbolic link or another thing that is not a plain file.
    """
    lines = []
    for entry in sorted(folder.rglob("*")):
        relative = entry.relative_to(folder)
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise QuarantineError(f"{relative}: only plain files are allowed")
        if entry.is_dir() or _CACHE in relative.parts or str(relative) in {SUMS, SIGNATURE}:
            continue
        with entry.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {relative.as_posix()}\n")
    return "".join(lines).encode()


def sign_folder(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the digest list and its signature into ``folder``."""
    sums = digest_list(folder)
    (folder / SUMS).write_bytes(sums)
    (folder / SIGNATURE).write_bytes(base64.b64encode(key.sign(_DOMAIN + sums)) + b"\n")


def is_signed(folder: Path) -> bool:
    """Whether it claims to be."""
    return (folder / SIGNATURE).exists()


def verify_folder(folder: Path, trusted: Iterable[Ed25519PublicKey]) -> None:
    """Every file is exactly what a trusted signer signed; nothing is missing and nothing was added.

    Raises:
        QuarantineError: the reason.
    """
    try:
        sums = (folder / SUMS).read_bytes()
        signature = base64.b64decode((folder / SIGNATURE).read_bytes().strip(), validate=True)
    except (OSError, binascii.Error) as error:
        raise QuarantineError("the signature can't be read") from error
    if not any(_signed_by(key, signature, sums) for key in trusted):
        raise QuarantineError("no trusted key made this signature")
    if digest_list(folder) != sums:
        raise QuarantineError("the files are not those that were signed")
    for cache in sorted(folder.rglob(_CACHE)):
        shutil.rmtree(cache)  # byte code is not signed and would run instead of the source


def _signed_by(key: Ed25519PublicKey, signature: bytes, sums: bytes) -> bool:
    try:
        key.verify(signature, _DOMAIN + sums)
    except InvalidSignature:
        return False
    return True


def trusted_keys(folder: Path) -> list[Ed25519PublicKey]:
    """The Ed25519 public keys in ``folder/*.pem``; other files there are ignored."""
    keys = []
    for file in sorted(folder.glob("*.pem")):
        try:
            key = load_pem_public_key(file.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(key, Ed25519PublicKey):
            keys.append(key)
    return keys
