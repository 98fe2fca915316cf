"""Signatures over the table of contents: RSA as the installer demands, CMS (RFC 5652) beside it, and their verification."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from flatpkg.cms import verify_cms
from flatpkg.errors import PackageError
from flatpkg.xar import CHECKSUM_BYTES
from flatpkg.xar_read import Archive

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  the format's
_LEAST_BITS: Final = 2048


class Signer:
    """Signs with ``key``; ``chain`` begins with its certificate and ends below (or with) the root."""

    def __init__(self, key: rsa.RSAPrivateKey, chain: Sequence[x509.Certificate]) -> None:
        """Raises ``PackageError`` when the first certificate is not the key's, or the key is too short."""
        if not chain or chain[0].public_key() != key.public_key():
            raise PackageError("the first certificate of the chain must belong to the signing key")
        if key.key_size < _LEAST_BITS:
            raise PackageError(f"a signing key needs at least {_LEAST_BITS} bits")
        self._key = key
        self.chain = tuple(chain)
        self.rsa_bytes = key.key_size // 8
        self.cms_bytes = len(self.cms(bytes(CHECKSUM_BYTES)))

    def rsa(self, digest: bytes) -> bytes:
        """PKCS #1 v1.5 over the SHA-1 digest of the compressed table."""
        return self._key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))  # noqa: S303

    def cms(self, digest: bytes) -> bytes:
        """A detached CMS structure over the digest's bytes, SHA-256 inside. Its length does not depend on the digest."""
        builder = pkcs7.PKCS7SignatureBuilder().set_data(digest).add_signer(self.chain[0], self._key, hashes.SHA256())
        for certificate in self.chain[1:]:
            builder = builder.add_certificate(certificate)
        options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]
        return builder.sign(Encoding.DER, options)


def verify_package(path: Path, root: x509.Certificate, *, now: datetime | None = None) -> str:
    """Prove every byte of a signed package back to ``root``; returns the signer's name (RFC 4514).

    Raises:
        PackageError: unsigned, altered, signed by somebody else, or a certificate out of its time.
    """
    with Archive(path) as archive:
        signature = archive.signatures.get("RSA")
        if signature is None or not signature.certificates:
            raise PackageError("the package is not signed")
        signer = signature.certificates[0]
        key = signer.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _LEAST_BITS:
            raise PackageError("the signer's key is not RSA of 2048 bits or more")
        try:
            key.verify(
                signature.value, archive.digest, padding.PKCS1v15(), utils.Prehashed(_HASHES[archive.digest_name])
            )
        except InvalidSignature:
            raise PackageError("the signature does not fit the package") from None
        _verify_cms(archive, signature.certificates)
        _verify_chain(signature.certificates, root, now or datetime.now(UTC))
        archive.check()
        return signer.subject.rfc4514_string()


def _verify_cms(archive: Archive, chain: Sequence[x509.Certificate]) -> None:
    """The second signature, where there is one, must hold too and come from the same signer."""
    second = archive.signatures.get("CMS")
    if second is None:
        return
    if second.certificates != tuple(chain):
        raise PackageError("the two signatures name different signers")
    verify_cms(second.value, archive.digest, chain)


def _verify_chain(chain: Sequence[x509.Certificate], root: x509.Certificate, now: datetime) -> None:
    last = chain[-1]
    whole = chain if last == root else (*chain, root)
    for certificate in whole:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise PackageError(f"the certificate of {certificate.subject.rfc4514_string()} is out of its time")
    for certificate, issuer in pairwise(whole):
        if not _is_authority(issuer):
            raise PackageError(f"{issuer.subject.rfc4514_string()} may not issue certificates")
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise PackageError("the signer's certificate does not lead to the trusted root") from None


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
