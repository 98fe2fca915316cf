"""TLS 1.3 and nothing older, with the client's certificate asked for but not demanded (RFC 8446 §4.3.2).

A device that is not enrolled yet must be able to reach enrolment, so a missing certificate is fine; one from an unknown
authority ends the handshake.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

ALPN_PROTOCOLS = ("h2", "http/1.1")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the server's chain and key, and the authorities whose device certificates we accept."""

    certificate: Path
    key: Path
    device_authority: Path


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """The server's TLS settings.

    Session tickets are off: a resumed session would skip the check of the client's certificate.

    Raises:
        ssl.SSLError: a file is no PEM, or key and certificate do not belong together.
        OSError: a file can't be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(ALPN_PROTOCOLS))
    context.load_verify_locations(cafile=str(files.device_authority))
    context.verify_mode = ssl.CERT_OPTIONAL
    reload_certificate(context, files)
    return context


def reload_certificate(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Use the certificate that now lies in ``files`` for new connections; open ones keep theirs."""
    context.load_cert_chain(str(files.certificate), str(files.key))
