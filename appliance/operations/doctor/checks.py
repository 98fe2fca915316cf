"""Every check, in the order in which one would repair."""

from __future__ import annotations

from typing import Final

from appliance.operations.doctor import (
    clock,
    copies,
    home,
    keys,
    live,
    mac,
    mac_jobs,
    machine,
    pair,
    peer,
    power,
    record,
)
from appliance.operations.doctor.model import Check

CHECKS: Final[tuple[Check, ...]] = (
    home.HOME, home.CONFIGURATION, home.OWNER, home.SPACE, home.WRITE, home.FLUSH, home.PORTS, home.LOGS,
    clock.CLOCK, clock.SERVICE, clock.KEPT,
    keys.SECRETS, keys.AUTHORITY, keys.SERVER, keys.PINNED, keys.NODE, keys.MASTER,
    record.SQLITE, record.DATABASE, record.SCHEMA, record.AUDIT,
    copies.LITESTREAM, copies.SPOOL, copies.RESTORE, copies.BLOBS, copies.ASIDE, copies.ROUTINES,
    machine.MEMORY, machine.FREE, machine.FILES, machine.MODELS, machine.AUDIO, machine.VOICE, machine.ARITHMETIC,
    power.UPS, power.OFF, power.TARGETS, power.ALERTS,
    mac.VAULT, mac.SLEEP, mac.TIME_MACHINE, mac.SIGNED, mac.FIREWALL, mac_jobs.FILES, mac_jobs.JOBS,
    live.NODE, live.API, live.PARTS, live.PLUGINS,
    pair.ETCD, pair.VOTERS, pair.REPLICATION, pair.VIP,
    peer.PEER, peer.VERSION, peer.CLOCKS, peer.SCHEMA, peer.CONFIGURATION, peer.AUTHORITY, peer.MODELS, peer.DISK,
)  # fmt: skip
BY_ID: Final = {check.id: check for check in CHECKS}
GROUPS: Final = {
    "home": ("Pasta e disco", "Folder and disk"),
    "time": ("Hora", "Time"),
    "keys": ("Chaves e certificados", "Keys and certificates"),
    "record": ("Prontuário e cópias", "Record and copies"),
    "machine": ("Máquina", "Machine"),
    "power": ("Energia e alertas", "Power and alerts"),
    "macos": ("macOS", "macOS"),
    "running": ("Nó rodando", "Running node"),
    "pair": ("Par", "Pair"),
}
