"""Debian's own NUT server with its make-believe UPS, as a child: a test changes what the UPS says by writing its file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

UPSD: Final = Path("/lib/nut/upsd")
DRIVER: Final = Path("/lib/nut/dummy-ups")
NAME: Final = "rack"
PATIENCE_S: Final = 60.0
PRESENT: Final = UPSD.exists() and DRIVER.exists()


class Rack:
    """One UPS. ``say`` what it tells; the driver reads the file again at every poll."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._told_at = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def say(self, status: str, *, charge: float = 100.0, runtime: float = 3600.0) -> None:
        """What the UPS tells from its next poll on (a second)."""
        lines = f"ups.status: {status}\nbattery.charge: {charge:g}\nbattery.runtime: {runtime:g}\n"
        draft = self._folder / "rack.draft"
        draft.write_text(lines)
        self._told_at = max(self._told_at + 2, int(time.time()))
        os.utime(draft, (self._told_at, self._told_at))  # dummy-ups reads a file anew when its second differs
        draft.rename(self._folder / "rack.dev")

    def start(self) -> None:
        """Driver and server; returns once the server answers for the UPS."""
        self._run("driver", [str(DRIVER), "-u", "root", "-D", "-F", "-a", NAME])
        self._run("server", [str(UPSD), "-u", "root", "-D", "-F"])
        ends = time.monotonic() + PATIENCE_S
        while b"battery.charge" not in self._answer():
            if time.monotonic() > ends:
                raise TimeoutError(
                    (self._folder / "server.log").read_text() + (self._folder / "driver.log").read_text()
                )
            time.sleep(0.05)

    def stop(self, name: str) -> None:
        """End ``driver`` or ``server``."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.terminate()
            try:
                process.wait(PATIENCE_S / 4)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        """End both."""
        for name in ("server", "driver"):
            self.stop(name)

    def _run(self, name: str, argv: list[str]) -> None:
        places = {"NUT_CONFPATH": self._folder, "NUT_STATEPATH": self._folder, "NUT_ALTPIDPATH": self._folder}
        environment = {key: str(value) for key, value in places.items()} | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                argv, env=environment, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _answer(self) -> bytes:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(f"LIST VAR {NAME}\nLOGOUT\n".encode())
            return b"".join(iter(lambda: line.recv(4096), b""))
        return b""


@contextmanager
def rack(folder: Path, status: str = "OL") -> Iterator[Rack]:
    """A running UPS whose files lie in ``folder``, a short path: NUT puts a Unix socket there."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    one = Rack(folder, free_port())
    one.say(status)
    (folder / "ups.conf").write_text(
        f"pollinterval = 1\n[{NAME}]\ndriver = dummy-ups\nport = {folder / 'rack.dev'}\nmode = dummy-once\n"
        "desc = make-believe\n"
    )
    (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {one.port}\nSTATEPATH {folder}\nMAXAGE 15\n")
    (folder / "upsd.users").write_text("")
    try:
        one.start()
        yield one
    finally:
        one.close()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
