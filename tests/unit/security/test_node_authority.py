"""Nodes trust nodes: their own authority, by name, and no phone gets in."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.config.model import Config, Paths
from appliance.daemon.enrolment import make_key_and_csr
from appliance.security import certificates
from appliance.security.authority import Authority, load_certificate
from appliance.security.node_authority import NodeFiles, client_side, node_files, prepare_node, server_side

NOW = datetime.now(UTC)
PATIENCE_S = 30.0


def join(a: Path, b: Path) -> None:
    """What joining a cluster does: both nodes have the same authority."""
    b.mkdir()
    for name in ("node-ca.pem", "node-ca.key"):
        (b / name).write_bytes((a / name).read_bytes())


async def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    async with listener, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        try:
            return await reader.read()
        finally:
            writer.close()


async def test_two_nodes_of_one_authority_know_each_other_by_name(tmp_path: Path) -> None:
    a = prepare_node(tmp_path / "a", ["a", "10.0.0.1"], NOW)
    join(tmp_path / "a", tmp_path / "b")
    b = prepare_node(tmp_path / "b", ["b"], NOW)
    assert await shake_hands(server_side(a), client_side(b), "a") == b"hello"
    assert await shake_hands(server_side(a), client_side(b), "10.0.0.1") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(server_side(a), client_side(b), "b")


async def test_a_phone_and_a_node_of_another_hospital_are_refused(tmp_path: Path) -> None:
    a = prepare_node(tmp_path / "a", ["a"], NOW)
    authority = Authority.open(Paths(tmp_path), Config(), NOW)
    key, csr = make_key_and_csr("phone")
    issued = authority.issue_device_certificate(csr, "device-1", NOW)
    phone = NodeFiles(a.ca, tmp_path / "phone.pem", tmp_path / "phone.key")
    phone.certificate.write_text(issued.chain_pem)
    phone.key.write_bytes(key)
    stranger = prepare_node(tmp_path / "other", ["b"], NOW)
    for caller in (phone, NodeFiles(a.ca, stranger.certificate, stranger.key)):
        heard = b""  # TLS 1.3: the refusal may arrive as an alert or as a closed connection
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            heard = await shake_hands(server_side(a), client_side(caller), "a")
        assert heard == b""


def test_preparing_again_changes_nothing_and_a_new_name_makes_a_new_leaf(tmp_path: Path) -> None:
    made = prepare_node(tmp_path, ["a"], NOW)
    before = made.certificate.read_bytes()
    assert prepare_node(tmp_path, ["a"], NOW) == made == node_files(tmp_path)
    assert made.certificate.read_bytes() == before
    prepare_node(tmp_path, ["a", "10.0.0.7"], NOW)
    leaf = load_certificate(made.certificate)
    assert leaf is not None
    assert certificates.names_in(leaf) == {"a", "10.0.0.7", "localhost", "127.0.0.1"}


def test_keys_are_private_and_the_leaf_s_key_is_no_authority(tmp_path: Path) -> None:
    made = prepare_node(tmp_path, ["a"], NOW)
    for path in (made.key, tmp_path / "node-ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert made.key.read_bytes() != (tmp_path / "node-ca.key").read_bytes()
