"""Which ports a node listens on."""

from __future__ import annotations

import socket

import msgspec

from appliance.config import Config

PORTS = 3


def with_ports(config: Config, base: int | None) -> Config:
    """The configuration with API, peer link and dashboard on ``base``, ``base + 1``, ``base + 2``; 0 finds free ones."""
    if base is None:
        return config
    api, peer, admin = free_ports() if base == 0 else range(base, base + PORTS)
    return with_chosen_ports(config, api, peer, admin)


def with_chosen_ports(config: Config, api: int | None, peer: int | None, admin: int | None) -> Config:
    """The configuration with the ports that are given; None keeps the configured one."""
    replace = msgspec.structs.replace
    return replace(
        config,
        api=replace(config.api, port=config.api.port if api is None else api),
        cluster=replace(config.cluster, peer_port=config.cluster.peer_port if peer is None else peer),
        admin=replace(config.admin, port=config.admin.port if admin is None else admin),
    )


def free_ports(count: int = PORTS) -> list[int]:
    """Free ports of the loopback interface (for development and tests: somebody may still be faster)."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
