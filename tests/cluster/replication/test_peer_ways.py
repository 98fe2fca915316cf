"""Two cables to one peer: the second is used while the first is silent, and left when it is whole again. Real namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.peer_ways import Ways
from appliance.security.node_authority import NodeFiles, client_side
from tests.cluster.netlab import DIRECT, LAN, NetLab, why_not

PROGRAMS = Path(__file__).parent / "programs"
PORT = 8444


def ways(files: dict[str, NodeFiles], *hosts: str, port: int = 1) -> Ways:
    return Ways(hosts, port, client_side(files["a"]), "b", frame_limit=1 << 16)


def test_the_ways_take_turns_and_the_first_is_preferred(r_certificates: dict[str, NodeFiles]) -> None:
    two = ways(r_certificates, "cable", "lan")
    assert (two.now, two.detour) == ("cable", False)
    assert two.turn(), "one that was not tried yet"
    assert (two.now, two.detour) == ("lan", True)
    assert not two.turn(), "both were tried: time for a pause"
    two.turn()
    two.prefer()
    assert two.now == "cable"


def test_a_single_way_never_turns(r_certificates: dict[str, NodeFiles]) -> None:
    one = ways(r_certificates, "cable", "")
    assert not one.turn()
    assert (one.now, one.detour) == ("cable", False)


async def test_nobody_there_is_an_error(r_certificates: dict[str, NodeFiles]) -> None:
    with pytest.raises(OSError, match="Connect call failed"):
        await ways(r_certificates, "127.0.0.1", "127.0.0.2").open()


@pytest.fixture
def lab() -> Iterator[NetLab]:
    if reason := why_not():
        pytest.skip(reason)
    with NetLab() as made:
        yield made


Tells = Callable[[Callable[[dict[str, Any]], bool]], dict[str, Any]]


@pytest.fixture
def caller(lab: NetLab, r_certificates: dict[str, NodeFiles], tmp_path: Path) -> Iterator[Tells]:
    """Node b answers, node a asks without pause; the returned function waits for a line of a's that fits."""
    server, client = r_certificates["b"], r_certificates["a"]
    program = [sys.executable, str(PROGRAMS / "asking_peer.py")]
    with (tmp_path / "b.log").open("ab") as log:
        answering = lab.popen(
            "b", [*program, "answer", str(server.key.parent), "", str(PORT)], stdout=subprocess.PIPE, stderr=log
        )
        assert answering.stdout is not None
        assert answering.stdout.readline(), (tmp_path / "b.log").read_text()
        hosts = f"{DIRECT['b']},{LAN['b']}"
        asking = lab.popen(
            "a", [*program, "ask", str(client.key.parent), hosts, str(PORT)], stdout=subprocess.PIPE, stderr=log
        )

    def wait_for(fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert asking.stdout is not None
        for line in asking.stdout:
            told: dict[str, Any] = json.loads(line)
            if fits(told):
                return told
        raise AssertionError((tmp_path / "b.log").read_text())

    yield wait_for
    for process in (answering, asking):
        process.kill()
        process.communicate()


@pytest.mark.timeout(180)
def test_questions_go_on_over_the_lan_while_the_cable_is_cut_and_come_back(lab: NetLab, caller: Tells) -> None:
    def answered(way: str) -> Callable[[dict[str, Any]], bool]:
        return lambda told: bool(told["ok"]) and told["way"] == way

    caller(answered(DIRECT["b"]))
    lab.cut("a", "b", "direct")
    caller(answered(LAN["b"]))
    lab.heal("a", "b", "direct")
    caller(answered(DIRECT["b"]))
    lab.cut("a", "b", "lan")
    first = caller(lambda _: True)
    later = caller(lambda told: int(told["asked"]) > int(first["asked"]) + 20)
    assert later["failed"] == first["failed"], "a cut LAN does not touch the cable"
    lab.cut("a", "b", "direct")
    caller(lambda told: not told["ok"])
