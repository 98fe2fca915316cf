"""macOS, by ifconfig(8): the address is an alias of the interface."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.daemon.vipd.allow_list import Entry
from appliance.daemon.vipd.backends.tool import for_each, run_tool


class IfconfigBackend:
    """``ifconfig en0 inet … alias / -alias``. ``program`` is the tool's path."""

    name = "ifconfig"
    prolong_every_s = None  # Darwin has no lifetimes for IPv4 addresses

    def __init__(self, program: str = "/sbin/ifconfig") -> None:
        self._program = program

    def start(self) -> None:
        """Nothing runs beside."""

    def up(self, entries: Sequence[Entry]) -> None:
        for_each(entries, self._alias)

    def down(self, entries: Sequence[Entry]) -> None:
        for_each(entries, self._drop)

    def healthy(self) -> bool:
        """Nothing runs beside that could die."""
        return True

    def stop(self) -> None:
        """Nothing runs beside."""

    def _alias(self, entry: Entry) -> None:
        # An alias in the interface's own subnet takes a host mask, or its network route collides with the first one's.
        mask = ["netmask", "255.255.255.255"] if _family(entry) == "inet" else ["prefixlen", "128"]
        run_tool([self._program, entry.interface, _family(entry), str(entry.address), *mask, "alias"])

    def _drop(self, entry: Entry) -> None:
        run_tool(
            [self._program, entry.interface, _family(entry), str(entry.address), "-alias"],
            harmless=["Can't assign requested address"],
        )


def _family(entry: Entry) -> str:
    return "inet" if entry.address.version == 4 else "inet6"  # noqa: PLR2004  the protocol's own number
