"""Machines made of Linux network namespaces and plugged into switches: a pair's own network on one development machine.

Only namespaces of one prefix are made and removed. The machine itself may be plugged in as well; that is the one thing
visible outside, and it goes with the switch that it is plugged into.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

SWITCH: Final = "switch"
_HOST: Final = "host"
_END_LIMIT_S: Final = 5.0
_COMMAND_LIMIT_S: Final = 60


def why_no_namespaces(*tools: str) -> str | None:
    """Why none can be made here, in plain words; None: they can. ``tools``: what is needed besides iproute2 and nsenter."""
    if sys.platform != "linux":
        return "network namespaces exist only on Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in ("ip", "nsenter", *tools) if shutil.which(tool) is None]:
        return f"not installed: {', '.join(missing)} (iproute2, util-linux, nftables)"
    name = f"prontuario-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode != 0:
        return "this machine does not let even root make network namespaces"
    _run("ip", "netns", "del", name)
    return None


def interface(link: str) -> str:
    """What a machine's plug into a switch is called inside it."""
    return f"{link}0"


class Namespaces:
    """The machines of one prefix. ``make`` them, ``plug`` them, ``remove`` them; every call blocks a little."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def name(self, machine: str) -> str:
        """The namespace's name, as ``ip netns`` lists it."""
        return f"{self.prefix}-{machine}"

    def command(self, machine: str, argv: Sequence[str] = ()) -> list[str]:
        """``argv`` to be run inside a machine's network; the process keeps the pid that it was started with."""
        return ["nsenter", f"--net=/run/netns/{self.name(machine)}", "--", *argv]

    def make(self, machines: Iterable[str], links: Iterable[str]) -> None:
        """Namespaces for ``machines``, and a switch for each of ``links``.

        Raises:
            RuntimeError: a tool said no; what it said.
        """
        for machine in (*machines, SWITCH):
            _run("ip", "netns", "add", self.name(machine))
            _run("ip", "-n", self.name(machine), "link", "set", "lo", "up")
        for link in links:
            # The kernel's own spanning delay would swallow the first announcement.
            bridge = ("name", f"br-{link}", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
            _run("ip", "-n", self.name(SWITCH), "link", "add", *bridge)
            _run("ip", "-n", self.name(SWITCH), "link", "set", f"br-{link}", "up")

    def plug(self, machine: str, link: str, addresses: Iterable[str]) -> None:
        """Give a machine ``interface(link)`` with ``addresses`` (``10.0.0.1/24``). Raises ``RuntimeError``."""
        own, inside = self.name(machine), interface(link)
        self._cable(machine, link, ("name", inside, "netns", own))
        _run("ip", "-n", own, "link", "set", inside, "up")
        for address in addresses:
            _run("ip", "-n", own, "address", "add", address, "dev", inside, *_no_detection(address))

    def plug_this_machine(self, link: str, name: str, address: str) -> None:
        """The same for the machine that all this runs on, whose interface is called ``name``. Raises ``RuntimeError``."""
        self._cable(_HOST, link, ("name", name, "netns", str(os.getpid())))
        _run("ip", "link", "set", name, "up")
        _run("ip", "address", "add", address, "dev", name, *_no_detection(address))

    def remove(self) -> None:
        """Kill every process inside and delete them; fine when there are none."""
        mine = [name for name in list_namespaces() if name.startswith(f"{self.prefix}-")]
        for name in mine:
            _kill_all_in(name)
        self._unplug_this_machine()
        for name in mine:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=_COMMAND_LIMIT_S)

    def _unplug_this_machine(self) -> None:
        """At once: a namespace that was deleted gives its interfaces up some time later."""
        shown = ["ip", "-n", self.name(SWITCH), "-o", "link", "show", "type", "veth"]
        listing = subprocess.run(shown, capture_output=True, text=True, check=False, timeout=_COMMAND_LIMIT_S).stdout
        for line in listing.splitlines():
            port = line.split()[1].partition("@")[0].rstrip(":")
            if port.endswith(f"-{_HOST}"):
                _run("ip", "-n", self.name(SWITCH), "link", "del", port)

    def _cable(self, machine: str, link: str, other_end: Sequence[str]) -> None:
        switch, port = self.name(SWITCH), f"{link}-{machine}"
        _run("ip", "-n", switch, "link", "add", "name", port, "type", "veth", "peer", *other_end)
        _run("ip", "-n", switch, "link", "set", port, "master", f"br-{link}", "up")


def list_namespaces() -> list[str]:
    """Every named network namespace of this machine."""
    return [path.name for path in Path("/run/netns").iterdir()] if Path("/run/netns").is_dir() else []


def build(prefix: str, machines: Sequence[str], links: Mapping[str, Mapping[str, Sequence[str]]]) -> Namespaces:
    """Make and plug all: ``links`` maps a link to its members and their addresses. Nothing is left when it fails.

    Raises:
        RuntimeError: a tool said no.
    """
    made = Namespaces(prefix)
    try:
        made.make(machines, links)
        for link, members in links.items():
            for machine, addresses in members.items():
                made.plug(machine, link, addresses)
    except BaseException:
        made.remove()
        raise
    return made


def _no_detection(address: str) -> list[str]:
    return ["nodad"] if ":" in address else []


def _kill_all_in(namespace: str) -> None:
    deadline = time.monotonic() + _END_LIMIT_S
    while time.monotonic() < deadline:
        listing = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
        pids = [int(pid) for pid in listing.stdout.split() if _state(pid) not in {"Z", ""}]
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_COMMAND_LIMIT_S)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
