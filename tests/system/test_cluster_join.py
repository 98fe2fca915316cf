"""``cluster init`` on one machine and ``cluster join`` on the other, as two people at two keyboards would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import Paths, load_config
from appliance.daemon.ports import free_ports
from appliance.security.authority import load_certificate
from tests.conftest import command

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def inviting(home: Path, port: int) -> tuple[subprocess.Popen[str], str]:
    """``cluster init`` until it has printed the command for the other side."""
    argv = [
        sys.executable, "-m", "appliance.daemon", "cluster", "init", "--home", str(home), "--address", "127.0.0.1",
        "--peer-address", "127.0.0.1", "--witness-address", "127.0.0.1", "--vip", "10.9.9.9", "--vip-interface", "lo",
        "--join-port", str(port),
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if told := re.search(r"--code (\S+)", line):
            return process, told[1]
    pytest.fail(f"no code: {heard}")


def test_two_keyboards_make_a_pair(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    command("init", "--home", str(a), "--profile", "development", "--hospital", "Santa Casa")
    [port] = free_ports(1)
    process, code = inviting(a, port)
    try:
        wrong = command(
            "cluster", "join", "--home", str(b), "--first", f"127.0.0.1:{port}", "--code", "ABC", check=False
        )
        assert wrong.returncode == 1
        assert "mistyped" in wrong.stderr
        assert not b.exists()
        command("cluster", "join", "--home", str(b), "--first", f"127.0.0.1:{port}", "--code", code)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert "has joined" in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    config = load_config(Paths(b).config)
    assert (config.cluster.mode, config.cluster.node, config.node.hospital) == ("paired", "b", "Santa Casa")
    assert config.cluster.client_address == "10.9.9.9:8443"
    root, server = load_certificate(a / "ca.pem"), load_certificate(b / "secrets" / "server.pem")
    assert root is not None
    assert server is not None
    server.verify_directly_issued_by(root)
    assert {path.name for path in (a / "voter").iterdir()} >= {"etcd.sh", "node-ca.pem", "node.key"}
    used = command(
        "cluster", "join", "--home", str(tmp_path / "c"), "--first", f"127.0.0.1:{port}", "--code", code, check=False
    )
    assert used.returncode == 1, "nobody is invited any more"
