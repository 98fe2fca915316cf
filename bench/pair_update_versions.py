"""Versions of our own program for a bench: packed as ``make pkg`` packs them, and in bundles as ``make update-bundle`` makes them.

In the place of a Mac's interpreter and wheels stands this machine's Python with what is installed for it; our own code, the
launcher, the scripts and the manifest are those of a real package. A ``Change`` makes the new version another program.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkgmake import own_code
from pkgmake.assemble import lay_scripts, write_manifest
from pkgmake.package import write_package
from updatemake.make import Wanted, make

from appliance.cluster.peer_messages import PROTOCOL
from appliance.store.migrate import known_migrations

ROOT: Final = Path(__file__).resolve().parents[1]
MINOR: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
Change = Callable[[Path], None]
"""Given the site-packages of the version that is being made."""


def unchanged(_packages: Path) -> None:
    """The same program under another number."""


def with_migration(packages: Path) -> None:
    """One migration more, which the version before can read."""
    newest = known_migrations()[-1].number
    sql = f"-- readable-by: {newest}\nCREATE TABLE bench_of_updates (id INTEGER PRIMARY KEY, said TEXT NOT NULL) STRICT;\n"
    folder = packages / "appliance" / "store" / "migrations"
    (folder / f"{newest + 1:04}_bench_of_updates.sql").write_text(sql, encoding="utf-8")


def with_newer_protocol(packages: Path) -> None:
    """Its nodes speak the peer protocol of tomorrow, and today's too."""
    messages = packages / "appliance" / "cluster" / "peer_messages.py"
    _replace(messages, f"\nPROTOCOL: Final = {PROTOCOL}\n", f"\nPROTOCOL: Final = {PROTOCOL + 1}\n")


def dead_on_arrival(packages: Path) -> None:
    """Its core ends before it serves: the health gate must see that."""
    core = packages / "appliance" / "daemon" / "core.py"
    core.write_text(
        core.read_text(encoding="utf-8") + '\nraise SystemExit("bench: this core ends at once")\n', encoding="utf-8"
    )


def mute(packages: Path) -> None:
    """Ready, but no consult gets through: only the synthetic one can tell."""
    consult = packages / "appliance" / "daemon" / "updates" / "consult.py"
    head = '    if not consult.text.strip():\n        return "nothing was heard in the consult"\n'
    _replace(consult, head, '    return "bench: nothing was heard in the consult"\n')


def both(*changes: Change) -> Change:
    """One after the other."""

    def change(packages: Path) -> None:
        for one in changes:
            one(packages)

    return change


@dataclass(frozen=True)
class Workshop:
    """``programs``: etcd and litestream of this machine; ``folder``: where packages and bundles are made."""

    folder: Path
    programs: dict[str, Path]
    key: Ed25519PrivateKey

    def package(self, version: str, change: Change = unchanged) -> Path:
        """``prontuario-<version>.pkg``. Raises ``BuildError``."""
        tree = self.folder / version
        place = tree / "versions" / version
        packages = place / "python" / "lib" / MINOR / "site-packages"
        packages.mkdir(parents=True)
        own_code.lay_down(ROOT, packages, version)
        change(packages)
        self._python(place / "python", packages)
        (place / "bin").mkdir()
        for name, program in self.programs.items():
            (place / "bin" / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n', encoding="utf-8")
            (place / "bin" / name).chmod(0o755)
        lay_scripts(ROOT, place, packages)
        write_manifest(place)
        package = self.folder / f"prontuario-{version}.pkg"
        write_package(tree, ROOT / "packaging" / "install", version, package)
        shutil.rmtree(tree)
        return package

    def bundle(self, version: str, change: Change, *, oldest: str) -> Path:
        """A stick's folder with that version. Raises ``BuildError``."""
        wanted = Wanted(self.package(version, change), oldest, "2026-11-21", "Ensaio.", "Rehearsal.")
        out = self.folder / f"bundle-{version}"
        make(wanted, self.key, out)
        return out

    def public_key(self) -> bytes:
        """PEM."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def _python(self, place: Path, packages: Path) -> None:
        (place / "bin").mkdir(parents=True)
        base = Path(sys.base_prefix) / "bin"
        shutil.copyfile(base / MINOR, place / "bin" / MINOR)
        (place / "bin" / MINOR).chmod(0o755)
        (place / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n", encoding="utf-8")
        # Behind our own code, so that this version's metadata and modules are found first.
        outside = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        (packages / "outside.pth").write_text("".join(f"{one}\n" for one in outside), encoding="utf-8")


def found_programs(names: Iterable[str]) -> dict[str, Path]:
    """Where this machine has them. Raises ``FileNotFoundError``."""
    found = {}
    for name in names:
        beside = Path(sys.prefix) / "bin" / name
        place = beside if beside.is_file() else shutil.which(name)
        if place is None:
            raise FileNotFoundError(name)
        found[name] = Path(place)
    return found


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{file.name} no longer holds what this version should change")
    file.write_text(text.replace(old, new), encoding="utf-8")
