"""The gate that a new version has to pass: a real TLS server that is ready, is not, is somebody else, or is not there."""

from __future__ import annotations

import importlib.util
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes.package_sources import ROOT
from tests.packaging.conftest import Authority, make_authority


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "health_gate", ROOT / "packaging" / "install" / "shipped" / "health_gate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def node(folder: Path, authority: Authority, *statuses: int) -> Iterator[int]:
    """The port of a server that gives these answers, the last one for ever."""
    left = list(statuses)

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status if self.path == "/health/ready" else 404)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    (folder / "chain").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in authority.chain))
    (folder / "key").write_bytes(authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain", folder / "key")
    server = HTTPServer(("127.0.0.1", 0), Ready)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def home(folder: Path, authority: Authority, port: int) -> Path:
    (folder / "prontuario.toml").write_text(f'[api]\nhost = "0.0.0.0"\nport = {port}\n')
    (folder / "ca.pem").write_bytes(authority.root.public_bytes(Encoding.PEM))
    return folder


def test_a_node_that_gets_ready_passes(gate: ModuleType, tmp_path: Path, authority: Authority) -> None:
    with node(tmp_path, authority, 503, 200) as port:
        assert gate.main(home(tmp_path, authority, port), 60.0) == 0


def test_a_node_that_stays_unready_does_not(
    gate: ModuleType, tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    with node(tmp_path, authority, 503) as port:
        assert gate.main(home(tmp_path, authority, port), 0.0) == 1
    assert "it answers 503" in capsys.readouterr().err


def test_somebody_else_on_the_port_does_not(gate: ModuleType, tmp_path: Path, authority: Authority) -> None:
    with node(tmp_path, make_authority("Outro"), 200) as port:
        assert "SSLCertVerificationError" in gate.ask("127.0.0.1", port, home(tmp_path, authority, port) / "ca.pem")


def test_nobody_on_the_port_does_not(gate: ModuleType, tmp_path: Path, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert gate.main(home(tmp_path, authority, port), 0.0) == 1
