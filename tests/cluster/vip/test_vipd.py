"""vipd for real, in network namespaces."""

from __future__ import annotations

import os
import signal
import socket as sockets
from pathlib import Path

import pytest

from appliance.cluster.lease_clock import steady_s
from appliance.daemon.vipd.backends.ip import KERNEL_LIFE_S
from tests.cluster.netlab import INTERFACE, LAN, LAN6, VIP, VIP6, NetLab
from tests.cluster.vip.running_vipd import PATIENCE_S, RunningVipd, StartVipd, eventually


def test_an_acquired_address_answers_the_client_and_moves_with_its_neighbour_entry(
    lab: NetLab, start_vipd: StartVipd
) -> None:
    lab.answer("a")
    lab.answer("b")
    first, second = start_vipd("a"), start_vipd("b")
    assert first.acquire(epoch=1)["up"] == [VIP]
    assert eventually(lambda: lab.who_answers("client", VIP) == "a")
    assert lab.neighbour("client", VIP) == lab.hardware_address("a")

    assert first.ask("release", epoch=1)["up"] == []
    assert second.acquire(epoch=2)["up"] == [VIP]
    assert eventually(lambda: lab.neighbour("client", VIP) == lab.hardware_address("b"))
    assert eventually(lambda: lab.who_answers("client", VIP) == "b")
    assert not lab.has("a", VIP)


def test_ipv6_moves_by_unsolicited_advertisement_alone(lab: NetLab, start_vipd: StartVipd) -> None:
    lab.answer("a")
    lab.answer("b")
    first, second = start_vipd("a", (VIP6,)), start_vipd("b", (VIP6,))
    assert first.acquire(1, addresses=(VIP6,))["up"] == [VIP6]
    assert eventually(lambda: lab.who_answers("client", VIP6) == "a")
    # A lost release: both have it for a moment, and only the announcement can tell the client who came last.
    assert second.acquire(2, addresses=(VIP6,))["up"] == [VIP6]
    assert eventually(lambda: lab.neighbour("client", VIP6) == lab.hardware_address("b"))


def test_the_address_is_never_the_source_of_the_nodes_own_connections(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd("a", (VIP, VIP6))
    assert vipd.acquire(addresses=(VIP, VIP6))["up"] == [VIP, VIP6]
    assert f"src {LAN['a']}" in lab.run("a", "ip", "route", "get", LAN["client"]).stdout
    assert f"src {LAN6['a']}" in lab.run("a", "ip", "route", "get", LAN6["client"]).stdout


def test_nobody_renews_and_the_address_goes(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    assert vipd.acquire(for_s=1.0)["held"] == [VIP]
    assert eventually(lambda: not lab.has("a", VIP))
    state = vipd.ask("status")
    assert state["held"] == []
    assert state["epoch"] == 1


def test_a_long_grant_outlives_the_kernels_own_limit_without_renewal(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    deadline = vipd.acquire(for_s=50.0)["deadline_s"]
    end = steady_s() + KERNEL_LIFE_S + 3
    while steady_s() < end:
        assert lab.has("a", VIP) or steady_s() > deadline
    assert vipd.ask("status")["up"] == [VIP]


def test_renewal_keeps_the_address_beyond_the_kernels_own_limit(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire(for_s=3.0)
    end = steady_s() + 7.0
    while steady_s() < end:
        answer = vipd.ask("renew", epoch=1, deadline_s=steady_s() + PATIENCE_S)
        assert not answer["code"]
        assert lab.has("a", VIP)
    assert vipd.ask("release", epoch=1)["up"] == []


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL])
def test_the_guard_drops_the_address_when_vipd_itself_is_stopped_or_killed(
    blow: signal.Signals, lab: NetLab, start_vipd: StartVipd
) -> None:
    vipd = start_vipd()
    vipd.acquire(for_s=2.0)
    os.kill(vipd.pid, blow)
    assert eventually(lambda: not lab.has("a", VIP))
    if blow == signal.SIGSTOP:
        os.kill(vipd.pid, signal.SIGCONT)
        assert vipd.ask("renew", epoch=1, deadline_s=steady_s() + 5)["code"] == "cluster.vip_not_held"
        assert vipd.acquire(epoch=1)["up"] == [VIP]


def test_the_server_drops_the_address_and_ends_when_the_guard_is_killed(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire()
    os.kill(vipd.guard, signal.SIGKILL)
    assert vipd.process.wait(PATIENCE_S) == 1
    assert not lab.has("a", VIP)


def test_the_server_drops_the_address_and_ends_when_the_guard_is_stopped(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire(for_s=50)
    os.kill(vipd.guard, signal.SIGSTOP)
    assert vipd.process.wait(PATIENCE_S) == 1
    assert not lab.has("a", VIP)


def test_the_kernel_drops_the_address_when_server_and_guard_die_at_once(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire(for_s=50)
    os.kill(vipd.guard, signal.SIGSTOP)
    os.kill(vipd.pid, signal.SIGKILL)
    os.kill(vipd.guard, signal.SIGKILL)
    assert eventually(lambda: not lab.has("a", VIP))


def test_start_and_end_leave_no_address(lab: NetLab, start_vipd: StartVipd) -> None:
    lab.run("a", "ip", "address", "add", f"{VIP}/32", "dev", INTERFACE["lan"])
    vipd = start_vipd()
    assert not lab.has("a", VIP)
    vipd.acquire()
    assert lab.has("a", VIP)
    assert vipd.stop() == 0
    assert not lab.has("a", VIP)
    assert not vipd.socket.exists()


def test_an_address_that_somebody_else_put_up_is_swept_away(lab: NetLab, start_vipd: StartVipd) -> None:
    start_vipd()
    lab.run("a", "ip", "address", "add", f"{VIP}/32", "dev", INTERFACE["lan"])
    assert eventually(lambda: not lab.has("a", VIP))


def test_an_address_that_somebody_took_away_comes_back_with_the_next_renewal(
    lab: NetLab, start_vipd: StartVipd
) -> None:
    vipd = start_vipd()
    vipd.acquire()
    lab.run("a", "ip", "address", "del", f"{VIP}/32", "dev", INTERFACE["lan"])
    assert vipd.ask("renew", epoch=1, deadline_s=steady_s() + 20)["up"] == [VIP]
    assert lab.has("a", VIP)


def test_a_lower_epoch_gets_nothing_and_takes_nothing_away(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire(epoch=7)
    for verb in ("acquire", "renew", "release"):
        answer = vipd.acquire(6) if verb == "acquire" else vipd.ask(verb, epoch=6, deadline_s=steady_s() + 9)
        assert answer["code"] == "cluster.vip_stale_epoch"
        assert answer["held"] == [VIP]
    assert lab.has("a", VIP)
    assert vipd.acquire(epoch=8)["epoch"] == 8


def test_only_what_the_configuration_lists_is_ever_put_up(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    before = lab.addresses("a")
    for address, interface in (("10.77.0.101", INTERFACE["lan"]), (VIP, "lo"), (VIP, "direct0"), ("; id", "lan0")):
        answer = vipd.ask("acquire", epoch=1, deadline_s=steady_s() + 9, addresses=[VIP, address], interface=interface)
        assert answer["code"] == "cluster.vip_not_allowed"
    assert lab.addresses("a") == before


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"{}\n",
        b'{"verb":"shell"}\n',
        b'{"verb":"status","more":1}\n',
        b"[" * 9000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_a_bad_line_harms_nobody(line: bytes, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.connect(str(vipd.socket))
        connection.sendall(line)
        connection.settimeout(PATIENCE_S)
        answer = connection.makefile().readline()
    assert not answer or "cluster.vip_bad_request" in answer
    assert vipd.acquire()["up"] == [VIP]


def _ask_as(uid: int, vipd: RunningVipd) -> str:
    """What another user of this machine gets to read, or the error's name."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            with sockets.socket(sockets.AF_UNIX) as line:
                line.connect(str(vipd.socket))
                line.sendall(b'{"verb":"status"}\n')
                os.write(writing, line.recv(4096))
        except OSError as error:
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process that xdist gave threads
def test_other_users_are_refused_by_the_file_and_by_their_uid(start_vipd: StartVipd) -> None:
    service, stranger = 12345, 23456
    vipd = start_vipd(client_uids=[service])
    assert '"epoch"' in _ask_as(service, vipd)
    assert _ask_as(stranger, vipd) == "PermissionError"
    vipd.socket.chmod(0o666)
    assert "cluster.vip_forbidden_user" in _ask_as(stranger, vipd)


def test_server_and_guard_are_root_with_two_capabilities_and_no_way_to_more(start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    for pid in (vipd.pid, vipd.guard):
        facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        facts = {name: value.strip() for name, value in facts.items()}
        net_admin_and_raw = 1 << 12 | 1 << 13
        for which in ("CapEff", "CapPrm", "CapBnd"):
            assert int(facts[which], 16) == net_admin_and_raw, which
        assert int(facts["CapInh"], 16) == int(facts["CapAmb"], 16) == 0
        assert facts["NoNewPrivs"] == "1"
        assert facts["Groups"] == ""


def test_a_second_vipd_on_the_same_socket_is_refused_and_hurts_nothing(lab: NetLab, start_vipd: StartVipd) -> None:
    vipd = start_vipd()
    vipd.acquire(for_s=59)
    with pytest.raises(AssertionError, match="vip_already_running"):
        start_vipd()
    assert vipd.ask("status")["up"] == [VIP]


def test_a_folder_that_others_may_write_is_refused(folder: Path, start_vipd: StartVipd) -> None:
    (folder / "a").mkdir()
    (folder / "a").chmod(0o777)
    with pytest.raises(AssertionError, match="vip_unsafe_folder"):
        start_vipd()
