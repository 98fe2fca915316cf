"""Linux, by iproute2. The kernel itself drops the address if nobody prolongs it (``valid_lft``, ip-address(8))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from appliance.daemon.vipd.allow_list import Entry
from appliance.daemon.vipd.backends.tool import for_each, run_tool

KERNEL_LIFE_S: Final = 5
"""The third net: when server and guard were killed in one blow, the address lives this long at most."""

ABSENT: Final = ("Cannot assign requested address", "Address not found", "address not found")
"""What kernels old and new say when the address was not there."""


class IpBackend:
    """``ip address replace … / del …``."""

    name = "ip"
    prolong_every_s = 1.5

    def start(self) -> None:
        """Nothing runs beside."""

    def up(self, entries: Sequence[Entry]) -> None:
        for_each(entries, self._replace)

    def down(self, entries: Sequence[Entry]) -> None:
        for_each(entries, remove_with_ip)

    def healthy(self) -> bool:
        """Nothing runs beside that could die."""
        return True

    def stop(self) -> None:
        """Nothing runs beside."""

    def _replace(self, entry: Entry) -> None:
        # preferred_lft 0: never the source of the node's own connections. nodad: IPv6 would wait a second and more.
        no_detection = ["nodad"] if entry.address.version == 6 else []  # noqa: PLR2004  the protocol's own number
        lifetimes = ["valid_lft", str(KERNEL_LIFE_S), "preferred_lft", "0"]
        run_tool(["ip", "address", "replace", entry.host_prefix, "dev", entry.interface, *no_detection, *lifetimes])


def remove_with_ip(entry: Entry) -> None:
    """Take one address off; fine when it was not there."""
    run_tool(["ip", "address", "del", entry.host_prefix, "dev", entry.interface], harmless=ABSENT)
