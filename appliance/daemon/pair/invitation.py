"""One node invites the other, once: the code that a person carries over proves both ends to each other.

The code holds a fingerprint of the inviting node's authority and a secret. The guest refuses a server that this authority
did not certify, before it says a word; the host gives nothing to a guest without the secret, and closes after a few wrong
ones. Both travel inside TLS 1.3, whose handshake proves that the host holds the certified key.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from appliance.plugin_api.errors import define
from appliance.security.certificates import spki_sha256
from appliance.security.node_authority import NodeFiles

FINGERPRINT_BYTES: Final = 16
SECRET_BYTES: Final = 10
GROUP: Final = 6
WRONG_CODES: Final = 3
LINE_LIMIT_BYTES: Final = 1 << 20
ANSWER_S: Final = 20.0
T = TypeVar("T")

CODE_REFUSED = define(
    "cluster.code",
    403,
    pt=("O código de adesão não serve: {reason}.", "Rode prontuario cluster init no outro nó e use o código novo."),
    en=("The join code is no good: {reason}.", "Run prontuario cluster init on the other node and use its new code."),
)


@dataclass(frozen=True, slots=True)
class Code:
    """What a person reads on one node and gives to the other."""

    fingerprint: bytes
    secret: bytes

    @classmethod
    def make(cls, ca: Path) -> Code:
        """A fresh one for the authority in the file ``ca``."""
        return cls(_fingerprint(x509.load_pem_x509_certificate(ca.read_bytes())), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def read(cls, text: str) -> Code:
        """The code as typed: letters of any case, groups apart or not.

        Raises:
            ProntuarioError: ``cluster.code`` 403.
        """
        letters = "".join(text.split()).replace("-", "").upper()
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            raw = b""
        if len(raw) != FINGERPRINT_BYTES + SECRET_BYTES:
            raise CODE_REFUSED(reason="mistyped")
        return cls(raw[:FINGERPRINT_BYTES], raw[FINGERPRINT_BYTES:])

    def __str__(self) -> str:
        """Groups of six letters and digits, none of which looks like another (RFC 4648 §6)."""
        letters = base64.b32encode(self.fingerprint + self.secret).decode().rstrip("=")
        return "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


class _Welcome(msgspec.Struct, frozen=True):
    authority: str
    """PEM of the node authority."""


class _Ask(msgspec.Struct, frozen=True):
    secret: bytes


class _Refusal(msgspec.Struct, frozen=True):
    reason: str


class Invitation:
    """The host's side: serves ``gift`` (a Struct) to the one guest who brings ``code``."""

    def __init__(self, code: Code, gift: msgspec.Struct, node: NodeFiles) -> None:
        self._code = code
        self._gift = gift
        self._node = node
        self._wrong = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve(self, host: str, port: int, *, ready: asyncio.Future[int] | None = None) -> None:
        """Listen until the guest has confirmed that it kept everything; ``ready`` gets the real port.

        Raises:
            ProntuarioError: ``cluster.code`` after ``WRONG_CODES`` wrong ones: nothing was given.
            OSError: the port is taken.
        """
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(self._node.certificate, self._node.key)
        server = await asyncio.start_server(self._answer, host, port, ssl=tls, limit=LINE_LIMIT_BYTES)
        async with server:
            if ready is not None:
                ready.set_result(int(server.sockets[0].getsockname()[1]))
            await self._over

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await _send(writer, _Welcome(self._node.ca.read_text(encoding="ascii")))
                ask = await _receive(reader, _Ask)
                if not hmac.compare_digest(ask.secret, self._code.secret):
                    await _send(writer, _Refusal("wrong code"))
                    self._count_wrong()
                elif not self._over.done():
                    await _send(writer, self._gift)
                    await _receive(reader, _Kept)
                    self._over.set_result(None)
        except (OSError, TimeoutError, ValueError, msgspec.DecodeError, asyncio.IncompleteReadError):
            return  # a stranger, or a guest that will try again
        finally:
            writer.close()

    def _count_wrong(self) -> None:
        self._wrong += 1
        if self._wrong >= WRONG_CODES and not self._over.done():
            self._over.set_exception(CODE_REFUSED(reason="tried too often"))


class _Kept(msgspec.Struct, frozen=True):
    kept: bool = True


@dataclass
class Guest:
    """The guest's side, once the gift is here: keep it, then ``confirm``, or ``close`` to try again later."""

    gift: Any
    _writer: asyncio.StreamWriter

    async def confirm(self) -> None:
        """Tell the host that everything is kept: the code is worth nothing from now on."""
        await _send(self._writer, _Kept())
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def accept(host: str, port: int, code: Code, shape: type[Any]) -> Guest:
    """Call the host and receive its gift, decoded as ``shape``.

    Raises:
        ProntuarioError: ``cluster.code`` 403: it is not the host that the code was made on, or the code is wrong.
        OSError: nobody answers there.
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=_unverified(), limit=LINE_LIMIT_BYTES)
    try:
        async with asyncio.timeout(ANSWER_S):
            welcome = await _receive(reader, _Welcome)
            _check_host(writer, welcome.authority, code)
            await _send(writer, _Ask(code.secret))
            return Guest(await _receive(reader, shape), writer)
    except (TimeoutError, asyncio.IncompleteReadError, ValueError, msgspec.DecodeError) as error:
        writer.close()
        raise CODE_REFUSED(reason="wrong or used already") from error
    except BaseException:
        writer.close()
        raise


def _unverified() -> ssl.SSLContext:
    """The certificate is checked against the code instead, by ``_check_host``."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls


def _check_host(writer: asyncio.StreamWriter, authority_pem: str, code: Code) -> None:
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    try:
        authority = x509.load_pem_x509_certificate(authority_pem.encode("ascii"))
        leaf = x509.load_der_x509_certificate(shown)
        leaf.verify_directly_issued_by(authority)
        ours = hmac.compare_digest(_fingerprint(authority), code.fingerprint)
    except (ValueError, TypeError, InvalidSignature):
        ours = False
    if not ours:
        raise CODE_REFUSED(reason="another machine answers there")


def _fingerprint(authority: x509.Certificate) -> bytes:
    return spki_sha256(authority)[:FINGERPRINT_BYTES]


async def _send(writer: asyncio.StreamWriter, message: msgspec.Struct) -> None:
    writer.write(msgspec.json.encode(message) + b"\n")
    await writer.drain()


async def _receive(reader: asyncio.StreamReader, shape: type[T]) -> T:
    return msgspec.json.decode(await reader.readuntil(b"\n"), type=shape)
