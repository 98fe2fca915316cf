"""What is sent out stays inside the hospital: a URL's name is looked up once, and only what was looked at is connected to.

Every address that the name has must lie within the hospital's networks; what a name server says a moment later changes
nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


class OutsideError(Exception):
    """Nothing is sent there; the text names no address."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """``url`` has the address in the place of the name; ``authority`` goes into ``Host``, ``name`` into TLS."""

    url: str
    authority: str
    name: str


async def address_within(host: str, port: int, networks: Sequence[str]) -> str:
    """An address of ``host`` to connect to.

    Raises:
        OutsideError: the name is unknown, or any of its addresses lies outside ``networks``.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutsideError("the name is unknown") from None
    addresses = [str(one[4][0]) for one in found]
    ours = [ipaddress.ip_network(network) for network in networks]
    for address in addresses:
        plain = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(plain, "ipv4_mapped", None) or plain
        if not any(mapped.version == network.version and mapped in network for network in ours):
            raise OutsideError("the address lies outside the hospital's networks")
    return addresses[0]


def place_of(url: str) -> tuple[str, int]:
    """Host and port of a URL; no host: it is empty."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


async def pinned(url: str, networks: Sequence[str]) -> Pinned:
    """``url`` at an address within ``networks``.

    Raises:
        OutsideError: as ``address_within``; or the URL is not http or https.
    """
    parts = urlsplit(url)
    host, port = place_of(url)
    if parts.scheme not in {"http", "https"} or not host:
        raise OutsideError("the URL is not http or https")
    address = await address_within(host, port, networks)
    shown = f"[{address}]" if ":" in address else address
    return Pinned(parts._replace(netloc=f"{shown}:{port}").geturl(), parts.netloc.rpartition("@")[2], host)
