"""Ed25519 (RFC 8032) signatures of updates: the tools of the model packs, under a name of their own (ADR 34)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.operations.updates import manifest as manifests
from appliance.operations.updates.errors import UNTRUSTED
from appliance.operations.updates.manifest import UpdateManifest

_DOMAIN: Final = b"prontuario update v1\n"
"""A signature made for anything else with the same key, a model pack say, is none for an update."""


def sign(content: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature file of a manifest."""
    return base64.b64encode(key.sign(_DOMAIN + content)) + b"\n"


def verify(content: bytes, signature: bytes, trusted: Sequence[Ed25519PublicKey]) -> UpdateManifest:
    """The manifest, once a trusted key is seen to have signed these very bytes.

    Raises:
        ProntuarioError: ``update.untrusted``, ``update.manifest`` or ``pack.path`` (422).
    """
    try:
        value = base64.b64decode(signature.strip(), validate=True)
    except binascii.Error as error:
        raise UNTRUSTED() from error
    if not any(_signed_by(key, value, content) for key in trusted):
        raise UNTRUSTED()
    return manifests.decode(content)


def _signed_by(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, _DOMAIN + content)
    except InvalidSignature:
        return False
    return True
