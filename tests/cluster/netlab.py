"""A hospital's network in Linux namespaces: nodes a and b, a client and a third voter on one LAN, and a cable from a to b.

Every cut is a pair (from, to) of switch ports that drops frames in one direction; nothing is visible outside the lab's
own namespaces, so labs run side by side. A lab that its process could not clean up is removed by the next one.

    with NetLab() as lab:
        server = lab.popen("a", ["python3", "-m", "http.server"])
        lab.cut("a", "b", link="lan")      # what a says on the LAN no longer reaches b
        lab.heal()
"""

from __future__ import annotations

import atexit
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from appliance.daemon.pair.namespaces import Namespaces, build, interface, list_namespaces, why_no_namespaces

Link = Literal["lan", "direct"]
NODES = ("a", "b", "client", "voter")
LAN = {"a": "10.77.0.1", "b": "10.77.0.2", "voter": "10.77.0.3", "client": "10.77.0.50"}
LAN6 = {"a": "fd77::1", "b": "fd77::2", "voter": "fd77::3", "client": "fd77::50"}
DIRECT = {"a": "10.78.0.1", "b": "10.78.0.2"}
VIP, VIP6 = "10.77.0.100", "fd77::100"
INTERFACE: dict[Link, str] = {"lan": interface("lan"), "direct": interface("direct")}
_PREFIX = "ptlab"
_END_LIMIT_S = 5.0
_numbers = itertools.count()
ANSWER_PORT = 4711
ANSWERING = """
import os, socket, sys
server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
os.write(int(sys.argv[3]), b"ready\\n")
while True:
    connection, _ = server.accept()
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""
SWITCH = """
table bridge lab {
  set cuts { type ifname . ifname; }
  chain forward { type filter hook forward priority 0; iifname . oifname @cuts drop; }
}
"""


def why_not() -> str | None:
    """Why no lab can be made here, in plain words; None: it can."""
    return why_no_namespaces("nft")


class NetLab:
    """The lab; a context manager. Addresses: ``LAN``, ``LAN6``, ``DIRECT``; ``VIP`` and ``VIP6`` belong to nobody yet."""

    def __init__(self) -> None:
        self._machines = Namespaces(f"{_PREFIX}-{os.getpid()}-{next(_numbers)}")
        self._started: list[subprocess.Popen[Any]] = []
        self._cut: set[tuple[str, str, Link]] = set()

    def __enter__(self) -> Self:
        remove_leftovers()
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def namespace(self, node: str) -> str:
        """The namespace's name, as ``ip netns`` lists it. ``node``: one of NODES, or ``switch``."""
        return self._machines.name(node)

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        """``argv`` to be run inside a node's network; the process keeps the pid that it was started with."""
        return self._machines.command(node, argv)

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process in a node; ``options`` as of ``subprocess.Popen``. It is killed when the lab closes."""
        process = subprocess.Popen(self.command(node, argv), **options)
        self._started.append(process)
        return process

    def run(self, node: str, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a short command in a node and wait for it."""
        return subprocess.run(self.command(node, argv), capture_output=True, text=True, timeout=60, check=check)

    def addresses(self, node: str, link: Link = "lan") -> list[str]:
        """What is configured on a node's interface: ``["10.77.0.1/24", …]``."""
        listing = self.run(node, "ip", "-o", "address", "show", "dev", INTERFACE[link]).stdout
        return [line.split()[3] for line in listing.splitlines()]

    def has(self, node: str, address: str) -> bool:
        """Whether a node has an address on the LAN, whatever its prefix."""
        return any(entry.split("/")[0] == address for entry in self.addresses(node))

    def hardware_address(self, node: str, link: Link = "lan") -> str:
        """``aa:bb:…`` of a node's interface."""
        listing = self.run(node, "ip", "-o", "link", "show", "dev", INTERFACE[link]).stdout
        return listing.split("link/ether ")[1].split()[0]

    def neighbour(self, node: str, address: str) -> str | None:
        """The hardware address under which a node knows ``address``; None: it knows none."""
        words = self.run(node, "ip", "neighbour", "show", "to", address, "dev", INTERFACE["lan"]).stdout.split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else None

    def answer(self, node: str, port: int = ANSWER_PORT) -> None:
        """From now on the node tells its name to whoever connects to the port, on any of its addresses."""
        ready, ready_end = os.pipe()
        argv = [sys.executable, "-S", "-c", ANSWERING, node, str(port), str(ready_end)]
        self.popen(node, argv, pass_fds=(ready_end,))
        os.close(ready_end)
        with os.fdopen(ready) as line:
            assert line.readline(), f"{node} could not listen on {port}"

    def who_answers(self, source: str, address: str, port: int = ANSWER_PORT, limit_s: float = 1.0) -> str | None:
        """The name of the node that ``source`` reaches under an address; None: nobody within the limit."""
        program = f"import socket; print(socket.create_connection(({address!r}, {port}), {limit_s}).recv(99).decode())"
        return self.run(source, sys.executable, "-S", "-c", program, check=False).stdout.strip() or None

    def cut(self, source: str, target: str, link: Link = "lan", *, both: bool = True) -> None:
        """What ``source`` sends no longer reaches ``target`` (and the other way round, unless ``both`` is False)."""
        for pair in [(source, target), (target, source)] if both else [(source, target)]:
            self._cuts("add", *pair, link)
            self._cut.add((*pair, link))

    def is_cut(self, source: str, target: str, link: Link = "lan") -> bool:
        """Whether what ``source`` sends does not reach ``target`` now."""
        return (source, target, link) in self._cut

    def heal(self, source: str | None = None, target: str | None = None, link: Link = "lan") -> None:
        """Undo a cut, in both directions; without names: every cut, on every link."""
        if source is None or target is None:
            self._nft("flush set bridge lab cuts")
            self._cut.clear()
            return
        for pair in ((source, target), (target, source)):
            self._cuts("delete", *pair, link)
            self._cut.discard((*pair, link))

    def isolate(self, node: str, *, direct: bool = False) -> None:
        """Cut a node off from everyone on the LAN; with ``direct`` also from the other end of its cable."""
        for other in NODES:
            if other != node:
                self.cut(node, other)
        if direct:
            self.cut("a", "b", "direct")

    def close(self) -> None:
        """Kill what runs in the lab and remove it. Safe to call twice."""
        atexit.unregister(self.close)
        for process in self._started:
            if process.poll() is None:
                process.kill()
        self._machines.remove()
        for process in self._started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_LIMIT_S)
        self._started.clear()

    def _build(self) -> None:
        lan = {node: (f"{LAN[node]}/24", f"{LAN6[node]}/64") for node in NODES}
        direct = {node: (f"{address}/30",) for node, address in DIRECT.items()}
        self._machines = build(self._machines.prefix, NODES, {"lan": lan, "direct": direct})
        self._nft(SWITCH)

    def _cuts(self, verb: str, source: str, target: str, link: Link) -> None:
        element = f'{verb} element bridge lab cuts {{ "{link}-{source}" . "{link}-{target}" }}'
        # add is idempotent; deleting what is not there is an error, so add it first.
        self._nft(element if verb == "add" else f"{element.replace(verb, 'add', 1)}\n{element}")

    def _nft(self, rules: str) -> None:
        subprocess.run(
            self.command("switch", ["nft", "-f", "-"]),
            input=rules,
            text=True,
            check=True,
            capture_output=True,
            timeout=60,
        )


def remove_leftovers() -> None:
    """Remove the labs of processes that no longer live."""
    labs = {"-".join(name.split("-")[:3]) for name in list_namespaces() if name.startswith(f"{_PREFIX}-")}
    for name in labs:
        pid = name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            Namespaces(name).remove()
