"""The node's own certificate authority: a root that clients pin, a CA for devices, and the server's certificate.

Every file is written whole or not at all, key before certificate. What an interrupted ``init`` left is completed at the next
start; a certificate whose key is gone can't be repaired and is told, never replaced silently (the phones pin the root).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from appliance.config.model import Config, Paths
from appliance.security import certificates, files
from appliance.security.errors import AUTHORITY_BROKEN
from appliance.telemetry.logs import get_logger

ROOT_DAYS: Final = 3652
DEVICE_AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 398
"""What Apple's TLS accepts at most."""
SIGNER_DAYS: Final = 1
RENEW_BEFORE: Final = timedelta(days=30)
_ROOT_NAME: Final = "Prontuario Root"
_DEVICE_NAME: Final = "Prontuario Device CA"
_log = get_logger("authority")


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A device's new certificate: the PEM chain (leaf, device CA), what identifies it, and its end (aware UTC)."""

    chain_pem: str
    fingerprint: bytes
    serial: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key and the certificate over it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Authority:
    """Opened by ``Authority.open``. Signing is pure computation (0.2 ms): fine inside a transaction."""

    def __init__(self, paths: Paths, device_days: int, root: KeyPair, devices: KeyPair) -> None:
        self._paths = paths
        self._device_days = device_days
        self._root = root
        self._devices = devices

    @classmethod
    def open(cls, paths: Paths, config: Config, now: datetime) -> Authority:
        """Load the authority, making or completing what is missing, and renew the server certificate if it is time.

        Raises:
            ProntuarioError: ``authority.broken`` when a key is lost or does not fit its certificate.
        """
        files.make_private_folder(paths.secrets)
        with files.exclusive(paths.secrets):
            if files.remove_half_written(paths.secrets):
                _log.warning("removed half-written secret files")
            root = load_or_make(paths.secrets, "root", _ROOT_NAME, None, now)
            devices = load_or_make(paths.secrets, "device-ca", _DEVICE_NAME, root, now)
            authority = cls(paths, config.security.device_certificate_days, root, devices)
            authority.renew_server(server_names(config), now)
            authority._publish()
        return authority

    @property
    def root_pem(self) -> bytes:
        """What clients trust."""
        return certificates.to_pem(self._root.certificate)

    @property
    def server_certificate(self) -> Path:
        """PEM chain for ``ssl.SSLContext.load_cert_chain``."""
        return self._paths.secrets / "server.pem"

    @property
    def server_key(self) -> Path:
        """PEM private key of the server."""
        return self._paths.secrets / "server.key"

    @property
    def client_authorities(self) -> Path:
        """PEM file for ``load_verify_locations``: the device CA and the root above it."""
        return self._paths.secrets / "clients.pem"

    @property
    def pin(self) -> str:
        """base64url SHA-256 of the root's public key: the QR code carries it, so the first contact is already safe."""
        return base64.urlsafe_b64encode(certificates.spki_sha256(self._root.certificate)).decode().rstrip("=")

    def issue_device_certificate(self, csr: bytes, device_id: str, now: datetime) -> IssuedCertificate:
        """A client certificate for the key in ``csr`` (PEM or DER PKCS#10); names and extensions are the CA's own.

        Raises:
            ProntuarioError: ``enrolment.csr`` 422.
        """
        key = certificates.read_csr(csr)
        valid = certificates.validity(now, self._device_days)
        leaf = certificates.make_device(device_id, key, _DEVICE_NAME, self._devices.key, valid)
        return IssuedCertificate(
            chain_pem=certificates.to_pem(leaf, self._devices.certificate).decode(),
            fingerprint=certificates.fingerprint(leaf.public_bytes(serialization.Encoding.DER)),
            serial=format(leaf.serial_number, "x"),
            not_after=valid.end,
        )

    def certify_signer(self, node: str, public_key: bytes, now: datetime) -> bytes:
        """A certificate (PEM) over a node's Ed25519 key (32 bytes), under the root that clients trust: for signed reports.

        It is made for each report and lies in it; so it never has to be renewed, and speaks for the moment of signing.
        """
        key = ed25519.Ed25519PublicKey.from_public_bytes(public_key)
        valid = certificates.validity(now, SIGNER_DAYS)
        return certificates.to_pem(certificates.make_signer(node, key, _ROOT_NAME, self._root.key, valid))

    def renew_server(self, names: Sequence[str], now: datetime) -> bool:
        """Make a new server certificate if there is none, its names differ, or it ends soon; whether one was made."""
        if still_good(self.server_certificate, self.server_key, self._root.certificate, names, now):
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        valid = certificates.validity(now, SERVER_DAYS)
        certificate = certificates.make_server(names, key, _ROOT_NAME, self._root.key, valid)
        files.write_file(self.server_key, key_pem(key))
        files.write_file(self.server_certificate, certificates.to_pem(certificate))
        _log.info("made a server certificate")
        return True

    def _publish(self) -> None:
        clients = certificates.to_pem(self._devices.certificate, self._root.certificate)
        for path, content, mode in (
            (self._paths.ca, self.root_pem, 0o644),
            (self.client_authorities, clients, files.PRIVATE_FILE),
        ):
            if not path.exists() or path.read_bytes() != content:
                files.write_file(path, content, mode)


def server_names(config: Config) -> tuple[str, ...]:
    """The names that the server certificate must carry: this node's, and those of the pair that clients reach."""
    pair = (*config.cluster.vip_addresses, config.cluster.client_address.rpartition(":")[0].strip("[]"))
    wanted = (*config.api.names, config.api.host, config.node.name, *pair)
    usable = (name for name in wanted if name and name not in {"0.0.0.0", "::"} and name.isascii() and " " not in name)  # noqa: S104  compared, not bound
    return tuple(dict.fromkeys(usable))


def load_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate of a PEM file; None when it is missing or unreadable."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def load_or_make(folder: Path, name: str, common_name: str, issuer: KeyPair | None, now: datetime) -> KeyPair:
    """The authority ``name`` of ``folder``: made whole on first use, completed when its certificate is missing.

    Raises:
        ProntuarioError: ``authority.broken`` when its key is lost or does not fit.
    """
    key_path, certificate_path = folder / f"{name}.key", folder / f"{name}.pem"
    if not key_path.exists() and certificate_path.exists():
        raise AUTHORITY_BROKEN(reason=f"{name}.key is missing")
    if not key_path.exists():
        files.write_file(key_path, key_pem(ec.generate_private_key(ec.SECP256R1() if issuer else ec.SECP384R1())))
    key = load_key(key_path)
    if key is None:
        raise AUTHORITY_BROKEN(reason=f"{name}.key is unreadable")
    if not certificate_path.exists():
        # Same key and name: whatever was signed or pinned before stays valid.
        issued_by, issuer_key = (_ROOT_NAME, issuer.key) if issuer else (common_name, key)
        days, depth = (DEVICE_AUTHORITY_DAYS, 0) if issuer else (ROOT_DAYS, 1)
        made = certificates.make_authority(
            common_name, key, issued_by, issuer_key, path_length=depth, valid=certificates.validity(now, days)
        )
        files.write_file(certificate_path, certificates.to_pem(made))
    certificate = load_certificate(certificate_path)
    if certificate is None:
        raise AUTHORITY_BROKEN(reason=f"{name}.pem is unreadable")
    if not _belong_together(key, certificate):
        raise AUTHORITY_BROKEN(reason=f"{name}.key does not fit {name}.pem")
    return KeyPair(key, certificate)


def load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    """The EC private key of a PEM file; None when it is missing or unreadable."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def still_good(
    certificate_path: Path, key_path: Path, root: x509.Certificate, names: Sequence[str], now: datetime
) -> bool:
    """Whether the leaf is there with its key, signed by ``root``, for exactly ``names``, and not about to end."""
    certificate, key = load_certificate(certificate_path), load_key(key_path)
    if certificate is None or key is None or not _belong_together(key, certificate):
        return False
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, x509.InvalidVersion):
        return False
    in_time = certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE
    wanted = frozenset(str(name.value) for name in certificates.general_names(names))
    return in_time and certificates.names_in(certificate) == wanted


def _belong_together(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bool:
    return certificates.public_bytes(key.public_key()) == certificates.public_bytes(certificate.public_key())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#8, unencrypted: for a file that only its owner reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
