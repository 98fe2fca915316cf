"""A report that proves who made it: signed by the node's own key, which a certificate under the hospital's root names.

What is signed is the canonical form (RFC 8785) of facts, PDF digest, moment, key and certificates. The PDF carries all that
in a comment line before its cross-reference table; so one file is report and proof, any reader shows it, and every other byte
of it is under the digest. The certificate is checked as it stood when the report was signed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import datetime
from typing import Final, Protocol

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from appliance.operations.drills.errors import NOT_A_REPORT
from appliance.operations.drills.model import FORMAT, Facts
from appliance.security.audit_heads import document_text, key_id_of
from appliance.security.canonical import canonical
from appliance.security.certificates import DOCUMENT_SIGNING

_UNFIT: Final = (
    ValueError, TypeError, IndexError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion, x509.ExtensionNotFound,
)  # fmt: skip
MARK: Final = b"%prontuario-drill-report:"
_END: Final = re.compile(rb"\nstartxref\n(\d+)\n%%EOF\n?\Z")


class SignedReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``certificate`` and ``authority`` are PEM; ``signature`` and ``pdf_sha256`` hex."""

    facts: Facts
    pdf_sha256: str
    signed_at: str
    key_id: str
    certificate: str
    authority: str
    signature: str


class Seal(Protocol):
    """This node's key and the authority that names it."""

    @property
    def key_id(self) -> str: ...

    def sign(self, kind: str, content: bytes) -> bytes:
        """The signature over ``document_text(kind, content)``."""
        ...

    def certificate(self, now: datetime) -> bytes:
        """A fresh certificate over the key, PEM."""
        ...

    def authority(self) -> bytes:
        """The root above it, PEM."""
        ...


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. ``problems``: none means that the file is what the node signed, byte for byte.

    ``trusted``: None when the reader named no authority to compare with.
    """

    ok: bool
    signer: str
    key_id: str
    authority_sha256: str
    signed_at: str
    trusted: bool | None
    problems: tuple[str, ...]
    facts: Facts


def sign(facts: Facts, pdf: bytes, seal: Seal, now: datetime, signed_at: str) -> SignedReport:
    """Sign; ``pdf`` is the file without the signature."""
    unsigned = SignedReport(
        facts=facts, pdf_sha256=hashlib.sha256(pdf).hexdigest(), signed_at=signed_at, key_id=seal.key_id, signature="",
        certificate=seal.certificate(now).decode(), authority=seal.authority().decode(),
    )  # fmt: skip
    return msgspec.structs.replace(unsigned, signature=seal.sign(FORMAT, _under(unsigned)).hex())


def encode(signed: SignedReport) -> bytes:
    """The one byte form of a signed report."""
    return canonical(signed)


def sealed(pdf: bytes, signed: SignedReport) -> bytes:
    """The PDF with the signed facts inside.

    Raises:
        ValueError: ``pdf`` does not end as this house writes it.
    """
    place, table = _end(pdf)
    line = MARK + base64.b64encode(encode(signed)) + b"\n"
    return pdf[:table] + line + pdf[table:place] + _tail(table + len(line))


def unsealed(content: bytes) -> tuple[bytes, bytes]:
    """(the PDF as it was before ``sealed``, the signed facts).

    Raises:
        ProntuarioError: ``drill.not_a_report``.
    """
    try:
        place, table = _end(content)
        begin = content.rindex(MARK, 0, table)
        line = content[begin:table]
        coded = line[len(MARK) : -1]
        facts = base64.b64decode(coded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise NOT_A_REPORT() from error
    if base64.b64encode(facts) != coded or not line.endswith(b"\n"):  # bits that base64 ignores are bytes all the same
        raise NOT_A_REPORT()
    return content[:begin] + content[table:place] + _tail(table - len(line)), facts


def verify(content: bytes, authority: bytes | None = None) -> Verdict:
    """Check a report, PDF or JSON. ``authority``: the root (PEM) that the reader trusts, from the hospital's papers.

    Raises:
        ProntuarioError: ``drill.not_a_report``.
    """
    pdf: bytes | None = None
    told = content
    if content.startswith(b"%PDF-"):
        pdf, told = unsealed(content)
    try:
        signed = msgspec.json.decode(told, type=SignedReport)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NOT_A_REPORT() from error
    problems = []
    if encode(signed) != told or (pdf is not None and sealed(pdf, signed) != content):
        problems.append("the file was changed after it was signed")
    if pdf is not None and hashlib.sha256(pdf).hexdigest() != signed.pdf_sha256:
        problems.append("the pages were changed after they were signed")
    signer, trusted, of_key = _key_problems(signed, authority)
    problems += of_key
    return Verdict(
        ok=not problems, signer=signer, key_id=signed.key_id, signed_at=signed.signed_at, trusted=trusted,
        authority_sha256=_fingerprint(signed.authority), problems=tuple(problems), facts=signed.facts,
    )  # fmt: skip


def _key_problems(signed: SignedReport, authority: bytes | None) -> tuple[str, bool | None, list[str]]:
    """Who signed, whether the authority is the reader's, and what is wrong with either."""
    problems = []
    trusted = (
        None
        if authority is None
        else _fingerprint(authority.decode(errors="replace")) == _fingerprint(signed.authority)
    )
    if trusted is False:
        problems.append("it was signed under another authority than yours")
    try:
        leaf = x509.load_pem_x509_certificate(signed.certificate.encode())
        root = x509.load_pem_x509_certificate(signed.authority.encode())
        key = _ed25519(leaf)
        signer = str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        leaf.verify_directly_issued_by(root)
        problems += _use_problems(leaf, signed.signed_at)
        if key_id_of(key.public_bytes_raw()) != signed.key_id:
            problems.append("the certificate is of another key")
        signature = bytes.fromhex(signed.signature)
        if signature.hex() != signed.signature:
            problems.append("the signature is spelled in another way")
        key.verify(signature, document_text(FORMAT, _under(signed)))
    except _UNFIT:
        return "?", trusted, [*problems, "the signature does not fit"]
    return signer, trusted, problems


def _ed25519(leaf: x509.Certificate) -> Ed25519PublicKey:
    key = leaf.public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")  # noqa: TRY004  as every other thing that can be wrong with a certificate
    return key


def _use_problems(leaf: x509.Certificate, signed_at: str) -> list[str]:
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    problems = [] if DOCUMENT_SIGNING in uses else ["the certificate is not for signing documents"]
    if not leaf.not_valid_before_utc <= datetime.fromisoformat(signed_at) <= leaf.not_valid_after_utc:
        problems.append("the certificate was not valid when the report was signed")
    return problems


def _under(signed: SignedReport) -> bytes:
    """What the signature is over: everything but itself, the certificates' spelling too."""
    return canonical(msgspec.structs.replace(signed, signature=""))


def _fingerprint(pem: str) -> str:
    try:
        from cryptography.hazmat.primitives.hashes import SHA256

        return x509.load_pem_x509_certificate(pem.encode()).fingerprint(SHA256()).hex()
    except _UNFIT:
        return ""


def _end(pdf: bytes) -> tuple[int, int]:
    """(where the file's last lines begin, where they say that the cross-reference table is)."""
    found = _END.search(pdf)
    if found is None:
        raise ValueError("no end of a PDF")
    table = int(found[1])
    if not pdf[table:].startswith(b"xref") or not 0 < table < found.start():
        raise ValueError("no cross-reference table where the end says")
    return found.start(), table


def _tail(table: int) -> bytes:
    return f"\nstartxref\n{table}\n%%EOF\n".encode()


__all__ = ["Seal", "SignedReport", "Verdict", "encode", "sealed", "sign", "unsealed", "verify"]
