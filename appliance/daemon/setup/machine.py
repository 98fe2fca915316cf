"""The machine that is set up, as far as setting up touches it: what it is, its networks, the package's scripts, launchd."""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import psutil

from appliance.config import Config
from appliance.daemon.launchd.launchctl import Launchctl
from appliance.daemon.launchd.layout import ACCOUNT, JOBS_FOLDER, PREFIX, Installation
from appliance.daemon.launchd.loading import load_all
from appliance.daemon.launchd.render import rendered, write
from appliance.daemon.setup.errors import MAC_REFUSED, NO_PACKAGE

SCRIPT_LIMIT_S: Final = 120.0
_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Network:
    """An address of this machine and the network around it."""

    interface: str
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface

    @property
    def ip(self) -> str:
        """The address alone."""
        return str(self.address.ip)


@dataclass(frozen=True)
class Machine:
    """``root`` stands for / and ``environment`` is the scripts' own: a test's Mac is a folder with programs in it."""

    platform: str = sys.platform
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    networks: tuple[Network, ...] = field(default_factory=lambda: networks_here())  # noqa: PLW0108  defined below
    root: Path = Path("/")
    launchctl: str = "/bin/launchctl"
    environment: Mapping[str, str] | None = None
    api_port: int | None = None
    """Where this node's API answers, if not where its configuration says."""

    @property
    def is_mac(self) -> bool:
        return self.platform == "darwin"

    def account(self) -> tuple[int, int] | None:
        """User and group that the node's files belong to; None: to whoever sets it up."""
        if not (self.is_mac and self.is_root):
            return None
        entry = pwd.getpwnam(ACCOUNT)
        return entry.pw_uid, entry.pw_gid

    def invoker(self) -> tuple[int, int] | None:
        """Who typed sudo: the papers are theirs to print."""
        user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
        return (int(user), int(group)) if self.is_root and user.isdigit() and group.isdigit() else None

    def script(self, name: str, *words: str) -> None:
        """Run one of the package's scripts as root.

        Raises:
            ProntuarioError: ``setup.package``, ``setup.mac``.
        """
        path = self.root / PREFIX.relative_to("/") / "current" / "scripts" / name
        if not path.is_file():
            raise NO_PACKAGE(path=str(path))
        try:
            done = subprocess.run(
                ["/bin/sh", str(path), *words], env=None if self.environment is None else dict(self.environment),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=SCRIPT_LIMIT_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MAC_REFUSED(script=name, status=-1, said=type(error).__name__) from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-_SAID:]
            raise MAC_REFUSED(script=name, status=done.returncode, said=said)

    async def load(self, home: Path, config: Config) -> list[str]:
        """Write what launchd, newsyslog and the packet filter are told of this node, and have its jobs run; their labels.

        Raises:
            ProntuarioError: ``launchd.*``.
            OSError: a file can't be written.
        """
        write(rendered(PurePosixPath(home), config, Installation()), self.root)
        return await load_all(self.root / JOBS_FOLDER.relative_to("/"), Launchctl(self.launchctl))


def networks_here() -> tuple[Network, ...]:
    """This machine's addresses: those of a LAN first, loopback last; link-local IPv6 is no address for others."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if name in up and one.family in {socket.AF_INET, socket.AF_INET6} and "%" not in one.address:
                length = _length(one.netmask)
                found.append(
                    Network(name, ipaddress.ip_interface(f"{one.address}/{length}" if length else one.address))
                )
    return tuple(sorted(found, key=lambda one: (one.address.is_loopback, one.address.version, one.interface)))


def _length(mask: str | None) -> int | None:
    """The prefix length of 255.255.0.0, ffff:: or 64."""
    if not mask:
        return None
    text = mask.rpartition("/")[2]
    return int(text) if text.isdigit() else int(ipaddress.ip_address(text)).bit_count()
