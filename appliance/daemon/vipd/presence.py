"""Whether this machine has an address right now, asked without starting a program."""

from __future__ import annotations

import errno
import socket
import sys
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path


def is_up(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is configured on any interface (of this network namespace)."""
    if sys.platform == "linux":
        # Binding would lie where net.ipv4.ip_nonlocal_bind is set, as balancers like to have it.
        return _in_kernel_tables(address)
    return can_bind(address)


def can_bind(address: IPv4Address | IPv6Address) -> bool:
    """Whether a socket may be bound to it: true on macOS exactly when the machine has the address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004  the protocol's own number
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
    return True


def _in_kernel_tables(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        table = _read("/proc/self/net/if_inet6")
        return any(line.startswith(address.packed.hex()) for line in table.splitlines())
    lines = _read("/proc/self/net/fib_trie").splitlines()
    leaf = f"|-- {address}"
    # A leaf's line is followed by its routes; the machine's own addresses are "/32 host LOCAL".
    return any(line.strip() == leaf and "/32 host LOCAL" in after for line, after in pairwise(lines))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except FileNotFoundError:  # a kernel without IPv6
        return ""
