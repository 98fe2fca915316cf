"""Machines of network namespaces: they meet where they are plugged in, and nothing of them is left."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from appliance.daemon.pair.namespaces import Namespaces, build, interface, list_namespaces, why_no_namespaces

pytestmark = pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces()))
TOLD = "import os, socket; print(os.getpid(), [name for _, name in socket.if_nameindex() if name != 'lo'])"


@pytest.fixture
def prefix() -> Iterator[str]:
    made = f"pttest-{secrets.token_hex(4)}"
    yield made
    Namespaces(made).remove()


def ping(machines: Namespaces, machine: str, address: str) -> bool:
    """Whether a TCP connection to a closed port there is refused, by a machine that is there, and not lost."""
    program = f"import socket; socket.create_connection(('{address}', 9), 5)"
    argv = machines.command(machine, [sys.executable, "-S", "-c", program])
    return "ConnectionRefusedError" in subprocess.run(argv, capture_output=True, text=True, check=False).stderr


def test_two_machines_meet_on_their_link_and_keep_the_pids_that_they_were_started_with(prefix: str) -> None:
    members = {"x": ("198.18.255.1/30", "fd99::1/64"), "y": ("198.18.255.2/30",)}
    machines = build(prefix, ["x", "y", "z"], {"lan": members})
    assert ping(machines, "x", "198.18.255.2")
    process = subprocess.Popen(
        machines.command("x", [sys.executable, "-S", "-c", TOLD]), stdout=subprocess.PIPE, text=True
    )
    assert process.communicate()[0].strip() == f"{process.pid} {[interface('lan')]}"
    alone = machines.command("z", [sys.executable, "-S", "-c", TOLD])
    assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout.strip().endswith("[]")


def test_this_machine_is_plugged_in_and_out_again(prefix: str) -> None:
    machines = build(prefix, ["x"], {"lan": {"x": ("198.18.254.1/30",)}})
    own = f"ptt{os.getpid()}"[:15]
    machines.plug_this_machine("lan", own, "198.18.254.2/30")
    assert ping(machines, "x", "198.18.254.2")
    machines.remove()
    assert not [name for name in list_namespaces() if name.startswith(prefix)]
    listing = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert own not in listing


def test_removing_ends_what_runs_inside(prefix: str) -> None:
    machines = build(prefix, ["x"], {})
    command = machines.command("x", ["sh", "-c", "echo inside; exec sleep 600"])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inside\n"
        machines.remove()
        assert process.wait(30) != 0
    machines.remove()


def test_what_can_not_be_built_leaves_nothing(prefix: str) -> None:
    with pytest.raises(RuntimeError, match="no address"):
        build(prefix, ["x"], {"lan": {"x": ("no address",)}})
    assert not [name for name in list_namespaces() if name.startswith(prefix)]
