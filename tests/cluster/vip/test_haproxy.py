"""The rendered configuration, read and run by the real haproxy, in front of two small TLS servers."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.operations.haproxy import BalancedNode, HaproxySettings, render
from appliance.plugin_api.errors import ProntuarioError
from tests.cluster.vip.running_vipd import PATIENCE_S, eventually

NAME = "prontuario.local"
SETTINGS = HaproxySettings(
    (BalancedNode("a", "10.0.0.1"), BalancedNode("b", "fd00::2", 9443)), "/etc/prontuario/ca.pem", NAME
)
needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")


@dataclass
class Certificate:
    """A self-signed certificate, its own authority."""

    folder: Path
    names: tuple[str, ...]

    def write(self) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.names[0])])
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in self.names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.folder.mkdir(exist_ok=True)
        certificate, private = self.folder / "cert.pem", self.folder / "key.pem"
        certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private


class SmallNode:
    """Answers /health/primary as a node does, and everything else with its name."""

    def __init__(self, name: str, certificate: Path, key: Path) -> None:
        self.primary = False
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                health = self.path == "/health/primary"
                self.send_response(200 if node.primary or not health else 503)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: object) -> None:
                """Silent."""

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A check that breaks off is no news."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def ask(port: int, authority: Path) -> str | None:
    """Who answers behind the balancer; None: nobody."""
    context = ssl.create_default_context(cafile=str(authority))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as line,
        ):
            line.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while part := line.recv(4096):
                answer += part
            return answer.rpartition(b"\r\n")[2].decode()
    except OSError:
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Balanced:
    """haproxy before two nodes."""

    a: SmallNode
    b: SmallNode
    port: int
    authority: Path

    def who(self) -> str | None:
        return ask(self.port, self.authority)


def start_haproxy(settings: HaproxySettings, folder: Path) -> subprocess.Popen[bytes]:
    file = folder / "haproxy.cfg"
    file.write_text(render(settings))
    with (folder / "haproxy.log").open("wb") as log:
        return subprocess.Popen(["haproxy", "-db", "-f", str(file)], stdout=log, stderr=log)


def balanced_settings(nodes: tuple[SmallNode, SmallNode], authority: Path, port: int) -> HaproxySettings:
    entries = tuple(BalancedNode(name, "127.0.0.1", node.port) for name, node in zip("ab", nodes, strict=True))
    quick = HaproxySettings(entries, str(authority), NAME, bind=f"127.0.0.1:{port}")
    return replace(quick, check_every_s=0.1, check_timeout_s=2.0, failures=2)


@pytest.fixture
def balanced(tmp_path: Path) -> Iterator[Balanced]:
    certificate, key = Certificate(tmp_path / "tls", (NAME,)).write()
    a, b = SmallNode("a", certificate, key), SmallNode("b", certificate, key)
    port = free_port()
    process = start_haproxy(balanced_settings((a, b), certificate, port), tmp_path)
    try:
        yield Balanced(a, b, port, certificate)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        a.close()
        b.close()


def test_the_defaults_are_five_seconds_two_seconds_three_failures() -> None:
    text = render(SETTINGS)
    assert "inter 5000ms fall 3 rise 1" in text
    assert "timeout check 2000ms" in text
    assert "mode tcp" in text
    assert "server a 10.0.0.1:8443 check check-ssl" in text
    assert "server b [fd00::2]:9443 check check-ssl" in text


def test_everything_can_be_set() -> None:
    own = replace(SETTINGS, check_every_s=1.5, check_timeout_s=0.7, failures=4, successes=2, bind="10.1.1.1:443")
    own = replace(own, connect_timeout_s=3, idle_timeout_s=30, max_connections=77)
    text = render(own)
    for line in ("inter 1500ms fall 4 rise 2", "timeout check 700ms", "bind 10.1.1.1:443", "timeout connect 3000ms"):
        assert line in text
    assert "timeout client 30000ms" in text
    assert "maxconn 77" in text


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (replace(SETTINGS, check_every_s=0), "check_every_s"),
        (replace(SETTINGS, failures=0), "failures"),
        (replace(SETTINGS, server_name="x\n    server evil 6.6.6.6:1"), "server_name"),
        (replace(SETTINGS, authority="ca.pem"), "authority"),
        (replace(SETTINGS, authority="/ca\nglobal"), "authority"),
        (replace(SETTINGS, bind="8443"), "bind"),
        (replace(SETTINGS, bind="x y:8443"), "bind"),
        (replace(SETTINGS, bind=":70000"), "bind"),
        (replace(SETTINGS, nodes=()), "nodes"),
        (replace(SETTINGS, nodes=(BalancedNode("a", "h"), BalancedNode("a", "i"))), "nodes"),
        (replace(SETTINGS, nodes=(BalancedNode("a b", "h"),)), "nodes"),
        (replace(SETTINGS, nodes=(BalancedNode("a", "h\nx"),)), "nodes"),
    ],
)
def test_a_value_that_haproxy_would_misread_is_refused_by_name(wrong: HaproxySettings, named: str) -> None:
    with pytest.raises(ProntuarioError) as error:
        render(wrong)
    assert error.value.details["settings"] == named


@needs_haproxy
def test_haproxy_itself_accepts_it(tmp_path: Path) -> None:
    authority, _ = Certificate(tmp_path / "with space", (NAME,)).write()
    file = tmp_path / "haproxy.cfg"
    file.write_text(render(replace(SETTINGS, authority=str(authority))))
    done = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@needs_haproxy
def test_clients_follow_the_lease_holder_with_tls_unopened(balanced: Balanced) -> None:
    balanced.a.primary = True
    assert eventually(lambda: balanced.who() == "a")
    balanced.a.primary, balanced.b.primary = False, True
    assert eventually(lambda: balanced.who() == "b")
    balanced.b.primary = False
    assert eventually(lambda: balanced.who() is None), "nobody leads: nobody is served"
    balanced.a.primary = True
    assert eventually(lambda: balanced.who() == "a")


@needs_haproxy
def test_an_open_connection_to_a_node_that_lost_the_lease_is_ended(balanced: Balanced) -> None:
    balanced.a.primary = True
    assert eventually(lambda: balanced.who() == "a")
    context = ssl.create_default_context(cafile=str(balanced.authority))
    with (
        socket.create_connection(("127.0.0.1", balanced.port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as line,
    ):
        line.settimeout(PATIENCE_S)
        balanced.a.primary = False
        try:
            ended = line.recv(1) == b""
        except OSError as error:
            ended = not isinstance(error, TimeoutError)
        assert ended


@needs_haproxy
def test_a_server_with_another_authoritys_certificate_is_never_used(tmp_path: Path) -> None:
    ours, _ = Certificate(tmp_path / "ours", (NAME,)).write()
    theirs, their_key = Certificate(tmp_path / "theirs", (NAME,)).write()
    ours_too, our_key = Certificate(tmp_path / "good", (NAME,)).write()
    false, good = SmallNode("false", theirs, their_key), SmallNode("good", ours_too, our_key)
    false.primary = good.primary = True
    port = free_port()
    settings = balanced_settings((false, good), ours_too, port)
    process = start_haproxy(settings, tmp_path)
    try:
        assert eventually(lambda: ask(port, ours_too) == "good")
        # Before its first failures a server counts as up, so wait until only the good one answers.
        answers = []
        for _ in range(10):
            answers.append(ask(port, ours_too))
            time.sleep(0.05)
        assert set(answers) == {"good"}
        assert ask(port, ours) is None
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        false.close()
        good.close()
