"""The master key on paper: any ``needed`` of some pages give it back, fewer tell nothing (Shamir, CACM 22, 1979, over GF(2^8)).

A page's 40 bytes are written as 25 words of five letters that can be read aloud in Portuguese (proquints, arXiv:0901.4016):
five rows of four words, and a fifth word that proves the row. The coefficients follow from the key itself (HKDF): printing
again gives the same pages, so an interrupted or repeated printing never leaves pages that do not fit each other.
What else a hospital can't make anew (its authority's keys, its configuration) is sealed under the same key in one file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.plugin_api.errors import define

KEY_BYTES: Final = 32
SET_BYTES: Final = 4
MOST: Final = 9
"""Pages of a set; more would be nobody's job any more."""
ROWS: Final = 5
_WORDS_IN_ROW: Final = 4
_FORMAT: Final = 1
_NONCE: Final = 12
_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"
_REDUCTION: Final = 0x11B
_DOMAIN: Final = b"prontuario/recovery/1/"

WORDS_REFUSED = define(
    "recovery.words",
    422,
    pt=("As palavras da parte não conferem: {reason}.", "Confira a linha na folha e digite de novo."),
    en=("The share's words are not right: {reason}.", "Compare the row with the page and type it again."),
)
SHARES_REFUSED = define(
    "recovery.shares",
    422,
    pt=(
        "Estas partes não dão a chave: {reason}.",
        "Reúna as folhas de um mesmo conjunto, tantas quantas a folha pede.",
    ),
    en=(
        "These shares do not give the key: {reason}.",
        "Bring pages of one and the same set, as many as the page asks for.",
    ),
)
SEAL_BROKEN = define(
    "recovery.seal",
    422,
    pt=("O arquivo de recuperação não abre com esta chave.", "Use o arquivo da mesma instalação que as folhas."),
    en=("The recovery file does not open with this key.", "Use the file of the same installation as the pages."),
)


class Share(msgspec.Struct, frozen=True):
    """One page. ``set_id`` (4 bytes) tells the sets apart; ``value`` is the polynomial at ``number`` (1…), 32 bytes."""

    needed: int
    number: int
    holders: int
    set_id: bytes
    value: bytes

    def __repr__(self) -> str:
        """Without the value: a traceback must not carry a part of the key."""
        return f"Share({self.number} of {self.holders}, {self.needed} needed, set {self.set_id.hex()})"


def split(master: bytes, needed: int, holders: int) -> tuple[Share, ...]:
    """The pages of ``master`` (32 bytes); any ``needed`` of the ``holders`` give it back.

    Raises:
        ValueError: not 2 ≤ needed ≤ holders ≤ 9, or not 32 bytes.
    """
    if not 2 <= needed <= holders <= MOST or len(master) != KEY_BYTES:  # noqa: PLR2004  one alone would be a copy
        raise ValueError(f"{needed} of {holders} shares of {len(master)} bytes")
    drawn = _derived(master, b"coefficients/", needed, KEY_BYTES * (needed - 1))
    terms = [master, *(drawn[at : at + KEY_BYTES] for at in range(0, len(drawn), KEY_BYTES))]
    identity = _derived(master, b"set/", needed, SET_BYTES)
    return tuple(Share(needed, x, holders, identity, _at(terms, x)) for x in range(1, holders + 1))


def combine(shares: Iterable[Share]) -> bytes:
    """The master key of ``shares`` (more than needed are fine).

    Raises:
        ProntuarioError: ``recovery.shares`` 422: too few, of several sets, or one of them is wrong.
    """
    by_number = {share.number: share for share in shares}
    if len({(share.set_id, share.needed) for share in by_number.values()}) > 1:
        raise SHARES_REFUSED(reason="conjuntos diferentes / different sets")
    if not by_number or len(by_number) < next(iter(by_number.values())).needed:
        raise SHARES_REFUSED(reason="poucas / too few")
    first = next(iter(by_number.values()))
    chosen = list(by_number.values())[: first.needed]
    weights = [_weight(share.number, [other.number for other in chosen]) for share in chosen]
    master = bytes(KEY_BYTES)
    for share, weight in zip(chosen, weights, strict=True):
        master = bytes(one ^ _times(other, weight) for one, other in zip(master, share.value, strict=True))
    if not hmac.compare_digest(_derived(master, b"set/", first.needed, SET_BYTES), first.set_id):
        raise SHARES_REFUSED(reason="uma delas está errada / one of them is wrong")
    return master


def to_rows(share: Share) -> tuple[tuple[str, ...], ...]:
    """The page's words: five rows of four and a check word each."""
    raw = bytes([_FORMAT, share.needed, share.number, share.holders]) + share.set_id + share.value
    size = len(raw) // ROWS
    rows = [raw[at : at + size] for at in range(0, len(raw), size)]
    return tuple(tuple(_words(row + _proof(number, row))) for number, row in enumerate(rows))


def from_words(text: str) -> Share:
    """The share that was typed or scanned: 25 words, any case, anything but letters between them.

    Raises:
        ProntuarioError: ``recovery.words`` 422, with the row that is wrong.
    """
    words = "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()
    wide = _WORDS_IN_ROW + 1
    if len(words) != ROWS * wide:
        raise WORDS_REFUSED(reason=f"{len(words)} de {ROWS * wide} palavras / words")
    raw = b""
    for number in range(ROWS):
        row = _bytes(words[number * wide : (number + 1) * wide])
        if row is None or not hmac.compare_digest(row[-2:], _proof(number, row[:-2])):
            raise WORDS_REFUSED(reason=f"linha / row {number + 1}")
        raw += row[:-2]
    if raw[0] != _FORMAT:
        raise WORDS_REFUSED(reason="versão mais nova / newer version")
    return Share(raw[1], raw[2], raw[3], raw[4 : 4 + SET_BYTES], raw[4 + SET_BYTES :])


def seal(master: bytes, files: Mapping[str, bytes]) -> bytes:
    """``files`` under the master key: AES-256-GCM with a key derived for this alone. Worthless without the pages."""
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_derived(master, b"seal/", 0, KEY_BYTES)).encrypt(
        nonce, msgspec.msgpack.encode(dict(files)), _DOMAIN
    )
    return base64.b64encode(nonce + sealed) + b"\n"


def unseal(master: bytes, content: bytes) -> dict[str, bytes]:
    """What ``seal`` sealed.

    Raises:
        ProntuarioError: ``recovery.seal`` 422.
    """
    try:
        raw = base64.b64decode(content.strip(), validate=True)
        plain = AESGCM(_derived(master, b"seal/", 0, KEY_BYTES)).decrypt(raw[:_NONCE], raw[_NONCE:], _DOMAIN)
        return msgspec.msgpack.decode(plain, type=dict[str, bytes])
    except (ValueError, InvalidTag, msgspec.DecodeError) as error:
        raise SEAL_BROKEN() from error


def _derived(master: bytes, purpose: bytes, needed: int, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, None, _DOMAIN + purpose + bytes([needed])).derive(master)


def _proof(row: int, content: bytes) -> bytes:
    return hashlib.sha256(_DOMAIN + bytes([row]) + content).digest()[:2]


def _words(content: bytes) -> Iterable[str]:
    for at in range(0, len(content), 2):
        bits = int.from_bytes(content[at : at + 2], "big")
        yield "".join(
            (_CONSONANTS[bits >> 12], _VOWELS[bits >> 10 & 3], _CONSONANTS[bits >> 6 & 15], _VOWELS[bits >> 4 & 3],
             _CONSONANTS[bits & 15])
        )  # fmt: skip


def _bytes(words: Sequence[str]) -> bytes | None:
    found = b""
    for word in words:
        letters = [(_VOWELS if place % 2 else _CONSONANTS).find(letter) for place, letter in enumerate(word)]
        if len(letters) != 5 or -1 in letters:  # noqa: PLR2004  a word's letters
            return None
        a, b, c, d, e = letters
        found += (a << 12 | b << 10 | c << 6 | d << 4 | e).to_bytes(2, "big")
    return found


def _at(terms: Sequence[bytes], x: int) -> bytes:
    """The polynomial with these terms, lowest first, at ``x``, for every byte (Horner)."""
    value = bytes(KEY_BYTES)
    for term in reversed(terms):
        value = bytes(_times(one, x) ^ other for one, other in zip(value, term, strict=True))
    return value


def _weight(x: int, numbers: Sequence[int]) -> int:
    """What the value at ``x`` counts in Lagrange's interpolation at 0 over ``numbers``."""
    weight = 1
    for other in numbers:
        if other != x:
            weight = _times(weight, _times(other, _inverse(other ^ x)))
    return weight


def _times(a: int, b: int) -> int:
    """The product in GF(2^8), modulo AES's polynomial (FIPS 197 §4.2)."""
    product = 0
    for _ in range(8):
        product ^= a * (b & 1)
        a <<= 1
        a ^= _REDUCTION * (a >> 8)
        b >>= 1
    return product


def _inverse(a: int) -> int:
    """a^254."""
    result, power = 1, a
    for _ in range(1, 8):
        power = _times(power, power)
        result = _times(result, power)
    return result
