"""Home, disk, ports, logs and clock, each broken for real where that is possible on any machine."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.config.model import GIB, Paths
from appliance.operations.doctor.patient import Machine, filesystem
from tests.unit.operations.doctor.ward import NOW, Ward, breaks


def on_a_small_disk(ward: Ward) -> bool:
    """The home on a disk of 64 KiB that is full; False where this account may not mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(ward.paths.home)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if mounted:
        ward.stack.callback(subprocess.run, ["umount", str(ward.paths.home)], check=True)
        with contextlib.suppress(OSError), (ward.paths.home / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    return mounted


@breaks("home.missing", says="prontuario init")
def _(ward: Ward) -> None:
    shutil.rmtree(ward.paths.home)


@breaks("configuration.invalid", says="prontuario.toml:2")
def _(ward: Ward) -> None:
    ward.paths.config.write_text("[node]\nnmae = 'x'\n")


@breaks("configuration.missing")
def _(ward: Ward) -> None:
    ward.paths.config.unlink()


@breaks("home-owner.writable", says="chmod 700")
def _(ward: Ward) -> None:
    ward.paths.home.chmod(0o777)


@breaks("home-owner.readable")
def _(ward: Ward) -> None:
    ward.set("node", profile="production")
    ward.paths.home.chmod(0o755)


@breaks("home-owner.mixed", says="core.jsonl")
def _(ward: Ward) -> None:
    (ward.paths.logs / "core.jsonl").touch()
    if os.geteuid():
        pytest.skip("giving a file to somebody else needs root")
    os.chown(ward.paths.logs / "core.jsonl", 12345, 12345)


@breaks("disk-space.little", says="10.0 GiB")
def _(ward: Ward) -> None:
    ward.on(free_bytes=lambda _: 10 * GIB)


@breaks("disk-space.full", says="0.0 GiB")
def _(ward: Ward) -> None:
    real = Machine().free_bytes
    ward.on(free_bytes=real if on_a_small_disk(ward) else lambda _: 0)


@breaks("disk-write.refused")
def _(ward: Ward) -> None:
    """A full disk; where none can be mounted, a file in the home's place refuses every write, also to root."""
    if not on_a_small_disk(ward):
        (ward.folder / "blocked").write_text("")
        ward.paths = Paths(ward.folder / "blocked")


@breaks("disk-write.altered")
def _(ward: Ward) -> None:
    def forget_a_byte(path: Path, content: bytes) -> None:
        path.write_bytes(content[:-1])

    ward.monkeypatch.setattr("appliance.operations.doctor.home.write_file", forget_a_byte)


@breaks("disk-flush.memory", says="tmpfs")
def _(ward: Ward) -> None:
    memory = Path("/dev/shm")
    if memory.is_dir() and filesystem(memory) == "tmpfs":
        ward.paths = Paths(memory)
        ward.on(filesystem=filesystem)
    else:
        ward.on(filesystem=lambda _: "tmpfs")


@breaks("disk-flush.remote", says="smbfs")
def _(ward: Ward) -> None:
    ward.on(filesystem=lambda _: "smbfs")


@breaks("disk-flush.refused", says="ENOTSUP")
def _(ward: Ward) -> None:
    def refuse(_: Path) -> float:
        raise OSError(errno.ENOTSUP, "x")

    ward.on(flush_s=refuse)


@breaks("disk-flush.hasty", says="5 µs")
def _(ward: Ward) -> None:
    ward.on(flush_s=lambda _: 5e-6)


@breaks("ports.taken", says="lsof")
def _(ward: Ward) -> None:
    listener = ward.stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    ward.set("api", port=listener.getsockname()[1])


@breaks("logs.large")
def _(ward: Ward) -> None:
    ward.set("logging", max_file_bytes=1000, keep_files=1)
    (ward.paths.logs / "core.jsonl").write_bytes(bytes(10_000))


@breaks("clock.unborn", says="2001-01-01")
def _(ward: Ward) -> None:
    ward.on(now=lambda: datetime(2001, 1, 1, tzinfo=UTC))


@breaks("clock.behind", says="newest entry")
def _(ward: Ward) -> None:
    ward.on(now=lambda: NOW - timedelta(hours=1))


@breaks("time-service.unnamed", on="mac", says="systemsetup")
def _(ward: Ward) -> None:
    ward.on(time_server=lambda: None)


@breaks("time-service.silent", on="mac", says="10.0.0.1")
def _(ward: Ward) -> None:
    ward.program("sntp", "sntp: Exchange failed: Timeout\n", status=1)


@breaks("time-service.unasked", on="mac", says="sudo prontuario doctor")
def _(ward: Ward) -> None:
    """The daily round is the node's own account's, which the packet filter lets reach nobody but the pair."""
    ward.program("sntp", "sntp: Exchange failed: Timeout\n", status=1)
    ward.on(user=lambda: 321, root_user=0)


@breaks("time-service.off", on="mac", says="-1.500 s")
def _(ward: Ward) -> None:
    ward.program("sntp", "-1.500000 +/- 0.020321 10.0.0.1 10.0.0.1\n")


@breaks("time-service.far-off", on="mac", says="sntp -sS")
def _(ward: Ward) -> None:
    ward.program("sntp", "+86400.1 +/- 0.020321 10.0.0.1 10.0.0.1\n")


@breaks("network-time.switched-off", on="mac")
def _(ward: Ward) -> None:
    ward.program("systemsetup", "Network Time: Off\n")


@breaks("network-time.unasked", on="mac", says="sudo prontuario doctor")
def _(ward: Ward) -> None:
    ward.program("systemsetup", "You need administrator access to run this tool... exiting!\n")
