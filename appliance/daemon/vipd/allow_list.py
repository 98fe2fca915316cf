"""Which addresses vipd may ever touch, on which interface: read once at start, never extended by a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self

from appliance.cluster.vip_errors import NOT_ALLOWED, UNUSABLE_SETTING

INTERFACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,14}")
"""A network interface's name: at most 15 characters (IFNAMSIZ), nothing that a tool could take for an option."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One virtual address on one interface; it is put up as a host address (/32 or /128)."""

    address: IPv4Address | IPv6Address
    interface: str

    @property
    def host_prefix(self) -> str:
        """``10.0.0.5/32``. A host prefix adds no route and never becomes the source of the node's own connections."""
        return f"{self.address}/{self.address.max_prefixlen}"


@dataclass(frozen=True, slots=True)
class AllowList:
    """The entries of the configuration."""

    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, addresses: Iterable[str], interface: str) -> Self:
        """From ``[cluster] vip_addresses`` and ``vip_interface``.

        Raises:
            ProntuarioError: ``cluster.vip_setting``: no address, one that no host can own, or no interface's name.
        """
        if not INTERFACE.fullmatch(interface):
            raise UNUSABLE_SETTING(setting="vip_interface", value=interface[:40])
        entries = tuple(Entry(_host_address(text), interface) for text in addresses)
        if not entries:
            raise UNUSABLE_SETTING(setting="vip_addresses", value="()")
        return cls(entries)

    def admit(self, addresses: Sequence[str], interface: str) -> tuple[Entry, ...]:
        """The entries that a request names.

        Raises:
            ProntuarioError: ``cluster.vip_not_allowed``: nothing was named, or one of them is not on the list.
        """
        wanted = []
        for text in addresses:
            try:
                entry = Entry(ip_address(text), interface)
            except ValueError:
                raise NOT_ALLOWED(address=text[:60], interface=interface[:40]) from None
            if entry not in self.entries:
                raise NOT_ALLOWED(address=text[:60], interface=interface[:40])
            wanted.append(entry)
        if not wanted:
            raise NOT_ALLOWED(address="", interface=interface[:40])
        return tuple(dict.fromkeys(wanted))


def _host_address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise UNUSABLE_SETTING(setting="vip_addresses", value=text[:60]) from None
    if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local:
        raise UNUSABLE_SETTING(setting="vip_addresses", value=text[:60])
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise UNUSABLE_SETTING(setting="vip_addresses", value=text[:60])
    if address == IPv4Address("255.255.255.255"):
        raise UNUSABLE_SETTING(setting="vip_addresses", value=text[:60])
    return address
