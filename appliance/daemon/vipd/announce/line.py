"""Raw Ethernet on one interface: AF_PACKET on Linux (packet(7)), the Berkeley packet filter on macOS (bpf(4))."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Final

from appliance.daemon.vipd.backends.tool import run_tool

BIOCSETIF: Final = 0x8020426C
"""_IOW('B', 108, struct ifreq), 32 bytes"""
BIOCSHDRCMPLT: Final = 0x80044275
"""_IOW('B', 117, u_int): the source address in the frame is ours, don't fill it in."""
BPF_DEVICES: Final = 256
_ETHER: Final = re.compile(r"^\s*ether ((?:[0-9a-f]{2}:){5}[0-9a-f]{2})", re.MULTILINE)


def hardware_address(interface: str) -> bytes:
    """The interface's six bytes.

    Raises:
        OSError: there is no such interface, or it is no Ethernet.
    """
    if sys.platform == "linux":
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
            line.bind((interface, 0))
            return bytes(line.getsockname()[4])
    return ether_of(run_tool(["/sbin/ifconfig", interface]))


def ether_of(listing: str) -> bytes:
    """The hardware address in what ifconfig prints. Raises OSError when there is none."""
    found = _ETHER.search(listing)
    if found is None:
        raise OSError("the interface has no Ethernet address")
    return bytes.fromhex(found[1].replace(":", ""))


def send(interface: str, frames: Iterable[bytes]) -> None:
    """Put whole frames on the wire. Raises OSError."""
    if sys.platform == "linux":
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as line:
            line.bind((interface, 0))
            for frame in frames:
                line.send(frame)
        return
    device = _open_filter()
    try:
        fcntl.ioctl(device, BIOCSETIF, interface_request(interface))
        fcntl.ioctl(device, BIOCSHDRCMPLT, struct.pack("I", 1))
        for frame in frames:
            os.write(device, frame)
    finally:
        os.close(device)


def interface_request(interface: str) -> bytes:
    """A ``struct ifreq``: 16 bytes of name, 16 bytes unused."""
    return struct.pack("16s16x", interface.encode())


def _open_filter() -> int:
    for number in range(BPF_DEVICES):
        try:
            return os.open(f"/dev/bpf{number}", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:  # busy: somebody else's, try the next
                raise
    raise OSError("every /dev/bpf is busy")
