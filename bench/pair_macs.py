"""The pair of ``pair_lab`` with a stand-in Mac for each node: installed from a package, run by launchd, updated from a stick."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from appliance.config import Paths
from appliance.daemon.control import ask
from appliance.daemon.pair.founding import found_for_development
from appliance.daemon.pair.plan import PairPlan
from bench.mac_machine import HOME, PREFIX, STICK, Mac
from bench.pair_lab import NODES, PRONTUARIO, READY_LIMIT_S, WITNESS, PairLab
from bench.pair_update_versions import Workshop
from bench.report import say
from tests.cluster.netlab import NetLab

_HOME: Final = (f"--home={HOME}",)
"""On a Mac this is where the command looks by itself."""
INSTALL_LIMIT_S: Final = 900
TELL_LIMIT_S: Final = 30.0
PATIENT: Final = "lease_ttl_s = 3.0\netcd_heartbeat_ms = 150\netcd_election_ms = 1500\nship_deadline_s = 10.0"
"""On a machine that others use meanwhile, a second's stall is no fault: the shipped times would depose and mark."""


class PairMacs(PairLab):
    """``start`` it; then ``stage`` and ``apply`` updates on each Mac as its operator would."""

    def __init__(self, folder: Path, net: NetLab, shop: Workshop, *, patient: bool) -> None:
        super().__init__(folder, net)
        self._shop, self._patient = shop, patient
        self.macs = {node: Mac(folder / node, _within(net, node)) for node in NODES}

    def home(self, node: str) -> Path:
        """The node's, as this machine sees it."""
        return self.macs[node].home

    def begin(self, version: str) -> None:
        """Found the pair, install ``version`` on both Macs, trust the maker's key, wait for the first primary."""
        asyncio.run(found_for_development(self.folder / "founded", self._plan()))
        shutil.move(self.folder / "founded" / WITNESS, self.folder / WITNESS)
        self._run("voter", [*PRONTUARIO, "cluster", "voter", "--home", str(self.folder / WITNESS)], "voter")
        package = self._shop.package(version)
        for node, mac in self.macs.items():
            mac.mount()
            mac.move_in(self.folder / "founded" / node)
            self._settle_in(node)
            self._carry(node, package)
            self.boot(node)
        self._on_both(lambda node: self._install(node, package.name))
        self.primary()

    def boot(self, node: str) -> None:
        """Power: launchd starts whatever it finds."""
        log = (self.folder / f"{node}.log").open("ab")
        self._logs.append(log)
        self.macs[node].boot(log)

    def power_on(self, node: str) -> Callable[[], None]:
        """The plug again, as ``PairLab`` says; what waits until the node is ready."""
        self.boot_again(node)
        return lambda: self.ready(node)

    def boot_again(self, node: str) -> None:
        """The plug again; nobody waits for the node."""
        self._plug_in(node)
        self.boot(node)

    def ready(self, node: str) -> None:
        """Wait until the node says so. Raises ``TimeoutError``."""
        gate = f"{PREFIX}/current/scripts/health_gate.sh"
        limit = int(READY_LIMIT_S)
        if self.macs[node].run(gate, HOME, str(limit), check=False, limit_s=limit + 60).returncode:
            raise TimeoutError(f"node {node} did not come up:\n{self.last_words(node)}")

    # -- as an operator does ----------------------------------------------------------------------------------------------
    def stage(self, bundle: Path) -> None:
        """Carry the stick to both Macs; verify, and copy."""

        def one(node: str) -> None:
            self._carry(node, bundle)
            for verb in ("verify", "stage"):
                words = ("prontuario", "update", verb, *_HOME, f"{STICK}/{bundle.name}")
                self.macs[node].run(*words, limit_s=INSTALL_LIMIT_S)
            shutil.rmtree(self.macs[node].below(f"{STICK}/{bundle.name}"))

        self._on_both(one)

    def apply(self, node: str) -> subprocess.Popen[Any]:
        """``sudo prontuario update apply``, running; what it says goes into ``<node>-update.log``."""
        log = (self.folder / f"{node}-update.log").open("ab")
        self._logs.append(log)
        return self.macs[node].popen(["prontuario", "update", "apply", *_HOME], stdout=log, stderr=log)

    def give_up(self, node: str) -> None:
        """The operator of a Mac whose turn will not come drops the update."""
        mac = self.macs[node]
        mac.run("prontuario", "update", "rollback", *_HOME, "--yes-i-typed", mac.current(), limit_s=INSTALL_LIMIT_S)

    def step(self, node: str) -> tuple[str, str]:
        """(step, version) of the update under way on a Mac; empty: there is none."""
        told = self.update(node)
        return str(told.get("step", "")), str(told.get("version", ""))

    def update(self, node: str) -> Mapping[str, Any]:
        """What a Mac has written down of its update."""
        import msgspec

        file = self.macs[node].prefix / "updates" / "state.json"
        return dict(msgspec.json.decode(file.read_bytes())) if file.exists() else {}

    def serves(self, node: str) -> str:
        """The version that a node's core runs, as it tells the other one; empty: it does not say."""
        peer = NODES[1 - NODES.index(node)]
        return str(self.told(peer, "update.peer").get("version", ""))

    def in_sync(self) -> bool:
        """Whether somebody leads and the standby may take over."""
        said = [self.told(node, "cluster.status").get("status") or {} for node in NODES]
        return all(one.get("in_sync") for one in said) and {one.get("role") for one in said} == {"primary", "standby"}

    def told(self, node: str, verb: str) -> Mapping[str, Any]:
        """A core's answer on its operator's socket; empty: it does not answer."""
        try:
            return asyncio.run(asyncio.wait_for(ask(Paths(self.home(node)).socket("control"), verb), TELL_LIMIT_S))
        except (OSError, ValueError):
            return {}

    def kill_core(self, node: str) -> None:
        """Only core, by kill -9; launchd starts it again."""
        with suppress(OSError, ValueError):
            os.kill(int((Paths(self.home(node)).run / "core.pid").read_text(encoding="utf-8")), signal.SIGKILL)

    def last_words(self, name: str) -> str:
        """The end of a log, and of a node's own."""
        said = super().last_words(name) if (self.folder / f"{name}.log").exists() else ""
        if name in self.macs:
            mac = self.macs[name]
            for log in sorted([*mac.below("/var/log/prontuario").glob("*.log"), *(mac.home / "logs").glob("*.log")]):
                said += f"\n--- {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-1500:]}"
        return said

    def close(self) -> None:
        """Unmount; the namespaces end what runs in them."""
        super().close()
        for mac in self.macs.values():
            mac.unmount()

    # -- inside -----------------------------------------------------------------------------------------------------------
    def _plan(self) -> PairPlan:
        import msgspec

        return msgspec.structs.replace(super()._plan(), vipd_socket="")

    def _settle_in(self, node: str) -> None:
        """No engines, and patience where it was asked for."""
        super()._settle_in(node)
        config = Paths(self.home(node)).config
        if self._patient:
            told = config.read_text(encoding="utf-8").replace("[cluster]\n", f"[cluster]\n{PATIENT}\n", 1)
            config.write_text(told, encoding="utf-8")

    def _install(self, node: str, package: str) -> None:
        mac = self.macs[node]
        key = mac.below(f"{STICK}/maker.pub.pem")
        key.write_bytes(self._shop.public_key())
        mac.run("installer", "-pkg", f"{STICK}/{package}", "-target", "/", limit_s=INSTALL_LIMIT_S)
        mac.run("prontuario", "update", "trust", f"{STICK}/{key.name}")

    def _carry(self, node: str, what: Path) -> None:
        place = self.macs[node].below(f"{STICK}/{what.name}")
        shutil.copytree(what, place) if what.is_dir() else shutil.copyfile(what, place)

    def _on_both(self, work: Callable[[str], None]) -> None:
        failed: list[BaseException] = []

        def one(node: str) -> None:
            try:
                work(node)
            except BaseException as error:  # noqa: BLE001  told to whoever waits
                failed.append(error)

        threads = [threading.Thread(target=one, args=(node,)) for node in NODES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]


@contextmanager
def pair_macs(folder: Path, shop: Workshop, version: str, *, patient: bool) -> Iterator[PairMacs]:
    """A serving pair of stand-in Macs that run ``version``, until the end of the block."""
    with NetLab() as net:
        lab = PairMacs(folder, net, shop, patient=patient)
        try:
            say(f"installing {version} on a pair of stand-in Macs")
            began = time.monotonic()
            lab.begin(version)
            say(f"{lab.primary()} leads after {time.monotonic() - began:.0f} s")
            yield lab
        except BaseException:
            for node in NODES:
                say(f"--- {node}\n{lab.last_words(node)}")
            raise
        finally:
            lab.close()


def _within(net: NetLab, node: str) -> Callable[..., list[str]]:
    return lambda words: net.command(node, list(words))
