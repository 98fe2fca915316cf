from __future__ import annotations

import asyncio
import multiprocessing
import ssl
import stat
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.config.model import Api, Config, Paths
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.authority import Authority, load_certificate, server_names
from appliance.telemetry.clock import SystemClock
from tests.fakes.hand_clock import HandClock
from tests.unit.security.conftest import leaf_of, new_csr


def certificate(path: Path) -> x509.Certificate:
    found = load_certificate(path)
    assert found is not None
    return found


def csr_of(builder: x509.CertificateSigningRequestBuilder, key: object) -> bytes:
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


BLANK = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))


def test_kinds_of_keys_lifetimes_and_modes(authority: Authority, paths: Paths, clock: HandClock) -> None:
    root, devices, server = (certificate(paths.secrets / f"{name}.pem") for name in ("root", "device-ca", "server"))
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert [c.public_key().curve.name for c in (root, devices, server)] == ["secp384r1", "secp256r1", "secp256r1"]  # type: ignore[union-attr]
    assert root.not_valid_after_utc - clock.now() > timedelta(days=3640)
    assert server.not_valid_after_utc - server.not_valid_before_utc == timedelta(days=398)
    assert paths.ca.read_bytes() == authority.root_pem == (paths.secrets / "root.pem").read_bytes()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths.secrets.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(paths.secrets.stat().st_mode) == 0o700


def test_the_server_certificate_carries_names_and_addresses(paths: Paths, clock: HandClock) -> None:
    config = Config(api=Api(host="10.1.2.3", names=("prontuario.local", "fd00::5")))
    Authority.open(paths, config, clock.now())
    names = certificate(paths.secrets / "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert set(names.value.get_values_for_type(x509.DNSName)) == {"prontuario.local", "prontuario"}
    assert set(names.value.get_values_for_type(x509.IPAddress)) == {ip_address("10.1.2.3"), ip_address("fd00::5")}


def test_a_wildcard_address_is_no_name() -> None:
    config = Config(api=Api(host="0.0.0.0", names=("a.local", "a.local", "", "com espaço")))
    assert server_names(config) == ("a.local", "prontuario")


def test_opening_again_changes_nothing(authority: Authority, paths: Paths, config: Config, clock: HandClock) -> None:
    before = {path.name: path.read_bytes() for path in paths.secrets.iterdir()}
    again = Authority.open(paths, config, clock.now() + timedelta(days=100))
    assert {path.name: path.read_bytes() for path in paths.secrets.iterdir()} == before
    assert again.pin == authority.pin


def test_the_server_certificate_is_renewed_in_time(
    authority: Authority, paths: Paths, config: Config, clock: HandClock
) -> None:
    before = certificate(authority.server_certificate)
    Authority.open(paths, config, clock.now() + timedelta(days=367))
    assert certificate(authority.server_certificate) == before
    later = clock.now() + timedelta(days=369)
    Authority.open(paths, config, later)
    assert certificate(authority.server_certificate).not_valid_after_utc > later + timedelta(days=390)


@pytest.mark.usefixtures("authority")
def test_new_names_give_a_new_certificate(paths: Paths, config: Config, clock: HandClock) -> None:
    changed = msgspec.structs.replace(config, api=Api(names=("novo.local",)))
    Authority.open(paths, changed, clock.now())
    names = certificate(paths.secrets / "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert "novo.local" in names.value.get_values_for_type(x509.DNSName)


@pytest.mark.usefixtures("authority")
def test_a_clock_set_back_before_the_certificate_gives_a_new_one(
    paths: Paths, config: Config, clock: HandClock
) -> None:
    before = certificate(paths.secrets / "server.pem")
    Authority.open(paths, config, clock.now() - timedelta(days=400))
    assert certificate(paths.secrets / "server.pem") != before


@pytest.mark.parametrize(
    "lost",
    [
        ("server.key",),
        ("server.pem",),
        ("clients.pem",),
        ("device-ca.pem",),
        ("root.pem",),
        ("root.pem", "device-ca.pem"),
    ],
)
def test_what_can_be_made_again_is_made_again(
    authority: Authority, paths: Paths, config: Config, clock: HandClock, lost: tuple[str, ...]
) -> None:
    device = authority.issue_device_certificate(new_csr(), "d1", clock.now())
    for name in lost:
        (paths.secrets / name).unlink()
    paths.ca.unlink()
    again = Authority.open(paths, config, clock.now())
    assert again.pin == authority.pin
    issuer = certificate(paths.secrets / "device-ca.pem")
    leaf_of(device.chain_pem).verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(certificate(paths.ca))


BEYOND_REPAIR = {
    "root.key is missing": ("root.key", None),
    "device-ca.key is missing": ("device-ca.key", None),
    "root.key is unreadable": ("root.key", b"half a k"),
    "root.pem is unreadable": ("root.pem", b""),
    "root.key does not fit root.pem": ("root.key", "device-ca.key"),
}


@pytest.mark.parametrize("reason", BEYOND_REPAIR)
def test_what_can_not_be_repaired_is_told_and_left_alone(
    authority: Authority, paths: Paths, config: Config, clock: HandClock, reason: str
) -> None:
    name, content = BEYOND_REPAIR[reason]
    path = paths.secrets / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else (paths.secrets / content).read_bytes())
    with pytest.raises(ProntuarioError, match=reason):
        Authority.open(paths, config, clock.now())
    assert paths.ca.read_bytes() == authority.root_pem


@pytest.mark.parametrize("kept", range(1, 7))
def test_an_init_interrupted_after_any_file_is_completed(
    paths: Paths, config: Config, clock: HandClock, tmp_path: Path, kept: int
) -> None:
    order = ("root.key", "root.pem", "device-ca.key", "device-ca.pem", "server.key", "server.pem")
    whole = Paths(tmp_path / "whole")
    Authority.open(whole, config, clock.now())
    paths.secrets.mkdir(parents=True)
    for name in order[:kept]:
        (paths.secrets / name).write_bytes((whole.secrets / name).read_bytes())
    (paths.secrets / ".half-written-x.key-0011").write_bytes(b"-----BEGIN")
    authority = Authority.open(paths, config, clock.now())
    assert not list(paths.secrets.glob(".half-written-*"))
    assert all((paths.secrets / name).exists() for name in order)
    authority.issue_device_certificate(new_csr(), "d1", clock.now())


def _open(home: Path) -> str:
    return Authority.open(Paths(home), Config(), SystemClock().now()).pin


def test_two_processes_that_initialise_at_once_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pins = pool.map(_open, [tmp_path / "home"] * 4)
    assert len(set(pins)) == 1


def test_the_authority_decides_every_name(authority: Authority, clock: HandClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin; i am root")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("prontuario.local")]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    issued = authority.issue_device_certificate(csr_of(greedy, key), "d42", clock.now())
    leaf = leaf_of(issued.chain_pem)
    assert leaf.subject.rfc4514_string() == "CN=d42"
    extensions = leaf.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["urn:prontuario:device:d42"]
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False
    assert issued.not_after - clock.now() < timedelta(days=90)
    assert issued.fingerprint == leaf.fingerprint(hashes.SHA256())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_accepted_kinds_of_keys(authority: Authority, clock: HandClock, key: ec.EllipticCurvePrivateKey) -> None:
    issued = authority.issue_device_certificate(csr_of(BLANK, key), "d", clock.now())
    assert leaf_of(issued.chain_pem).public_key() == key.public_key()


def _tampered() -> bytes:
    request = bytearray(csr_of(BLANK, ec.generate_private_key(ec.SECP256R1())))
    request[-1] ^= 1
    return bytes(request)


@pytest.mark.parametrize(
    ("csr", "reason"),
    [
        (csr_of(BLANK, rsa.generate_private_key(65537, 2048)), "only P-256"),
        (csr_of(BLANK, ec.generate_private_key(ec.SECP521R1())), "only P-256"),
        (csr_of(BLANK, ec.generate_private_key(ec.SECP256K1())), "only P-256"),
        (_tampered(), r"signature|not a PKCS"),
        (b"", "not a PKCS"),
        (b"\x30\x80", "not a PKCS"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n!!\n-----END CERTIFICATE REQUEST-----\n", "not a PKCS"),
        (b"\x30" * 9000, "too large"),
    ],
)
def test_refused_requests(authority: Authority, clock: HandClock, csr: bytes, reason: str) -> None:
    with pytest.raises(ProntuarioError, match=reason) as caught:
        authority.issue_device_certificate(csr, "d", clock.now())
    assert (caught.value.kind.status, caught.value.field) == (422, "csr")


async def test_real_tls_lets_in_devices_and_nobody_else(paths: Paths, config: Config, tmp_path: Path) -> None:
    now = SystemClock().now()
    authority = Authority.open(paths, config, now)
    stranger = Authority.open(Paths(tmp_path / "other"), config, now)
    key = ec.generate_private_key(ec.SECP256R1())
    key_file = tmp_path / "device.key"
    key_file.write_bytes(_pem(key))
    enrolled = _client(
        paths.ca, tmp_path, key_file, authority.issue_device_certificate(new_csr(key), "d", now).chain_pem
    )
    foreign = _client(paths.ca, tmp_path, key_file, stranger.issue_device_certificate(new_csr(key), "d", now).chain_pem)
    as_client = ssl.create_default_context(cafile=str(paths.ca))
    as_client.load_cert_chain(authority.server_certificate, authority.server_key)
    async with await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=_server_context(authority)) as server:
        port = server.sockets[0].getsockname()[1]
        assert await _ask(port, enrolled) == b"hello"
        for context in (foreign, as_client):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await _ask(port, context)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _client(ca: Path, folder: Path, key_file: Path, chain: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    chain_file = folder / "chain.pem"
    chain_file.write_text(chain)
    context.load_cert_chain(chain_file, key_file)
    return context


def _server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(authority.server_certificate, authority.server_key)
    context.load_verify_locations(authority.client_authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def _ask(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        answer = await reader.read()
        if not answer:
            raise ConnectionError
        return answer
    finally:
        writer.close()
