"""``prontuario`` as a person types it on a scratch Mac: in a process of its own, and so in a network of its own.

Usage: ``python -m tests.system.mac_shell FOLDER word…``. FOLDER holds the Mac, as ``ScratchMac`` made it. What its launchd would
start and end, a real node, is started and ended here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from appliance.config import Config, Paths
from appliance.daemon.cli import main
from appliance.daemon.launchd.layout import JOBS_FOLDER
from appliance.daemon.setup.machine import networks_here
from tests.fakes.mac_ground import ScratchMac
from tests.system.install_page import homed
from tests.system.pair import ENGINES, UNHURRIED
from tests.unit.daemon.setup.grounds import OwnMachine

END_LIMIT_S: Final = 60.0


class ShellMac(OwnMachine):
    """A Mac whose launchd, once it was given the jobs, has a node running in this network."""

    async def load(self, home: Path, config: Config) -> list[str]:
        """See ``Machine.load``."""
        labels = await super().load(home, config)
        start(book_of(self), home)
        return labels


def book_of(machine: OwnMachine) -> Path:
    """Where the scratch Mac's stand-ins write."""
    assert machine.environment is not None
    return Path(machine.environment["MAC_BOOK"])


def settle(home: Path, book: Path) -> None:
    """On a busy machine a second's stall is no fault; no engines; two Macs on one file system need two sockets."""
    config = Paths(home).config
    told = config.read_text(encoding="utf-8")
    if "disabled_plugins" not in told:
        socket = f"vipd_socket = {json.dumps(str(book / 'vipd' / 'vipd.sock'))}"
        told = re.sub(r"(?m)^vipd_socket = .*\n", "", told)  # a new Mac was told the one of who invited it
        told = told.replace("[cluster]\n", f"[cluster]\n{UNHURRIED}\n{socket}\n", 1)
        config.write_text(f"disabled_plugins = {json.dumps(ENGINES)}\n{told}", encoding="utf-8")


def start(book: Path, home: Path) -> None:
    """The jobs: a node that goes on when this process ends."""
    settle(home, book)
    with (book / "node.log").open("a") as log:
        argv = [sys.executable, "-m", "appliance.daemon", "up", "--home", str(home), "--no-admin"]
        node = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (book / "node.pid").write_text(str(node.pid))


def end(book: Path) -> None:
    """Take the jobs away and wait until they are gone."""
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        node = psutil.Process(int((book / "node.pid").read_text()))
        node.terminate()
        node.wait(END_LIMIT_S)


def run(mac: ScratchMac, words: list[str]) -> None:
    """One command line."""
    machine = ShellMac(
        platform="darwin", is_root=True, networks=networks_here(), root=mac.root, launchctl=str(mac.book / "bin" / "launchctl"),
        environment={"MAC_BOOK": str(mac.book), "PATH": f"{mac.book / 'bin'}:{os.environ['PATH']}"},
    )  # fmt: skip
    # The jobs' own commands know no Machine: they are told where this Mac's launchd and its folder are.
    jobs = words[0] == "launchd"
    if jobs:
        words = [*words, "--folder", str(mac.root / JOBS_FOLDER.relative_to("/")), "--launchctl", machine.launchctl]
    if words[:2] == ["launchd", "unload"]:
        end(mac.book)
    main(homed(words, mac.home), prog_name="prontuario", obj=machine, standalone_mode=not jobs)
    if words[:2] == ["launchd", "load"]:
        start(mac.book, mac.home)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    run(ScratchMac(place / "root", place / "book"), sys.argv[2:])
