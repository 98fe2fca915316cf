"""The network lab itself: what it cuts is cut, in that direction only, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.netlab import DIRECT, LAN, LAN6, NetLab, remove_leftovers
from tests.cluster.vip.running_vipd import PATIENCE_S, eventually

HEARD = """
import socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(("0.0.0.0", 5000))
print("ready", flush=True)
while True:
    print(line.recv(100).decode(), flush=True)
"""
SAY = """
import socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.sendto(sys.argv[2].encode(), (sys.argv[1], 5000))
"""


def say(lab: NetLab, node: str, to: str, word: str) -> None:
    lab.run(node, sys.executable, "-S", "-c", SAY, to, word)


def test_everyone_meets_on_the_lan_and_two_over_their_cable(lab: NetLab) -> None:
    lab.answer("b")
    for source in ("a", "client", "voter"):
        assert lab.who_answers(source, LAN["b"], limit_s=10) == "b"
        assert lab.who_answers(source, LAN6["b"], limit_s=10) == "b"
    assert lab.who_answers("a", DIRECT["b"], limit_s=10) == "b"
    assert lab.who_answers("client", DIRECT["b"]) is None


def test_a_cut_goes_one_way_when_asked_and_leaves_the_cable(lab: NetLab) -> None:
    listeners = {}
    for node in ("a", "b"):
        listeners[node] = lab.popen(node, [sys.executable, "-S", "-c", HEARD], stdout=subprocess.PIPE, text=True)
        assert listeners[node].stdout.readline() == "ready\n"
    for node, other in (("a", "b"), ("b", "a")):  # both know each other's hardware address
        say(lab, node, LAN[other], "hello")
        assert listeners[other].stdout.readline() == "hello\n"
    lab.cut("a", "b", both=False)
    say(lab, "a", LAN["b"], "lost")
    say(lab, "b", LAN["a"], "heard")
    assert listeners["a"].stdout.readline() == "heard\n"
    say(lab, "a", DIRECT["b"], "by cable")
    assert listeners["b"].stdout.readline() == "by cable\n"
    lab.heal("a", "b")
    say(lab, "a", LAN["b"], "again")
    assert listeners["b"].stdout.readline() == "again\n"
    for listener in listeners.values():
        listener.kill()
        listener.wait(PATIENCE_S)
        listener.stdout.close()


def test_an_isolated_node_is_alone_until_all_is_healed(lab: NetLab) -> None:
    lab.answer("a")
    assert lab.who_answers("client", LAN["a"], limit_s=10) == "a"
    lab.isolate("a")
    assert lab.who_answers("client", LAN["a"]) is None
    assert lab.who_answers("b", DIRECT["a"], limit_s=10) == "a"
    lab.isolate("a", direct=True)
    assert lab.who_answers("b", DIRECT["a"]) is None
    lab.heal()
    assert eventually(lambda: lab.who_answers("client", LAN["a"]) == "a")
    assert eventually(lambda: lab.who_answers("b", DIRECT["a"]) == "a")


def test_healing_what_was_not_cut_is_fine(lab: NetLab) -> None:
    lab.heal("a", "b", "direct")
    lab.heal()


def test_a_process_keeps_the_pid_that_it_was_started_with(lab: NetLab) -> None:
    sleeper = lab.popen("a", ["sleep", "1000"])
    assert eventually(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
    assert str(sleeper.pid) in subprocess.check_output(["ip", "netns", "pids", lab.namespace("a")], text=True)


def test_labs_stand_side_by_side(lab: NetLab) -> None:
    with NetLab() as other:
        lab.answer("a")
        assert lab.who_answers("client", LAN["a"], limit_s=10) == "a"
        assert other.who_answers("client", LAN["a"]) is None


def test_closing_ends_every_process_and_removes_every_namespace(lab: NetLab) -> None:
    with NetLab() as other:
        argv = [sys.executable, "-S", "-c", "import os, time; print(os.fork(), flush=True); time.sleep(1000)"]
        parent = other.popen("b", argv, stdout=subprocess.PIPE, text=True)
        grandchild = int(parent.stdout.readline())
        name = other.namespace("")
        parent.stdout.close()
    assert not [path for path in Path("/run/netns").iterdir() if path.name.startswith(name)]
    for pid in (parent.pid, grandchild):
        stat = Path(f"/proc/{pid}/stat")
        assert eventually(lambda stat=stat: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_the_lab_of_a_killed_process_is_removed_by_the_next(lab: NetLab) -> None:
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from tests.cluster.netlab import NetLab\n"
        "lab = NetLab().__enter__(); print(lab.namespace(''), flush=True); time.sleep(1000)"
    )
    root = str(Path(__file__).resolve().parents[3])
    killed = subprocess.Popen([sys.executable, "-c", program, root], stdout=subprocess.PIPE, text=True)
    name = killed.stdout.readline().strip()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(PATIENCE_S)
    killed.stdout.close()
    assert [path for path in Path("/run/netns").iterdir() if path.name.startswith(name)]
    remove_leftovers()
    assert not [path for path in Path("/run/netns").iterdir() if path.name.startswith(name)]
