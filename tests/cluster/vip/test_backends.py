"""One contract for every backend, held by the real ip and keepalived, and by ifconfig's stand-in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.daemon.vipd.announce.line import ether_of
from tests.cluster.netlab import INTERFACE, VIP, VIP6, NetLab
from tests.cluster.vip.running_vipd import StartVipd, eventually

HERE = Path(__file__).resolve().parent
IFCONFIG = HERE.parents[1] / "fakes" / "ifconfig.sh"
BACKENDS = [
    "ip",
    "ifconfig",
    pytest.param(
        "keepalived", marks=pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")
    ),
]
Ask = Callable[..., str]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def driver(lab: NetLab, folder: Path) -> Iterator[Callable[[str, str], Ask]]:
    """Start a backend in node a; ask it by verb and addresses."""
    running: list[subprocess.Popen[str]] = []

    def start(backend: str, on: str = INTERFACE["lan"]) -> Ask:
        asked = {
            "addresses": [VIP, VIP6],
            "interface": INTERFACE["lan"],
            "on": on,
            "folder": str(folder),
            "backend": backend,
            "ifconfig": str(IFCONFIG),
        }
        argv = [sys.executable, str(HERE / "backend_program.py"), json.dumps(asked)]
        process = lab.popen("a", argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)

        def ask(*words: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(" ".join(words) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        return ask

    yield start
    for process in running:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def test_up_and_down_are_true_when_they_return_and_may_be_repeated(
    backend: str, lab: NetLab, driver: Callable[[str], Ask]
) -> None:
    ask = driver(backend)
    assert ask("start") == "None"
    for _ in range(2):
        assert ask("up", VIP, VIP6) == "ok"
        assert lab.has("a", VIP)
        assert lab.has("a", VIP6)
        assert ask("healthy") == "True"
    assert ask("is-up", VIP, VIP6) == "[[true, true], [true, true]]"
    for _ in range(2):
        assert ask("down", VIP, VIP6) == "ok"
        assert eventually(lambda: not lab.has("a", VIP) and not lab.has("a", VIP6))
    assert ask("is-up", VIP, VIP6) == "[[false, false], [false, false]]"
    assert ask("stop") == "None"


def test_a_host_address_only_and_the_nodes_own_ones_stay(
    backend: str, lab: NetLab, driver: Callable[[str], Ask]
) -> None:
    before = lab.addresses("a")
    ask = driver(backend)
    ask("start")
    ask("up", VIP, VIP6)
    # ip omits the prefix of a host address in some versions
    added = {entry.split("/")[0] + "/" + ([*entry.split("/"), "host"])[1] for entry in lab.addresses("a")} - set(before)
    assert {entry.replace("/host", "/32") for entry in added if "." in entry} == {f"{VIP}/32"}
    assert {entry.replace("/host", "/128") for entry in added if ":" in entry} == {f"{VIP6}/128"}
    ask("down", VIP, VIP6)
    ask("stop")
    assert eventually(lambda: lab.addresses("a") == before)


@pytest.mark.parametrize("backend", ["ip", "ifconfig"])
def test_a_tool_that_says_no_is_reported(backend: str, driver: Callable[..., Ask]) -> None:
    ask = driver(backend, on="absent0")
    assert ask("up", VIP) == "cluster.vip_tool_failed"
    assert ask("down", VIP) == "cluster.vip_tool_failed"


def test_vipd_with_ifconfig_moves_the_address_and_drops_it_at_the_deadline(lab: NetLab, start_vipd: StartVipd) -> None:
    both = (VIP, VIP6)
    first, second = (start_vipd(node, both, backend="ifconfig", ifconfig=str(IFCONFIG)) for node in ("a", "b"))
    lab.answer("a")
    lab.answer("b")
    assert first.acquire(1, for_s=3.0, addresses=both)["up"] == [VIP, VIP6]
    assert eventually(lambda: lab.who_answers("client", VIP) == "a")
    assert eventually(lambda: not lab.has("a", VIP) and not lab.has("a", VIP6))
    assert second.acquire(2, addresses=both)["up"] == [VIP, VIP6]
    assert eventually(lambda: lab.who_answers("client", VIP6) == "b")


def test_the_stand_in_refuses_what_darwin_would_not_understand(lab: NetLab) -> None:
    def ifconfig(*words: str) -> subprocess.CompletedProcess[str]:
        return lab.run("a", str(IFCONFIG), INTERFACE["lan"], *words, check=False)

    assert "usage" in ifconfig("inet", VIP, "up").stderr
    assert "Can't assign requested address" in ifconfig("inet", VIP, "-alias").stderr


def test_the_hardware_address_is_found_in_what_ifconfig_prints() -> None:
    listing = "en0: flags=8863<UP> mtu 1500\n\toptions=400<CHANNEL_IO>\n\tether 3c:22:fb:aa:01:0f\n\tinet 10.0.0.2\n"
    assert ether_of(listing) == bytes.fromhex("3c22fbaa010f")
    with pytest.raises(OSError, match="no Ethernet address"):
        ether_of("lo0: flags=8049<UP,LOOPBACK>\n\tinet 127.0.0.1\n")
