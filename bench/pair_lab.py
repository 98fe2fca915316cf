"""A whole pair in network namespaces: two nodes with vipd, a third voter, a client; and the hands that hurt it.

Everything that a node runs lives in its namespace, so "the machine" can be killed, stopped or cut off as one. Needs root on Linux.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance.config.model import Paths
from appliance.daemon.pair.founding import found_for_development
from appliance.daemon.pair.plan import PairPlan, Place
from bench.pair_disks import SmallDisk
from bench.peers import signal_tree
from bench.report import say
from tests.cluster.netlab import DIRECT, INTERFACE, LAN, VIP, NetLab

ROOT = Path(__file__).resolve().parent.parent
PRONTUARIO = [sys.executable, "-m", "appliance.daemon"]
HANDOVER = ["cluster", "handover", "--yes-i-typed", "yes"]
ENGINES = ("facenet_auth", "medgemma_chat", "medical_images", "whisper_stt")
"""Plugins whose engines take seconds to load: a lab about the record is quicker without them after each restart."""
API_PORT = 8443
NODES = ("a", "b")
WITNESS = "w"
READY_LIMIT_S = 360.0
LEADER_LIMIT_S = 180.0


class PairLab:
    """``start`` it, hurt it, ``close`` it."""

    def __init__(self, folder: Path, net: NetLab) -> None:
        self.folder = folder
        self.net = net
        self.disks: dict[str, SmallDisk] = {}
        """Each node's own, when the lab has small ones: ``fill`` and ``free`` them."""
        self.url = f"https://{VIP}:{API_PORT}"
        self._logs: list[Any] = []

    def home(self, node: str) -> Path:
        """Where a node keeps everything."""
        return self.folder / node

    def start(self) -> None:
        """Found the pair, start all of it, wait for the first primary. Raises ``TimeoutError``."""
        asyncio.run(found_for_development(self.folder, self._plan()))
        for node in NODES:
            self._settle_in(node)
        self._run("voter", [*PRONTUARIO, "cluster", "voter", "--home", str(self.folder / WITNESS)], "voter")
        ready = [self.power_on(node) for node in NODES]
        for wait in ready:
            wait()
        self.primary()

    def primary(self, limit_s: float = LEADER_LIMIT_S) -> str:
        """The node that carries the virtual IP. Raises ``TimeoutError``."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            holders = [node for node in NODES if self.net.has(node, VIP)]
            if len(holders) == 1:
                return holders[0]
            time.sleep(0.1)
        raise TimeoutError("no node carries the virtual IP")

    def enrol(self, user: str) -> Path:
        """An enrolled device's client file, made on the primary."""
        out = self.folder / f"{user}.json"
        argv = ["client", "enrol", "--home", str(self.home(self.primary())), "--user", user, "--role", "nurse"]
        subprocess.run([*PRONTUARIO, *argv, "--out", str(out)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        return out

    # -- hurting it --------------------------------------------------------------------------------------------------
    def power_off(self, node: str) -> None:
        """The plug: nothing of it answers any more, and its addresses are gone with it."""
        self.net.isolate(node, direct=True)
        for pid in self._pids(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for address in self.net.addresses(node):
            if not address.startswith((LAN[node], "fd77", "fe80")):
                self.net.run(node, "ip", "address", "del", address, "dev", INTERFACE["lan"], check=False)

    def power_on(self, node: str) -> Callable[[], None]:
        """The plug again; what waits until the node is ready."""
        self._plug_in(node)
        argv = ["up", "--home", str(self.home(node)), "--no-admin", "--ready-json"]
        process = self._run(node, [*PRONTUARIO, *argv], node, stdout=subprocess.PIPE)
        lines: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=(process.stdout, lines), daemon=True)
        reader.start()

        def wait() -> None:
            deadline = time.monotonic() + READY_LIMIT_S
            while not lines:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"node {node} did not come up:\n{self.last_words(node)}")
                time.sleep(0.1)

        return wait

    def freeze(self, node: str) -> None:
        """SIGSTOP to all of it but vipd: root's little guard is the one who must act now."""
        self._signal_but_vipd(node, signal.SIGSTOP)

    def thaw(self, node: str) -> None:
        """And on it goes, as if nothing had happened."""
        self._signal_but_vipd(node, signal.SIGCONT)

    def hand_over(self, node: str) -> None:
        """As an operator on the primary would."""
        subprocess.run([*PRONTUARIO, *HANDOVER, "--home", str(self.home(node))], check=True, cwd=ROOT, timeout=60)

    def kill_core(self, node: str) -> None:
        """Only core, by kill -9; its supervisor starts it again."""
        with suppress(OSError, ValueError):
            signal_tree(int((Paths(self.home(node)).run / "core.pid").read_text(encoding="utf-8")), signal.SIGKILL)

    def kill_named(self, node: str, name: str) -> None:
        """Every process of a node whose program is called ``name``, by kill -9."""
        for pid in self._pids(node):
            with suppress(ProcessLookupError, FileNotFoundError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name:
                    os.kill(pid, signal.SIGKILL)

    def last_words(self, name: str) -> str:
        """The end of a log."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def close(self) -> None:
        """Let go of logs and disks; the namespaces end what runs in them."""
        for log in self._logs:
            log.close()
        for disk in self.disks.values():
            disk.unmount()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _plan(self) -> PairPlan:
        first, second = (
            Place(name=node, host=LAN[node], link=DIRECT[node], listen="0.0.0.0", api_port=API_PORT)  # noqa: S104  its own namespace
            for node in NODES
        )
        witness = Place(name=WITNESS, host=LAN["voter"])
        return PairPlan(
            first=first,
            second=second,
            witness=witness,
            client_address=f"{VIP}:{API_PORT}",
            vip_addresses=(VIP,),
            vip_interface=INTERFACE["lan"],
            vip_backend="ip",
            vipd_socket=str(self.folder / "{node}-vipd" / "vipd.sock"),
        )

    def _plug_in(self, node: str) -> None:
        for other in LAN:
            if other != node:
                self.net.heal(node, other)
        self.net.heal("a", "b", "direct")

    def _settle_in(self, node: str) -> None:
        """No engines."""
        config = Paths(self.home(node)).config
        disabled = f"disabled_plugins = {json.dumps(ENGINES)}\n"
        config.write_text(disabled + config.read_text(encoding="utf-8"), encoding="utf-8")

    def _run(self, node: str, argv: list[str], name: str, **options: Any) -> subprocess.Popen[Any]:
        log = (self.folder / f"{name}.log").open("ab")
        self._logs.append(log)
        options = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "cwd": ROOT} | options
        return self.net.popen(node, argv, **options)

    def _pids(self, node: str) -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", self.net.namespace(node)], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in listed.stdout.split()]

    def _signal_but_vipd(self, node: str, number: int) -> None:
        for pid in self._pids(node):
            with suppress(ProcessLookupError, FileNotFoundError):
                if b"\0vipd\0" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)


def _read_all(stream: Any, lines: list[bytes]) -> None:
    lines.extend(iter(stream.readline, b""))


@contextmanager
def pair_lab(folder: Path, *, small_disks: bool = False) -> Iterator[PairLab]:
    """A serving pair until the end of the block; with ``small_disks`` each node has one that can be filled."""
    with NetLab() as net:
        lab = PairLab(folder, net)
        try:
            for node in NODES if small_disks else ():
                lab.disks[node] = SmallDisk(lab.home(node))
            say("founding a pair in network namespaces")
            lab.start()
            say(f"{lab.primary()} leads")
            yield lab
        finally:
            lab.close()


def client_file(path: Path) -> dict[str, str]:
    """What ``enrol`` wrote."""
    return dict(json.loads(path.read_text(encoding="utf-8")))
