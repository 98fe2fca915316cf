"""The keepalived backend with Debian's keepalived, under vipd in namespaces."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from appliance.cluster.lease_clock import steady_s
from appliance.daemon.vipd.allow_list import AllowList
from appliance.daemon.vipd.backends.keepalived import render_config, router_id
from tests.cluster.netlab import INTERFACE, VIP, VIP6, NetLab
from tests.cluster.vip.running_vipd import PATIENCE_S, StartVipd, eventually

needs_keepalived = pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed")


def _keepalived_of(vipd_pid: int) -> int:
    children = Path(f"/proc/{vipd_pid}/task/{vipd_pid}/children").read_text().split()
    return next(int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "keepalived")


@needs_keepalived
def test_it_raises_both_families_and_moves_them_to_the_other_node(lab: NetLab, start_vipd: StartVipd) -> None:
    both = (VIP, VIP6)
    first, second = (start_vipd(node, both, backend="keepalived") for node in ("a", "b"))
    assert not lab.has("a", VIP)
    assert not lab.has("b", VIP)
    assert first.acquire(1, addresses=both)["up"] == [VIP, VIP6]
    lab.answer("a")
    assert eventually(lambda: lab.who_answers("client", VIP) == "a")
    assert first.ask("release", epoch=1)["up"] == []
    assert second.acquire(2, addresses=both)["up"] == [VIP, VIP6]
    assert eventually(lambda: lab.neighbour("client", VIP) == lab.hardware_address("b"))
    assert not lab.has("a", VIP)


@needs_keepalived
def test_a_stopped_keepalived_keeps_the_address_not_a_moment_longer(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd(backend="keepalived")
    vipd.acquire(for_s=2.0)
    keepalived = _keepalived_of(vipd.pid)
    children = [int(pid) for pid in Path(f"/proc/{keepalived}/task/{keepalived}/children").read_text().split()]
    for pid in (keepalived, *children):
        os.kill(pid, signal.SIGSTOP)
    assert eventually(lambda: not lab.has("a", VIP))
    for pid in (keepalived, *children):
        os.kill(pid, signal.SIGCONT)
    assert vipd.ask("renew", epoch=1, deadline_s=steady_s() + 9)["code"] == "cluster.vip_not_held"
    assert eventually(lambda: not lab.has("a", VIP))


@needs_keepalived
def test_vipd_ends_when_keepalived_dies_and_takes_the_address_along(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd(backend="keepalived")
    vipd.acquire()
    os.kill(_keepalived_of(vipd.pid), signal.SIGKILL)
    assert vipd.process.wait(PATIENCE_S) == 1
    assert eventually(lambda: not lab.has("a", VIP))


@needs_keepalived
@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL])
def test_a_stopped_or_killed_vipd_loses_the_address(blow: signal.Signals, lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd(backend="keepalived")
    vipd.acquire(for_s=2.0)
    keepalived = _keepalived_of(vipd.pid)
    os.kill(vipd.pid, blow)
    assert eventually(lambda: not lab.has("a", VIP))
    if blow == signal.SIGKILL:
        assert eventually(lambda: not Path(f"/proc/{keepalived}").exists())


def test_the_configuration_holds_the_allow_list_and_nothing_that_a_file_could_add(tmp_path: Path) -> None:
    allowed = AllowList.parse((VIP, VIP6, "10.77.0.101"), INTERFACE["lan"])
    text = render_config(allowed, tmp_path / "hold")
    plain, excluded = text.split("virtual_ipaddress_excluded")
    assert f"{VIP}/32 dev lan0" in plain
    assert "10.77.0.101/32 dev lan0" in plain
    assert VIP6 not in plain
    assert f"{VIP6}/128 dev lan0" in excluded
    assert text.count("{") == text.count("}")
    assert 1 <= router_id(allowed.entries[0]) <= 255
    assert router_id(allowed.entries[0]) != router_id(allowed.entries[2])
