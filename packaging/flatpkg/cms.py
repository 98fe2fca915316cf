"""Verifying a detached CMS signature (RFC 5652 §5) of the one shape that we and ``productsign`` write, field by field.

Nothing is skipped: whatever is not the expected DER is refused, so that no bit of the structure can be turned over unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from flatpkg.errors import PackageError

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OCTETS: Final = 0x04
_TAGGED_0: Final = 0xA0
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_MESSAGE_DIGEST: Final = bytes.fromhex("06092a864886f70d010904")
_SHA256: Final = (bytes.fromhex("0609608648016503040201"), bytes.fromhex("06096086480165030402010500"))
_RSA: Final = (bytes.fromhex("06092a864886f70d0101010500"), bytes.fromhex("06092a864886f70d01010b0500"))
_VERSION_1: Final = bytes.fromhex("020101")
_LONG_FORM: Final = 0x80


def verify_cms(structure: bytes, content: bytes, chain: Sequence[x509.Certificate]) -> None:
    """Prove that ``structure`` is a signature over ``content`` by the first certificate of ``chain`` and carries just that chain.

    Raises:
        PackageError: it is not.
    """
    try:
        _verify(structure, content, chain)
    except (ValueError, IndexError, InvalidSignature) as error:
        raise PackageError("the CMS signature does not fit the package") from error


def _verify(structure: bytes, content: bytes, chain: Sequence[x509.Certificate]) -> None:
    outer = _Fields(_only(structure, _SEQUENCE))
    outer.expect(_SIGNED_DATA)
    signed = _Fields(_only(outer.take(_TAGGED_0), _SEQUENCE))
    outer.end()
    signed.expect(_VERSION_1)
    if _only(signed.take(_SET), _SEQUENCE) not in _SHA256 or signed.take(_SEQUENCE) != _DATA:
        raise ValueError
    carried = sorted(_whole(signed.take(_TAGGED_0)))
    if carried != sorted(certificate.public_bytes(Encoding.DER) for certificate in chain):
        raise ValueError
    _verify_signer(_only(signed.take(_SET), _SEQUENCE), content, chain[0])
    signed.end()


def _verify_signer(signer_info: bytes, content: bytes, signer: x509.Certificate) -> None:
    fields = _Fields(signer_info)
    fields.expect(_VERSION_1)
    if fields.take(_SEQUENCE) != signer.issuer.public_bytes() + _integer(signer.serial_number):
        raise ValueError
    if fields.take(_SEQUENCE) not in _SHA256:
        raise ValueError
    attributes = fields.take(_TAGGED_0)
    digest = _encode(_OCTETS, hashlib.sha256(content).digest())
    if _encode(_SEQUENCE, _MESSAGE_DIGEST + _encode(_SET, digest)) not in list(_whole(attributes)):
        raise ValueError
    if fields.take(_SEQUENCE) not in _RSA:
        raise ValueError
    key = signer.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError  # noqa: TRY004  one kind of refusal for whatever is unexpected
    key.verify(fields.take(_OCTETS), _encode(_SET, attributes), padding.PKCS1v15(), hashes.SHA256())
    fields.end()


class _Fields:
    """The values of a constructed type, taken in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, tag: int) -> bytes:
        """The content of the next value, which must have this tag."""
        found, head, end = _measure(self._data)
        if found != tag:
            raise ValueError
        content, self._data = self._data[head:end], self._data[end:]
        return content

    def expect(self, encoded: bytes) -> None:
        """The next value is exactly this."""
        if not self._data.startswith(encoded):
            raise ValueError
        self._data = self._data[len(encoded) :]

    def end(self) -> None:
        """Nothing is left."""
        if self._data:
            raise ValueError


def _only(data: bytes, tag: int) -> bytes:
    """The content of the single value in ``data``."""
    fields = _Fields(data)
    content = fields.take(tag)
    fields.end()
    return content


def _whole(data: bytes) -> Iterator[bytes]:
    """Each value with its head."""
    while data:
        _, _, end = _measure(data)
        yield data[:end]
        data = data[end:]


def _measure(data: bytes) -> tuple[int, int, int]:
    """(tag, where the content begins, where it ends) of the first value; lengths must be DER's shortest (X.690 §10.1)."""
    tag, length, head = data[0], data[1], 2
    if length >= _LONG_FORM:
        count = length - _LONG_FORM
        length, head = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if head + length > len(data) or _encode(tag, data[head : head + length])[:head] != data[:head]:
        raise ValueError
    return tag, head, head + length


def _encode(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _LONG_FORM:
        return bytes([tag, length]) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM + len(size)]) + size + content


def _integer(value: int) -> bytes:
    return _encode(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))
