"""What keys and certificates a node has, told without telling any secret."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256


class CertificateRow(msgspec.Struct, frozen=True):
    """A certificate: whose, by whom, until when, its SHA-256 and that of its public key (hex)."""

    file: str
    subject: str
    issuer: str
    not_before: str
    not_after: str
    serial: str
    sha256: str
    public_key_sha256: str


class KeyRow(msgspec.Struct, frozen=True):
    """A file with a secret: its mode, and what is known of the key without opening it."""

    file: str
    mode: str
    bytes: int
    kind: str


class Inventory(msgspec.Struct, frozen=True):
    """Everything in the secrets folder, by name."""

    certificates: tuple[CertificateRow, ...]
    keys: tuple[KeyRow, ...]


def inventory(secrets: Path) -> Inventory:
    """Look; blocks. Raises ``OSError`` when the folder can't be read."""
    certificates: list[CertificateRow] = []
    keys: list[KeyRow] = []
    for path in sorted(secrets.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".pem" and b"CERTIFICATE" in content:
            certificates += [_certificate(path.name, one) for one in x509.load_pem_x509_certificates(content)]
        else:
            facts = path.stat()
            keys.append(KeyRow(path.name, f"{facts.st_mode & 0o777:04o}", facts.st_size, _kind(path.name, content)))
    return Inventory(tuple(certificates), tuple(keys))


def _certificate(name: str, found: x509.Certificate) -> CertificateRow:
    spki = found.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    from hashlib import sha256

    return CertificateRow(
        name, found.subject.rfc4514_string(), found.issuer.rfc4514_string(), found.not_valid_before_utc.isoformat(),
        found.not_valid_after_utc.isoformat(), format(found.serial_number, "x"), found.fingerprint(SHA256()).hex(),
        sha256(spki).hexdigest(),
    )  # fmt: skip


def _kind(name: str, content: bytes) -> str:
    if content.startswith(b"-----BEGIN"):
        return "PEM private key"
    return "wrapped master key" if name == "master.json" else "sealed or raw key"
