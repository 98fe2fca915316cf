"""The frames of an announcement, as bytes."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

ARP_REQUEST: Final = 1
ARP_REPLY: Final = 2
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV6: Final = 0x86DD
BROADCAST: Final = b"\xff" * 6
MINIMUM_FRAME: Final = 60
"""Ethernet's shortest frame without its checksum, in bytes (IEEE 802.3 §4.2.3.3)."""
ALL_NODES: Final = IPv6Address("ff02::1")
ALL_NODES_MAC: Final = bytes.fromhex("333300000001")
ICMPV6: Final = 58
_NEIGHBOUR_ADVERTISEMENT: Final = 136
_OVERRIDE: Final = 0x20000000
_TARGET_LINK_LAYER_ADDRESS: Final = 2
_NO_MAC: Final = bytes(6)


def announcement(mac: bytes, address: IPv4Address | IPv6Address) -> tuple[bytes, ...]:
    """Every frame of one round: ARP in both forms, since some devices learn only from one; or one advertisement."""
    if isinstance(address, IPv4Address):
        return tuple(gratuitous_arp(mac, address, operation) for operation in (ARP_REQUEST, ARP_REPLY))
    return (unsolicited_advertisement(mac, address),)


def gratuitous_arp(mac: bytes, address: IPv4Address, operation: int) -> bytes:
    """An Ethernet frame to everyone: ``address`` is at ``mac`` (RFC 826; RFC 5227 §1.2, RFC 2002 §4.6).

    In the request the target's hardware address is blank, in the reply it is the sender's own.
    """
    target = _NO_MAC if operation == ARP_REQUEST else mac
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + address.packed + target + address.packed
    return (BROADCAST + mac + struct.pack("!H", ETHERTYPE_ARP) + body).ljust(MINIMUM_FRAME, b"\0")


def unsolicited_advertisement(mac: bytes, address: IPv6Address) -> bytes:
    """An Ethernet frame to all nodes of the link: ``address`` is at ``mac``, override what you knew (RFC 4861 §7.2.6)."""
    option = struct.pack("!BB", _TARGET_LINK_LAYER_ADDRESS, 1) + mac
    tail = struct.pack("!I", _OVERRIDE) + address.packed + option
    checksum = icmpv6_checksum(address, ALL_NODES, struct.pack("!BBH", _NEIGHBOUR_ADVERTISEMENT, 0, 0) + tail)
    message = struct.pack("!BBH", _NEIGHBOUR_ADVERTISEMENT, 0, checksum) + tail
    # Hop limit 255 proves that no router has passed it on (RFC 4861 §7.1.2).
    header = struct.pack("!IHBB", 6 << 28, len(message), ICMPV6, 255) + address.packed + ALL_NODES.packed
    return ALL_NODES_MAC + mac + struct.pack("!H", ETHERTYPE_IPV6) + header + message


def icmpv6_checksum(source: IPv6Address, destination: IPv6Address, message: bytes) -> int:
    """The Internet checksum over pseudo-header and message (RFC 4443 §2.3, RFC 8200 §8.1); 16 bits."""
    pseudo = source.packed + destination.packed + struct.pack("!II", len(message), ICMPV6)
    data = pseudo + message + b"\0" * (len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
