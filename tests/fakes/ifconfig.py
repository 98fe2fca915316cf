#!/usr/bin/env python3
"""macOS's ifconfig(8) as far as vipd speaks it, acting on a Linux network by ip(8): same arguments, same messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USAGE = "usage: ifconfig interface address_family address [netmask mask | prefixlen n] [alias | -alias]"


def main(arguments: list[str]) -> int:
    """The exit status, as Darwin's tool gives it."""
    interface, *rest = arguments
    hardware = Path(f"/sys/class/net/{interface}/address")
    if subprocess.run(["ip", "link", "show", "dev", interface], capture_output=True, check=False).returncode != 0:
        print(f"ifconfig: interface {interface} does not exist", file=sys.stderr)
        return 1
    if not rest:
        print(f"{interface}: flags=8863<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500")
        print(f"\tether {hardware.read_text(encoding='ascii').strip()}")
        return 0
    return change(interface, rest)


def change(interface: str, rest: list[str]) -> int:
    """Add or remove an alias."""
    family, address, *tail = rest
    host = "32" if family == "inet" else "128"
    mask = ["netmask", "255.255.255.255"] if family == "inet" else ["prefixlen", "128"]
    if tail == [*mask, "alias"]:
        # Putting up an alias twice is no error on Darwin.
        detection = [] if family == "inet" else ["nodad"]
        verb = ["replace", f"{address}/{host}", "dev", interface, *detection]
        return subprocess.run(["ip", "address", *verb], check=False).returncode
    if tail == ["-alias"]:
        verb = ["del", f"{address}/{host}", "dev", interface]
        gone = subprocess.run(["ip", "address", *verb], capture_output=True, check=False).returncode
        if gone != 0:
            print("ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address", file=sys.stderr)
        return int(gone != 0)
    print(USAGE, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
