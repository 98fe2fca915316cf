"""docs/install.md as its tests read it, and a reader who types what stands there on a Mac of paper.

macOS's programs are stand-ins, Installer.app is played by ``ScratchMac``; ``prontuario`` is the real one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
from click.testing import CliRunner
from pkgmake.assemble import assemble
from pkgmake.package import write_package

from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.daemon.setup.machine import Machine
from tests.fakes.mac_ground import ScratchMac
from tests.fakes.package_sources import Ground

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("install.md", "install.en.md")}
VERSION: Final = "1.2.3"
Told = tuple[str, int]
"""What a command said, and how it ended."""


def blocks(page: str, kind: str) -> list[str]:
    """What is in the page's blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str, kind: str = "sh run") -> list[str]:
    """The commands in the page's blocks of a kind, in their order."""
    return [line for block in blocks(page, kind) for line in block.splitlines() if line]


def make_package(folder: Path) -> Path:
    """The package that the page speaks of."""
    ground, payload = Ground(folder / "ground"), folder / "payload"
    assemble(ground.sources(), VERSION, payload)
    package = folder / f"prontuario-{VERSION}.pkg"
    write_package(payload, ground.repository / "packaging" / "install", VERSION, package)
    return package


def homed(words: list[str], home: Path) -> list[str]:
    """The words of a ``prontuario`` command with the home where this Mac has it."""
    command: click.Command = main
    depth = 0
    while isinstance(command, click.Group):
        command = command.commands[words[depth]]
        depth += 1
    known = any(parameter.name == "home" for parameter in command.params)
    return [*words[:depth], "--home", str(home), *words[depth:]] if known else words


@dataclass
class Reader:
    """Does what the page says, where it says it. Volumes and people's folders lie in ``folder``."""

    folder: Path
    mac: ScratchMac
    package: Path
    said: list[str] = field(default_factory=list)
    machine: Machine | None = None
    typed: str = ""
    """What is typed for the command that asks."""
    prontuario: Callable[[list[str]], Told] | None = None
    """How ``prontuario`` is run; None: in this process."""

    def follow(self, line: str) -> str:
        """Type a line of the page; what was said. Fails unless the command ended well."""
        words = shlex.split(line)
        while words[0] in {"sudo", "-u", "_prontuario"}:
            words.pop(0)
        words = [re.sub(r"^/(Volumes|Users)/", f"{self.folder}/\\1/", word) for word in words]
        words = [str(self.folder / word) if (self.folder / word).is_file() else word for word in words]
        told, status = self._run(words)
        # This is no Mac, and doctor says so; what it says is its own test's business.
        allowed = {0, Exit.UNHEALTHY} if words[:2] == ["prontuario", "doctor"] else {0}
        assert status in allowed, f"{line}\n{status}\n{told}"
        self.said.append(told)
        return told

    def _run(self, words: list[str]) -> Told:
        if words[0] == "prontuario":
            return (self.prontuario or self._in_this_process)(words[1:])
        if words[0] == "installer":
            assert words[1:] == ["-pkg", str(self.package), "-target", "/"]
            done = self.mac.install(self.package)
        else:
            place = Path(words[0])
            program = self.mac.root / place.relative_to("/") if place.is_absolute() else self.mac.book / "bin" / place
            own = [str(self.mac.root)] if place.is_absolute() else words[1:]
            done = self.mac.run(program, *own)
        return done.stdout + done.stderr, done.returncode

    def _in_this_process(self, words: list[str]) -> Told:
        done = CliRunner().invoke(main, homed(words, self.mac.home), obj=self.machine, input=self.typed)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output, done.exit_code
