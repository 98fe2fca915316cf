"""Announcements: bytes against the RFCs, and the rhythm of their repetition."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from appliance.daemon.vipd.allow_list import Entry
from appliance.daemon.vipd.announce import announcer as announcing
from appliance.daemon.vipd.announce.announcer import Announcer
from appliance.daemon.vipd.announce.line import interface_request
from appliance.daemon.vipd.announce.packets import (
    ALL_NODES,
    ARP_REPLY,
    ARP_REQUEST,
    announcement,
    gratuitous_arp,
    icmpv6_checksum,
    unsolicited_advertisement,
)

MAC = bytes.fromhex("02aabbccddee")
FOUR, SIX = IPv4Address("10.77.0.100"), IPv6Address("fd77::100")


@pytest.mark.parametrize(("operation", "target"), [(ARP_REQUEST, bytes(6)), (ARP_REPLY, MAC)])
def test_gratuitous_arp_field_by_field(operation: int, target: bytes) -> None:
    frame = gratuitous_arp(MAC, FOUR, operation)
    assert len(frame) == 60
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert struct.unpack("!HHBBH", frame[14:22]) == (1, 0x0800, 6, 4, operation)
    assert frame[22:28] == MAC
    assert frame[28:32] == frame[38:42] == bytes([10, 77, 0, 100])
    assert frame[32:38] == target
    assert frame[42:] == bytes(18)


def test_unsolicited_advertisement_field_by_field() -> None:
    frame = unsolicited_advertisement(MAC, SIX)
    assert frame[:14] == bytes.fromhex("333300000001") + MAC + b"\x86\xdd"
    header, message = frame[14:54], frame[54:]
    assert header[:8] == bytes([0x60, 0, 0, 0]) + struct.pack("!HBB", len(message), 58, 255)
    assert (header[8:24], header[24:]) == (SIX.packed, ALL_NODES.packed)
    assert message[:2] == bytes([136, 0])
    flags = message[4]
    assert flags == 0x20, "override, neither router nor solicited"
    assert message[8:24] == SIX.packed
    assert message[24:] == bytes([2, 1]) + MAC


def test_the_checksum_over_a_correct_message_is_zero() -> None:
    message = unsolicited_advertisement(MAC, SIX)[54:]
    assert icmpv6_checksum(SIX, ALL_NODES, message) == 0
    assert icmpv6_checksum(SIX, ALL_NODES, message[:-1] + b"\x00") != 0


def test_a_known_checksum() -> None:
    # Echo request, id 1, sequence 1, no data, between ::1 and ::1: worked out by hand from RFC 4443 and RFC 1071.
    # 0x8000 + 0x0001 + 0x0001 + (1 + 1) addresses + length 8 + next header 58 = 0x8046
    assert icmpv6_checksum(IPv6Address("::1"), IPv6Address("::1"), struct.pack("!BBHHH", 128, 0, 0, 1, 1)) == 0x7FB9


def test_one_round_speaks_both_dialects_of_arp() -> None:
    assert [frame[21] for frame in announcement(MAC, FOUR)] == [ARP_REQUEST, ARP_REPLY]
    assert announcement(MAC, SIX) == (unsolicited_advertisement(MAC, SIX),)


def test_darwins_interface_request_has_its_size() -> None:
    assert interface_request("en0") == b"en0" + bytes(29)


class Wire:
    """Records what would be sent; a hand on the switch."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.broken = False

    def send(self, interface: str, frames: Iterable[bytes]) -> None:
        if self.broken:
            raise OSError(100, "Network is down")
        self.sent.append((interface, len(list(frames))))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(announcing, "OFFSETS_S", (0.0, 0.001, 0.002, 0.003, 0.004))
    monkeypatch.setattr(announcing, "AGAIN_EVERY_S", 3600.0)
    return Wire()


ENTRY = Entry(ip_address("10.77.0.100"), "en0")


async def settle(wire: Wire, rounds: int) -> None:
    for _ in range(2000):
        if len(wire.sent) >= rounds:
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


async def test_the_first_round_is_out_when_start_returns_and_four_more_follow(wire: Wire) -> None:
    announcer = Announcer(send=wire.send, hardware_address=lambda _: MAC)
    announcer.start([ENTRY])
    assert wire.sent == [("en0", 2)]
    await settle(wire, 5)
    assert wire.sent == [("en0", 2)] * 5
    announcer.stop()


async def test_stopped_means_silent(wire: Wire) -> None:
    announcer = Announcer(send=wire.send, hardware_address=lambda _: MAC)
    announcer.start([ENTRY])
    announcer.stop()
    await asyncio.sleep(0.05)
    assert len(wire.sent) == 1


async def test_a_wire_that_is_down_now_is_tried_again(wire: Wire) -> None:
    wire.broken = True
    announcer = Announcer(send=wire.send, hardware_address=lambda _: MAC)
    announcer.start([ENTRY])
    wire.broken = False
    await settle(wire, 4)
    assert len(wire.sent) == 4
    announcer.stop()


def test_the_rhythm_is_five_rounds_over_two_seconds() -> None:
    assert len(announcing.OFFSETS_S) == 5
    assert announcing.OFFSETS_S[0] == 0.0
    assert announcing.OFFSETS_S[-1] == 2.0
