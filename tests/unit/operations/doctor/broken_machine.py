"""Too little memory, too few open files, packs that are not to be believed, programs that are missing; power and alerts."""

from __future__ import annotations

import asyncio
import plistlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from appliance.config.model import GIB
from appliance.operations.doctor.machine import CORE_PLIST
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.operations.watching.conditions import PREFIX, Snapshot
from appliance.operations.watching.feed import AlertFeed
from tests.fakes import packs
from tests.fakes.upsd import free_port
from tests.unit.operations.doctor.ward import NOW, Ward, breaks


@breaks("memory.tight")
def _(ward: Ward) -> None:
    ward.set("memory", ai_bytes=15 * GIB)


@breaks("memory.too-much", says="17.0 GiB")
def _(ward: Ward) -> None:
    ward.set("memory", ai_bytes=17 * GIB)


@breaks("memory-free.short", says="0.5 of 16.0 GiB")
def _(ward: Ward) -> None:
    ward.on(available_bytes=lambda: GIB // 2)


@breaks("open-files.few", says="256 files only")
def _(ward: Ward) -> None:
    job = ward.root / CORE_PLIST
    job.parent.mkdir(parents=True)
    job.write_bytes(plistlib.dumps({"SoftResourceLimits": {"NumberOfFiles": 256}}))
    ward.set("api", max_connections=2000)


@breaks("models.doubted", says="pack.untrusted")
def _(ward: Ward) -> None:
    shelf = Shelf(ward.paths.models, packs.write_trusted(ward.paths.pack_keys))
    packs.make(ward.folder / "source")
    Intake(shelf, spare_bytes=0).take_in(ward.folder / "source")
    (ward.paths.models / "chat_model" / "active").rmdir()
    shelf.point("chat_model", "tiny-1")
    (ward.paths.pack_keys / "maker.pem").unlink()


@breaks("models.demonstration", says="notes and chat")
def _(ward: Ward) -> None:
    (ward.paths.models / "chat_model" / "active").rmdir()


@breaks("audio.deaf", says="iPhones")
def _(ward: Ward) -> None:
    (ward.bin / "ffmpeg").unlink()


@breaks("voice.mute")
def _(ward: Ward) -> None:
    (ward.bin / "espeak-ng").unlink()


@breaks("arithmetic.slow")
def _(ward: Ward) -> None:
    ward.on(openblas=lambda: None)


# -- power --------------------------------------------------------------------------------------------------------------
@contextmanager
def upsd(status: str) -> Iterator[int]:
    """A NUT server in a thread of its own: a check runs a loop of its own."""
    answer = f'BEGIN LIST VAR ups\nVAR ups ups.status "{status}"\nEND LIST VAR ups\n'.encode()
    ready, done, port = threading.Event(), asyncio.Event(), [0]
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port[0] = server.sockets[0].getsockname()[1]
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def ups_says(ward: Ward, status: str) -> None:
    ward.set("power", kind="nut", port=ward.stack.enter_context(upsd(status)))


@breaks("ups.missing", says="docs/power.md")
def _(ward: Ward) -> None:
    ward.set("node", profile="production")


@breaks("ups.silent", says="nobody listens")
def _(ward: Ward) -> None:
    ward.set("power", kind="nut", port=free_port())


@breaks("ups.battery", says="power-failed")
def _(ward: Ward) -> None:
    ups_says(ward, "OB")


@breaks("ups.worn", says="replaced")
def _(ward: Ward) -> None:
    ups_says(ward, "OL RB")


@breaks("switching-off.missing")
def _(ward: Ward) -> None:
    ward.set("power", kind="nut")


@breaks("switching-off.unknown", says="halten")
def _(ward: Ward) -> None:
    ward.set("power", kind="nut", shutdown_command=("halten",))


@breaks("switching-off.forbidden", on="mac", says="sudoers")
def _(ward: Ward) -> None:
    ward.set("power", kind="nut")
    ward.program("sudo", status=1, err="sudo: a password is required\n")


@breaks("alert-targets.no-network", says="hospital")
def _(ward: Ward) -> None:
    ward.set("alerts", networks=("hospital",))


@breaks("alert-targets.public", says="0.0.0.0/0")
def _(ward: Ward) -> None:
    ward.set("alerts", networks=("0.0.0.0/0",))


@breaks("alert-targets.outside", says="webhook 1")
def _(ward: Ward) -> None:
    ward.set("alerts", webhooks=("https://8.8.8.8/x",))


def alarm(ward: Ward, **figures: Any) -> None:
    """The box looks at figures out of order, and remembers, as core does."""
    feed = AlertFeed(ward.paths.home / "data" / "alerts.json", "a")
    feed.look(Snapshot(NOW.timestamp(), {PREFIX + name: {(): value} for name, value in figures.items()}))
    feed.save()


@breaks("alerts.on", says="power-failed")
def _(ward: Ward) -> None:
    alarm(ward, ups_on_battery=1)


@breaks("alerts.critical", says="2 alert(s), the gravest: The UPS's battery ends")
def _(ward: Ward) -> None:
    alarm(ward, ups_on_battery=1, ups_battery_low=1)
