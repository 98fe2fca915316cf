"""The Mac's own path to a package: what it would run, and in which order, against stand-ins for Apple's programs."""

from __future__ import annotations

import os
import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.package_sources import ROOT, Ground

RELEASE = ROOT / "packaging" / "release" / "release.sh"
IDENTITIES = {
    "APP_IDENTITY": "Developer ID Application: P",
    "INSTALLER_IDENTITY": "Developer ID Installer: P",
    "NOTARY_PROFILE": "p",
}
LAST = ["pkgbuild", "productbuild", "productsign", "pkgutil", "notarytool", "staple", "validate", "spctl", "shasum"]


def release(
    *words: str, path: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    found = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", RELEASE, *words], env={"PATH": found, **(IDENTITIES if environment is None else environment)},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def what(line: list[str]) -> str:
    """The program, or for xcrun its verb."""
    if line[0] == "xcrun":
        return line[1] if line[1] == "notarytool" else line[2]
    return line[0]


def test_a_dry_run_tells_every_step_in_order_and_runs_none(tmp_path: Path) -> None:
    done = release("1.2.3", str(tmp_path / "out"), "--dry-run", path=None)
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line)[1:] for line in done.stdout.splitlines()]
    steps = [what(line) for line in lines]
    assert steps[-len(LAST) :] == LAST
    sealed = next(number for number, line in enumerate(lines) if "seal" in line)
    signed = [number for number, step in enumerate(steps) if step == "codesign"]
    assert signed
    assert max(signed) < sealed < steps.index("pkgbuild"), "the lists are written over what was signed"
    assert all(
        {"--options", "runtime", "--timestamp"} <= set(lines[number]) for number in signed if "--sign" in lines[number]
    )
    assert not (tmp_path / "out").exists()


@pytest.fixture
def mac(tmp_path: Path) -> Path:
    """Apple's programs as stand-ins that write their words down; our own tools are real, on small inputs."""
    ground = Ground(tmp_path / "ground")
    programs = tmp_path / "bin"
    programs.mkdir()
    inputs = f"--inputs {ground.inputs} --lock {ground.lock} --wheelhouse {ground.wheelhouse} --repository {ground.repository}"
    for name, body in {
        **dict.fromkeys(
            ("codesign", "pkgbuild", "productbuild", "productsign", "pkgutil", "xcrun", "spctl", "shasum"), ""
        ),
        "uname": "echo Darwin",
        "file": 'case $2 in */bin/*) echo "Mach-O 64-bit executable arm64" ;; *) echo "Mach-O 64-bit library" ;; esac',
        "python-of-the-build": f'case $3 in tree) exec "{sys.executable}" "$@" {inputs} ;; *) exec "{sys.executable}" "$@" ;; esac',
    }.items():
        note = (
            f'for word; do printf "%s\\t" "$word"; done >>"{tmp_path}/{name}.calls"; echo >>"{tmp_path}/{name}.calls"'
        )
        (programs / name).write_text(f"#!/bin/sh\n{note}\n{body}\n")
        (programs / name).chmod(0o755)
    return programs


def calls(mac: Path, name: str) -> list[list[str]]:
    book = mac.parent / f"{name}.calls"
    return [line.split("\t")[:-1] for line in book.read_text().splitlines()] if book.exists() else []


def test_everything_is_signed_inside_out_before_it_is_packed(mac: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    environment = {**IDENTITIES, "PKG_PYTHON": str(mac / "python-of-the-build")}
    done = release("1.2.3", str(out), path=mac, environment=environment)
    assert done.returncode == 0, done.stderr
    folder = out / "tree" / "versions" / "1.2.3"
    listed = (folder / "MACHO.txt").read_text().splitlines()
    signing = [words for words in calls(mac, "codesign") if "--sign" in words]
    assert [words[-1] for words in signing] == [str(folder / one) for one in listed]
    entitled = [words[-1] for words in signing if "--entitlements" in words]
    assert entitled == [str(folder / one) for one in ("python/bin/python3.11", "bin/etcd", "bin/litestream")]
    assert [words[-1] for words in calls(mac, "codesign") if "--verify" in words] == [words[-1] for words in signing]
    (packed,) = calls(mac, "pkgbuild")
    assert packed[packed.index("--identifier") + 1] == "br.prontuario.appliance.v1_2_3"
    assert packed[packed.index("--install-location") + 1] == "/Library/Prontuario"
    assert {path.name for path in (out / "parts" / "scripts").iterdir()} == {"preinstall", "postinstall"}
    assert 'version="1.2.3"' in (out / "parts" / "Distribution").read_text()
    assert [words[0] for words in calls(mac, "xcrun")] == ["notarytool", "stapler", "stapler"]


def test_a_signature_that_fails_stops_it(mac: Path, tmp_path: Path) -> None:
    (mac / "codesign").write_text("#!/bin/sh\nexit 1\n")
    environment = {**IDENTITIES, "PKG_PYTHON": str(mac / "python-of-the-build")}
    assert release("1.2.3", str(tmp_path / "out"), path=mac, environment=environment).returncode != 0
    assert calls(mac, "pkgbuild") == []


@pytest.mark.parametrize("words", [(), ("1.2.3",), ("1.2.3", "out", "--wet-run")])
def test_wrong_usage_is_told(words: tuple[str, ...]) -> None:
    done = release(*words)
    assert (done.returncode, "usage: release.sh" in done.stderr) == (2, True)


@pytest.mark.parametrize("missing", sorted(IDENTITIES))
def test_without_an_identity_nothing_begins(missing: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in IDENTITIES.items() if name != missing}
    done = release("1.2.3", str(tmp_path / "out"), environment=environment)
    assert (done.returncode, f"say {missing}" in done.stderr) == (2, True)


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may do it")
def test_elsewhere_than_on_a_mac_only_a_dry_run_goes(tmp_path: Path) -> None:
    done = release("1.2.3", str(tmp_path / "out"))
    assert (done.returncode, "needs a Mac" in done.stderr) == (1, True)


def test_the_entitlements_are_just_these() -> None:
    found = plistlib.loads((ROOT / "packaging" / "release" / "entitlements.plist").read_bytes())
    assert set(found) == {
        "com.apple.security.cs.allow-jit",
        "com.apple.security.cs.allow-unsigned-executable-memory",
        "com.apple.security.cs.disable-library-validation",
    }
