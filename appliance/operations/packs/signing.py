"""Ed25519 (RFC 8032) signatures of packs: made on the preparing machine, checked against the keys that a hospital trusts."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs.contents import check_file, check_whole
from appliance.operations.packs.errors import KEY, UNTRUSTED
from appliance.operations.packs.manifest import PackFile, PackManifest
from appliance.operations.packs.survey import survey
from appliance.security.files import make_private_folder, write_file

_DOMAIN: Final = b"prontuario model pack v1\n"
"""A signature made for anything else with the same key is none for a pack."""
_PUBLIC_MODE: Final = 0o644


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """``name.key.pem`` (0600) and ``name.pub.pem`` in ``folder``; an existing pair is never overwritten.

    Raises:
        FileExistsError: one of them exists.
    """
    private, public = folder / f"{name}.key.pem", folder / f"{name}.pub.pem"
    for path in (private, public):
        if path.exists():
            raise FileExistsError(path)
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    write_file(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_file(public, pem_of(key.public_key()), _PUBLIC_MODE)
    return private, public


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises ``pack.key`` (422)."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise KEY(file=path.name) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KEY(file=path.name)
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Raises ``pack.key`` (422)."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KEY(file=path.name) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KEY(file=path.name)
    return key


def pem_of(key: Ed25519PublicKey) -> bytes:
    """As it is kept: just the key that was read, whatever else a stick shows when it is read again."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> str:
    """How people compare a key over the telephone: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def trust(keys: Path, file: Path) -> str:
    """From now on packs signed by this public key are taken; its ``key_id``. Raises ``pack.key`` (422)."""
    key = read_public_key(file)
    make_private_folder(keys)
    # Whole or not at all, since half a key stops every pack; and root follows no link that the node's own user put there.
    write_file(keys / f"{key_id(key)}.pem", pem_of(key), _PUBLIC_MODE)
    return key_id(key)


def trusted_keys(keys: Path) -> list[Ed25519PublicKey]:
    """Every public key in ``keys/*.pem``. Raises ``pack.key`` (422): a damaged one must not go unnoticed."""
    return [read_public_key(path) for path in sorted(keys.glob("*.pem"))]


def sign(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature file of a manifest."""
    return base64.b64encode(key.sign(_DOMAIN + content)) + b"\n"


def verify(content: bytes, signature: bytes, trusted: Sequence[Ed25519PublicKey]) -> PackManifest:
    """The manifest, once a trusted key is seen to have signed these very bytes.

    Raises:
        ProntuarioError: ``pack.untrusted``, ``pack.manifest`` or ``pack.path`` (422).
    """
    signer(content, signature, trusted)
    return manifests.decode(content)


def signer(content: bytes, signature: bytes, trusted: Sequence[Ed25519PublicKey]) -> str:
    """``key_id`` of the trusted key that signed these very bytes. Raises ``pack.untrusted`` (422)."""
    try:
        value = base64.b64decode(signature.strip(), validate=True)
    except binascii.Error as error:
        raise UNTRUSTED() from error
    for key in trusted:
        if _signed_by(key, value, content):
            return key_id(key)
    raise UNTRUSTED()


def _signed_by(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, _DOMAIN + content)
    except InvalidSignature:
        return False
    return True


def make_pack(
    folder: Path,
    key: Ed25519PrivateKey,
    *,
    name: str,
    version: int,
    capability: str,
    licence: str,
    intended_use: str,
    footprint_bytes: int,
) -> PackManifest:
    """Look at every file of a Hugging Face style folder, then write manifest and signature into it. Blocks.

    Raises:
        ProntuarioError: the folder would be refused at import; nothing is written then.
    """
    files = []
    for relative, path in survey(folder).items():
        check_file(path, relative)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(PackFile(relative, path.stat().st_size, sha256))
    manifest = PackManifest(
        name=name, version=version, capability=capability, licence=licence, intended_use=intended_use,
        footprint_bytes=footprint_bytes, files=tuple(files),
    )  # fmt: skip
    content = manifests.encode(manifest)
    check_whole(folder, manifest)
    write_file(folder / manifests.MANIFEST_NAME, content, _PUBLIC_MODE)
    write_file(folder / manifests.SIGNATURE_NAME, sign(content, key), _PUBLIC_MODE)
    return manifest
