"""Certificates of the nodes themselves: the peer link, etcd, and nothing else.

The authority is no part of the chain that phones belong to. etcd and the peer link trust every certificate under the root
that they are given, so with one root for both any enrolled phone could write the leader key.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from appliance.security import certificates, files
from appliance.security.authority import KeyPair, key_pem, load_or_make, still_good

AUTHORITY: Final = "node-ca"
NODE_DAYS: Final = 3650
"""Nobody watches a third voter's certificate; both ends are ours, so Apple's 398 days do not bind here."""
_NAME: Final = "Prontuario Node CA"
LOCAL_NAMES: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where a node's certificate lies: PEM files, the key readable by its owner only."""

    ca: Path
    certificate: Path
    key: Path


def node_files(secrets: Path, name: str = "node") -> NodeFiles:
    """The files in a node's secrets folder; ``name`` differs only for a voter that is no node of this machine."""
    return NodeFiles(secrets / f"{AUTHORITY}.pem", secrets / f"{name}.pem", secrets / f"{name}.key")


def prepare_node(secrets: Path, names: Sequence[str], now: datetime, *, file_name: str = "node") -> NodeFiles:
    """Make what is missing: the authority on the very first call, and the certificate of the node called ``names[0]``.

    ``names`` are followed by the node's other names and addresses; this machine's own are added.

    Raises:
        ProntuarioError: ``authority.broken`` when a key is lost or does not fit.
    """
    files.make_private_folder(secrets)
    every = tuple(dict.fromkeys((*names, *LOCAL_NAMES)))
    made = node_files(secrets, file_name)
    with files.exclusive(secrets):
        authority = load_or_make(secrets, AUTHORITY, _NAME, None, now)
        if not still_good(made.certificate, made.key, authority.certificate, every, now):
            _issue(made, authority, every, now)
    return made


def _issue(made: NodeFiles, authority: KeyPair, names: Sequence[str], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    valid = certificates.validity(now, NODE_DAYS)
    leaf = certificates.make_node(names, key, _NAME, authority.key, valid)
    files.write_file(made.key, key_pem(key))
    files.write_file(made.certificate, certificates.to_pem(leaf))


def server_side(made: NodeFiles) -> ssl.SSLContext:
    """For a listener that only nodes may call. Raises ``ssl.SSLError`` when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _strict(context, made)
    return context


def client_side(made: NodeFiles) -> ssl.SSLContext:
    """For a call to a node by its name: the certificate there must carry the ``server_hostname`` that is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _strict(context, made)
    return context


def _strict(context: ssl.SSLContext, made: NodeFiles) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(made.certificate, made.key)
    context.load_verify_locations(made.ca)
