"""X.509 (RFC 5280) as this house makes it: every name and extension is ours, nothing is taken from a request."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.security.errors import CSR_REFUSED

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
BACKDATE: Final = timedelta(minutes=5)
"""A phone whose clock is a little behind must not refuse a fresh certificate."""
DEVICE_URI_PREFIX: Final = "urn:prontuario:device:"
MAX_CSR_BYTES: Final = 8192
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336)."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when (aware UTC)."""

    start: datetime
    end: datetime


def validity(now: datetime, days: int) -> Validity:
    """``days`` from now, dated back a little."""
    return Validity(now - BACKDATE, now - BACKDATE + timedelta(days=days))


def make_authority(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *,
    path_length: int, valid: Validity,
) -> x509.Certificate:  # fmt: skip
    """A CA certificate; self-signed when ``issuer_key`` is ``key``."""
    builder = _builder(name, issuer, key.public_key(), issuer_key, valid)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(authority=True), critical=True)
    return builder.sign(issuer_key, _digest(issuer_key))


def make_server(
    names: Sequence[str], key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey,
    valid: Validity,
) -> x509.Certificate:  # fmt: skip
    """A TLS server certificate for ``names`` (DNS names and IP addresses)."""
    builder = _builder(names[0], issuer, key.public_key(), issuer_key, valid)
    builder = _leaf(builder, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName(list(general_names(names))), critical=False)
    return builder.sign(issuer_key, _digest(issuer_key))


def make_node(
    names: Sequence[str], key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey,
    valid: Validity,
) -> x509.Certificate:  # fmt: skip
    """A certificate with which a node both serves and calls its like; ``names[0]`` is the node's own name."""
    builder = _builder(names[0], issuer, key.public_key(), issuer_key, valid)
    builder = _leaf(builder, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName(list(general_names(names))), critical=False)
    return builder.sign(issuer_key, _digest(issuer_key))


def make_device(
    device_id: str, key: PublicKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, valid: Validity
) -> x509.Certificate:
    """A TLS client certificate whose only name is the device's id."""
    builder = _leaf(_builder(device_id, issuer, key, issuer_key, valid), ExtendedKeyUsageOID.CLIENT_AUTH)
    uri = x509.UniformResourceIdentifier(DEVICE_URI_PREFIX + device_id)
    return builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False).sign(
        issuer_key, _digest(issuer_key)
    )


def make_signer(
    node: str, key: PublicKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, valid: Validity
) -> x509.Certificate:
    """A certificate under which a node signs reports; it opens no connection, for it names no such use (RFC 9336)."""
    builder = _leaf(_builder(node, issuer, key, issuer_key, valid), DOCUMENT_SIGNING)
    return builder.sign(issuer_key, _digest(issuer_key))


def read_csr(data: bytes) -> PublicKey:
    """The public key of a PKCS#10 request (PEM or DER), once it proved to hold the private half. All else is ignored.

    Raises:
        ProntuarioError: ``enrolment.csr`` 422 with the reason.
    """
    if len(data) > MAX_CSR_BYTES:
        raise CSR_REFUSED(field="csr", reason="too large")
    try:
        load = x509.load_pem_x509_csr if data.lstrip().startswith(b"-----") else x509.load_der_x509_csr
        request = load(data)
        key = request.public_key()
        proven = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CSR_REFUSED(field="csr", reason="not a PKCS#10 request") from error
    if not proven:
        raise CSR_REFUSED(field="csr", reason="its signature does not match its key")
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    raise CSR_REFUSED(field="csr", reason="only P-256, P-384 and Ed25519 keys")


def general_names(names: Iterable[str]) -> Iterable[x509.GeneralName]:
    """DNS names and IP addresses as SAN entries."""
    for name in names:
        try:
            yield x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            yield x509.DNSName(name)


def names_in(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names and IP addresses that a server certificate carries."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in names)


def fingerprint(certificate_der: bytes) -> bytes:
    """SHA-256 of the DER: what tokens are bound to (RFC 8705 §3.1)."""
    return hashlib.sha256(certificate_der).digest()


def spki_sha256(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo: the pin in the QR code (RFC 7469 §2.4)."""
    return hashlib.sha256(public_bytes(certificate.public_key())).digest()


def public_bytes(key: object) -> bytes:
    """SubjectPublicKeyInfo, DER; equal for equal keys."""
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise TypeError("unexpected kind of key")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def to_pem(*certificates: x509.Certificate) -> bytes:
    """A chain, leaf first."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def _leaf(builder: x509.CertificateBuilder, *uses: x509.ObjectIdentifier) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)


def _builder(
    name: str, issuer: str, key: PublicKey, issuer_key: ec.EllipticCurvePrivateKey, valid: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(common_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid.start)
        .not_valid_after(valid.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def common_name(name: str) -> x509.Name:
    """A subject of one common name (at most 64 characters, RFC 5280 A.1)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _digest(key: ec.EllipticCurvePrivateKey) -> hashes.SHA256 | hashes.SHA384:
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()
