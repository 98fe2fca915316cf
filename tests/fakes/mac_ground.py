"""A Mac as far as an installation touches it: a scratch root, macOS's programs as stand-ins, and what Installer.app does.

The package's own scripts run as they are. Linux can't run a Mac's interpreter, so after the payload was laid down a small
program takes its place, and the manifest is told: it renders plists, answers the health gate as the test wants, and writes
every call down. ``launchctl`` is the asynchronous one of ``tests/fakes/launchctl.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatpkg import Archive
from pkgmake.assemble import MANIFEST, PREFIX

from appliance.config import Config
from appliance.daemon.launchd.render import rendered, write
from bench.mac_installer import unpack
from tests.unit.daemon.launchd.parts import ALONE, FAKE, HOME

DEADLINE_S = 100
DIRECTORY = """
# dscl . -create RECORD KEY VALUE | -read RECORD [KEY] | -list FOLDER KEY | -delete RECORD, on a folder of files
record=$book/directory$3; key=${4:-}
case $2 in
  -create) mkdir -p "$record"; printf '%s' "$5" >"$record/$key" ;;
  -read)
    [ -n "$key" ] || { [ -d "$record" ]; exit; }
    [ -f "$record/$key" ] || exit 56
    echo "$key: $(cat "$record/$key")" ;;
  -list) for found in "$record"/*; do [ ! -f "$found/$key" ] || echo "$(basename "$found")  $(cat "$found/$key")"; done ;;
  -delete) rm -r "$record" ;;
esac
"""
POWER = """
# pmset -a NAME VALUE | -g custom
power=$book/power; touch "$power"
case $1 in
  -a) grep -v "^ $2 " "$power" >"$power.new" || true; echo " $2 $3" >>"$power.new"; mv "$power.new" "$power" ;;
  -g) echo "AC Power:"; cat "$power" ;;
esac
"""
SUDOERS = """
# visudo -cf FILE: refused when the file holds anything but comments and rules of one account
! grep -Ev '^(#.*|[a-z_]+ ALL=[(]root[)] NOPASSWD: /[^,]*)$' "$2"
"""
LAUNCHCTL = """
if [ "$(cat "$book/kill-at" 2>/dev/null)" = "$1" ]; then rm "$book/kill-at"; kill -9 $PPID; exit 1; fi
exec "{python}" -I -S "$book/launchctl.py" "$@"
"""
INTERPRETER = """
here=$(cd "$(dirname "$0")/../.." && pwd -P); version=${here##*/}
echo "$version: $*" >>"$book/interpreter"
killed() { if [ "$(cat "$book/kill-at" 2>/dev/null)" = "$1" ]; then rm "$book/kill-at"; kill -9 $PPID; exit 1; fi; }
case "$*" in
  *health_gate.py*) killed gate; [ ! -e "$book/unhealthy-$version" ] ;;
  *"launchd render"*) killed render; [ ! -e "$book/unrendered-$version" ] || exit 1
    for last do :; done; cp -R "$book/plists/." "$last" ;;
  *"update consult"*) killed consult; [ ! -e "$book/mute-$version" ] || { echo "the note is empty"; exit 1; } ;;
  *version*) [ ! -e "$book/unhealthy-$version" ] ;;
  *) exit 64 ;;
esac
"""


@dataclass(frozen=True)
class ScratchMac:
    """``root`` stands for /; ``book`` holds the stand-ins and what they wrote down."""

    root: Path
    book: Path

    @classmethod
    def make(cls, folder: Path, config: Config = ALONE) -> ScratchMac:
        """A Mac on which nothing of ours was ever installed; ``config`` is what its node will be."""
        mac = cls(folder / "root", folder / "book")
        mac.root.mkdir(parents=True)
        (mac.book / "bin").mkdir(parents=True)
        (mac.book / "launchctl.py").write_bytes(FAKE.read_bytes())
        (mac.book / "launchctl.json").write_text('{"leaves_after": 1}')
        for name, body in {
            "id": "echo 0", "uname": "echo arm64", "dscl": DIRECTORY, "chown": "", "pfctl": "", "tmutil": "", "sync": "",
            "pmset": POWER, "visudo": SUDOERS,
            "launchctl": LAUNCHCTL.format(python=sys.executable),
            "pkgutil": 'case $1 in --pkgs) cat "$book/receipts" 2>/dev/null || true ;; esac',
        }.items():  # fmt: skip
            mac.program(mac.book / "bin" / name, f'echo "{name} $*" >>"$book/calls"\n{body}')
        write(rendered(HOME, config), mac.book / "plists")
        return mac

    def copy(self, folder: Path) -> ScratchMac:
        """The same Mac once more, elsewhere."""
        shutil.copytree(self.root.parent, folder, symlinks=True)
        return ScratchMac(folder / "root", folder / "book")

    def program(self, path: Path, body: str) -> None:
        """A stand-in."""
        path.write_text(f"#!/bin/sh\nset -eu\nbook=$MAC_BOOK\n{body}\n")
        path.chmod(0o755)

    @property
    def prefix(self) -> Path:
        return self.root / PREFIX.lstrip("/")

    @property
    def home(self) -> Path:
        return self.root / str(HOME).lstrip("/")

    @property
    def current(self) -> str | None:
        """Where ``current`` points."""
        link = self.prefix / "current"
        return str(link.readlink()) if link.is_symlink() else None

    @property
    def jobs(self) -> set[str]:
        """What launchd runs: loaded and not on its way out."""
        state = self._launchd()
        return {label for label, leaving in state["jobs"].items() if leaving is None}

    @property
    def launchctl_calls(self) -> list[list[str]]:
        return list(self._launchd()["calls"])

    def _launchd(self) -> dict[str, Any]:
        return {"jobs": {}, "calls": [], **json.loads((self.book / "launchctl.json").read_text())}

    @property
    def calls(self) -> list[str]:
        """Calls of macOS's programs, in order."""
        book = self.book / "calls"
        return book.read_text().splitlines() if book.exists() else []

    @property
    def interpreter_calls(self) -> list[str]:
        book = self.book / "interpreter"
        return book.read_text().splitlines() if book.exists() else []

    def make_node(self) -> None:
        """As after ``prontuario init``: the home has a configuration."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "prontuario.toml").write_text('[node]\nname = "a"\n')
        (self.home / "record").write_text("what must never be lost")

    def spoil(self, what: str) -> None:
        """From now on ``unhealthy-<version>``, ``unrendered-<version>`` or ``mute-<version>`` (no consult gets through)."""
        (self.book / what).touch()

    def kill_at(self, step: str) -> None:
        """The next script that gets to ``step`` is killed there: bootout, bootstrap, print, render, gate, consult."""
        (self.book / "kill-at").write_text(step)

    def run(self, program: Path, *words: str, told: str = "", looks: str = "100") -> subprocess.CompletedProcess[str]:
        """Run a script of ours as root's shell would; ``looks`` are taken at a job that leaves before it is given up."""
        environment = {
            "MAC_BOOK": str(self.book), "PATH": f"{self.book / 'bin'}:{os.environ['PATH']}",
            "JOBS_POLL_S": "0.01", "JOBS_LOOKS": looks,
        }  # fmt: skip
        return subprocess.run(
            [str(program), *words], env=environment, input=told, capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )  # fmt: skip

    def script(self, name: str) -> Path:
        """A shipped script of the version in use."""
        return self.prefix / "current" / "scripts" / name

    def install(self, package: Path) -> subprocess.CompletedProcess[str]:
        """What ``installer -pkg`` does: preinstall, payload, postinstall."""
        done = self.preinstall(package)
        if done.returncode == 0:
            self.lay_down(package)
            done = self.run(self._scripts(package) / "postinstall", str(package), PREFIX, str(self.root), "/")
        return done

    def preinstall(self, package: Path) -> subprocess.CompletedProcess[str]:
        """The first step alone."""
        return self.run(self._scripts(package) / "preinstall", str(package), PREFIX, str(self.root), "/")

    def lay_down(self, package: Path, *, only: int | None = None) -> None:
        """The payload, as far as its entry number ``only``."""
        with Archive(package) as archive:
            unpack(archive, "Payload", self.prefix, only=only)
        if only is None:
            self._stand_in(self.prefix / "versions" / package.stem.removeprefix("prontuario-"))

    def _stand_in(self, folder: Path) -> None:
        interpreter = folder / "python" / "bin" / "python3.11"
        before = hashlib.sha256(interpreter.read_bytes()).hexdigest()
        self.program(interpreter, INTERPRETER)
        manifest = folder / MANIFEST
        manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(interpreter.read_bytes()).hexdigest()))

    def _scripts(self, package: Path) -> Path:
        folder = self.book / "scripts" / package.stem
        folder.mkdir(parents=True, exist_ok=True)
        with Archive(package) as archive:
            unpack(archive, "Scripts", folder)
        return folder
