"""Authenticated encryption of a stream, piece by piece, so that nothing is ever whole in memory.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) with AES-256-GCM, in the shape of Tink's
AES-GCM-HKDF-Streaming: a file key is derived from the data key and a random salt, and every piece's nonce is
``prefix (7) ‖ counter (4, big-endian) ‖ last (1)``. So a piece that is changed, moved, dropped or taken from another
file, and a file cut short or continued, all fail to open.

File: magic (8) ‖ salt (32) ‖ prefix (7), then pieces of 64 KiB of plaintext, each followed by its 16-byte tag; only the
last one may be shorter, and an empty file has one empty piece.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
SEALED_PIECE_BYTES: Final = PIECE_BYTES + TAG_BYTES
_MAGIC: Final = b"PRONTB1\n"
_SALT_BYTES: Final = 32
_PREFIX_BYTES: Final = 7
HEADER_BYTES: Final = len(_MAGIC) + _SALT_BYTES + _PREFIX_BYTES
_KEY_BYTES: Final = 32
_MAX_PIECES: Final = 1 << 32


class DataKey(msgspec.Struct, frozen=True):
    """A key of the vault: its public id and 32 secret bytes."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"DataKey(key_id={self.key_id!r})"


class Damaged(Exception):  # noqa: N818  it says what the bytes are
    """The bytes are not what was sealed, or the key is not the one they were sealed with."""


def sealed_size(plain_bytes: int) -> int:
    """How many bytes the file of ``plain_bytes`` of plaintext has."""
    pieces = max(1, -(-plain_bytes // PIECE_BYTES))
    return HEADER_BYTES + plain_bytes + pieces * TAG_BYTES


class Sealer:
    """Encrypts one stream; begin the file with ``header``."""

    def __init__(self, key: DataKey) -> None:
        salt, prefix = os.urandom(_SALT_BYTES), os.urandom(_PREFIX_BYTES)
        self.header = _MAGIC + salt + prefix
        self._pieces = _Pieces(key, salt, prefix, self.header)

    def seal(self, plain: bytes | memoryview, *, last: bool) -> bytes:
        """The next piece: exactly 64 KiB unless it is the last."""
        if not last and len(plain) != PIECE_BYTES:
            raise ValueError("only the last piece may be shorter than 64 KiB")
        nonce = self._pieces.next_nonce(last=last)
        return self._pieces.cipher.encrypt(nonce, plain, self._pieces.associated)


class Opener:
    """Decrypts one stream.

    Raises:
        Damaged: ``header`` is not one of ours.
    """

    def __init__(self, key: DataKey, header: bytes) -> None:
        if len(header) != HEADER_BYTES or not header.startswith(_MAGIC):
            raise Damaged
        salt = header[len(_MAGIC) : len(_MAGIC) + _SALT_BYTES]
        self._pieces = _Pieces(key, salt, header[-_PREFIX_BYTES:], header)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """The plaintext of the next piece.

        Raises:
            Damaged: it is not the piece that was sealed at this place.
        """
        try:
            return self._pieces.cipher.decrypt(self._pieces.next_nonce(last=last), sealed, self._pieces.associated)
        except InvalidTag as error:
            raise Damaged from error


class _Pieces:
    def __init__(self, key: DataKey, salt: bytes, prefix: bytes, header: bytes) -> None:
        if len(key.secret) != _KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        kdf = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=b"prontuario blob " + key.key_id.encode())
        self.cipher = AESGCM(kdf.derive(key.secret))
        self.associated = header
        self._prefix = prefix
        self._counter = 0

    def next_nonce(self, *, last: bool) -> bytes:
        if self._counter >= _MAX_PIECES:
            raise ValueError("a blob has at most 2^32 pieces")
        nonce = self._prefix + self._counter.to_bytes(4, "big") + (b"\x01" if last else b"\x00")
        self._counter += 1
        return nonce
