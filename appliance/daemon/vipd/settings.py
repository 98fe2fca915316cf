"""What vipd is told at its start; nothing of it changes while it runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from appliance.config import Config
from appliance.daemon.vipd.allow_list import AllowList
from appliance.daemon.vipd.backends import Backend
from appliance.daemon.vipd.backends.ifconfig import IfconfigBackend
from appliance.daemon.vipd.backends.ip import IpBackend
from appliance.daemon.vipd.backends.keepalived import KeepalivedBackend

BackendName = Literal["auto", "ip", "ifconfig", "keepalived"]
DEFAULT_SOCKET: Final = Path("/var/run/prontuario/vipd.sock")
"""In a folder of root's: who may write to a socket's folder may put a socket of his own in its place."""


@dataclass(frozen=True, slots=True)
class VipdSettings:
    """``client_uids``: who may ask, besides vipd's own user. ``ifconfig``: that tool's path."""

    allowed: AllowList
    socket: Path = DEFAULT_SOCKET
    client_uids: tuple[int, ...] = ()
    backend: BackendName = "auto"
    ifconfig: str = "/sbin/ifconfig"

    @property
    def pid_file(self) -> Path:
        """Locked as long as a vipd serves this socket."""
        return self.socket.with_suffix(".pid")

    def make_backend(self) -> Backend:
        """The backend, not started yet."""
        name = self.backend
        if name == "auto":
            name = "ifconfig" if sys.platform == "darwin" else "ip"
        if name == "ifconfig":
            return IfconfigBackend(self.ifconfig)
        if name == "keepalived":
            return KeepalivedBackend(self.allowed, self.socket.parent)
        return IpBackend()


def settings_of(home: Path, config: Config) -> VipdSettings:
    """The settings in ``prontuario.toml``; the service's user is the one that the home belongs to.

    Raises:
        ProntuarioError: ``cluster.vip_setting``.
    """
    cluster = config.cluster
    return VipdSettings(
        AllowList.parse(cluster.vip_addresses, cluster.vip_interface),
        Path(cluster.vipd_socket) if cluster.vipd_socket else DEFAULT_SOCKET,
        client_uids=tuple(sorted({home.stat().st_uid, os.geteuid()})),
        backend=cluster.vip_backend,
    )
