"""``prontuario vipd``, as launchd and ``prontuario up`` start it: real processes, and what they say when they can't serve."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cluster.lease_clock import steady_s
from appliance.cluster.vip_client import VipClient
from appliance.config import load_config
from appliance.config.model import Cluster, Config, Paths
from appliance.daemon.pair.plan import render
from appliance.daemon.up import _needs_vipd
from appliance.daemon.vipd.pid_lock import PidLock, is_locked
from appliance.daemon.vipd.settings import settings_of
from tests.cluster.netlab import INTERFACE, VIP, NetLab

PATIENCE_S = 60.0
Start = Callable[[], tuple[subprocess.Popen[bytes], str]]


@pytest.fixture
def home(folder: Path) -> Path:
    """A home whose configuration names a virtual IP."""
    cluster = Cluster(
        mode="paired",
        vip_addresses=(VIP,),
        vip_interface=INTERFACE["lan"],
        vip_backend="ip",
        vipd_socket=str(folder / "socket" / "vipd.sock"),
    )
    (folder / "home").mkdir()
    Paths(folder / "home").config.write_text(render("cluster", cluster))
    return folder / "home"


@pytest.fixture
def start(lab: NetLab, home: Path) -> Start:
    """Run the command in node a; it and its ready line."""

    def run() -> tuple[subprocess.Popen[bytes], str]:
        ready, ready_end = os.pipe()
        argv = [sys.executable, "-m", "appliance.daemon", "vipd", "--home", str(home), f"--ready-fd={ready_end}"]
        process = lab.popen("a", argv, pass_fds=(ready_end,), stderr=subprocess.PIPE)
        os.close(ready_end)
        with os.fdopen(ready) as line:
            return process, line.readline()

    return run


async def test_it_serves_core_until_it_is_told_to_end(lab: NetLab, home: Path, start: Start) -> None:
    process, ready = start()
    assert str(process.pid) in ready
    cluster = load_config(Paths(home).config).cluster
    client = VipClient(Path(cluster.vipd_socket), cluster.vip_addresses, cluster.vip_interface)
    await client.acquire(1, steady_s() + 30)
    assert lab.has("a", VIP)
    await client.close()
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert not lab.has("a", VIP), "it takes the address along"


def test_a_second_one_for_the_same_socket_says_who_is_first(start: Start) -> None:
    first, ready = start()
    assert ready
    second, nothing = start()
    _, said = second.communicate(timeout=PATIENCE_S)
    assert (nothing, second.returncode) == ("", 1)
    assert str(first.pid).encode() in said
    assert b"Traceback" not in said
    first.terminate()
    first.communicate(timeout=PATIENCE_S)


def test_without_an_address_in_the_configuration_there_is_nothing_to_keep(start: Start, home: Path) -> None:
    Paths(home).config.write_text("[cluster]\n")
    process, nothing = start()
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (nothing, process.returncode) == ("", 1)
    assert b"vip_" in said
    assert b"Traceback" not in said


def test_up_starts_one_unless_launchd_s_is_there_or_none_is_needed(home: Path) -> None:
    config = load_config(Paths(home).config)
    settings = settings_of(home, config)
    assert not is_locked(settings.pid_file), "never made"
    assert not _needs_vipd(home, Config()), "a node alone"
    if os.geteuid() != 0:
        pytest.skip("vipd needs root")
    assert _needs_vipd(home, config)
    settings.pid_file.parent.mkdir()
    with PidLock(settings.pid_file):
        assert is_locked(settings.pid_file)
        assert not _needs_vipd(home, config)
    assert not is_locked(settings.pid_file), "a file that nobody holds is no lock"
    assert _needs_vipd(home, config)
