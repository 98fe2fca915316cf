"""A small payload and a test authority, made new for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

FROM = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    root: x509.Certificate
    chain: Sequence[x509.Certificate]
    key: rsa.RSAPrivateKey


def certificate(
    name: str, key: rsa.RSAPrivateKey, issuer: tuple[str, rsa.RSAPrivateKey], *, authority: bool, days: int = 3650
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer[0]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(FROM + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(issuer[1], hashes.SHA256())
    )


def make_authority(name: str = "Prova", *, days: int = 3650) -> Authority:
    root_key, middle_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    root = certificate(f"{name} Root", root_key, (f"{name} Root", root_key), authority=True)
    middle = certificate(f"{name} CA", middle_key, (f"{name} Root", root_key), authority=True)
    leaf = certificate(f"{name} Installer", key, (f"{name} CA", middle_key), authority=False, days=days)
    return Authority(root, (leaf, middle), key)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return make_authority()


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A tree with what a real one has: folders, programs, links, an empty file, accents, more files than one BOM leaf holds."""
    root = tmp_path / "payload"
    version = root / "Library" / "Prontuário" / "versions" / "1.2.3"
    (version / "bin").mkdir(parents=True)
    program = version / "bin" / "prontuario"
    program.write_text("#!/bin/sh\necho oi\n")
    program.chmod(0o755)
    (version / "bin" / "pront").symlink_to("prontuario")
    (version / "empty").touch()
    many = version / "lib" / "many"
    many.mkdir(parents=True)
    for number in range(700):
        (many / f"m{number:04}.py").write_text(f"x = {number}\n" * (number % 7))
    return root


@pytest.fixture
def flipped() -> Callable[[Path, int], Path]:
    """A copy of a file with one bit turned over."""

    def flip(path: Path, offset: int) -> Path:
        data = bytearray(path.read_bytes())
        data[offset] ^= 1
        copy = path.with_suffix(f".flipped-{offset}")
        copy.write_bytes(data)
        return copy

    return flip
