"""Bundles on a stick: proven to the last byte, copied, and refused without a trace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from appliance.operations.updates import bundle
from appliance.operations.updates import manifest as manifests
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.updates import MAKER, PARTS, STRANGER, manifest, write_bundle

TRUSTED = [MAKER.public_key()]


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "stick")


def refused(code: str, folder: Path, target: Path) -> None:
    """Neither proven nor staged, and nothing is left of the attempt."""
    for attempt in (lambda: bundle.prove(folder, TRUSTED), lambda: bundle.stage(folder, target, TRUSTED)):
        with pytest.raises(ProntuarioError) as caught:
            attempt()
        assert caught.value.kind.code == code
    assert not target.exists() or list(target.iterdir()) == []


def test_a_whole_bundle_is_proven_and_copied(stick: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    assert bundle.prove(stick, TRUSTED, seen.append) == manifest()
    assert sum(seen) == manifest().size
    staged = bundle.stage(stick, tmp_path / "staged", TRUSTED)
    assert staged.name == manifests.digest((stick / manifests.MANIFEST_NAME).read_bytes())
    assert {str(one.relative_to(staged)) for one in staged.rglob("*") if one.is_file()} == {
        *PARTS, manifests.MANIFEST_NAME, manifests.SIGNATURE_NAME,
    }  # fmt: skip
    assert all((staged / path).read_bytes() == body for path, body in PARTS.items())
    assert staged.stat().st_mode & 0o777 == 0o755
    assert all(one.stat().st_mode & 0o777 == 0o644 for one in staged.rglob("*") if one.is_file())


@pytest.mark.parametrize("path", [*PARTS, manifests.MANIFEST_NAME, manifests.SIGNATURE_NAME])
def test_one_flipped_byte_anywhere_is_refused(stick: Path, tmp_path: Path, path: str) -> None:
    body = (stick / path).read_bytes()
    code = "update.altered" if path in PARTS else "update.untrusted"
    for position in {0, len(body) // 2, len(body) - (2 if path.endswith(".sig") else 1)}:
        (stick / path).write_bytes(body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :])
        refused(code, stick, tmp_path / "staged")
    (stick / path).write_bytes(body)
    bundle.prove(stick, TRUSTED)


@pytest.mark.parametrize("path", PARTS)
def test_a_part_cut_short_lengthened_or_gone(stick: Path, tmp_path: Path, path: str) -> None:
    body = (stick / path).read_bytes()
    (stick / path).write_bytes(body[:-1])
    refused("update.truncated", stick, tmp_path / "staged")
    (stick / path).write_bytes(body + b"\0")
    refused("update.altered", stick, tmp_path / "staged")
    (stick / path).unlink()
    refused("update.truncated", stick, tmp_path / "staged")
    (stick / path).symlink_to("/dev/zero")
    refused("update.truncated", stick, tmp_path / "staged")
    (stick / path).unlink()
    (stick / path).mkdir()
    refused("update.truncated", stick, tmp_path / "staged")
    (stick / path).rmdir()
    os.mkfifo(stick / path)
    refused("update.truncated", stick, tmp_path / "staged")


def test_what_nobody_signed_is_not_even_looked_at(stick: Path, tmp_path: Path) -> None:
    (stick / manifests.SIGNATURE_NAME).unlink()
    refused("update.unsigned", stick, tmp_path / "staged")
    (stick / manifests.SIGNATURE_NAME).symlink_to(stick / manifests.MANIFEST_NAME)
    refused("update.unsigned", stick, tmp_path / "staged")
    refused("update.untrusted", write_bundle(tmp_path / "other", key=STRANGER), tmp_path / "staged")
    huge = write_bundle(tmp_path / "huge", raw=b" " * ((8 << 20) + 1))
    refused("update.manifest", huge, tmp_path / "staged")


def test_what_a_mac_leaves_on_a_stick_is_not_copied(stick: Path, tmp_path: Path) -> None:
    (stick / ".DS_Store").write_bytes(b"x")
    (stick / "packs" / "small-3" / "._config.json").write_bytes(b"x")
    (stick / "evil.pkg").write_bytes(b"x")
    staged = bundle.stage(stick, tmp_path / "staged", TRUSTED)
    assert not list(staged.rglob("._*"))
    assert not (staged / "evil.pkg").exists()


@pytest.mark.parametrize("harm", ["altered", "half deleted"])
def test_staged_once_more_it_is_read_again_and_a_spoilt_copy_is_made_anew(
    stick: Path, tmp_path: Path, harm: str
) -> None:
    """A kill while old copies were cleared away leaves a half one: the good bundle on the stick must not be blamed for it."""
    staged = bundle.stage(stick, tmp_path / "staged", TRUSTED)
    assert bundle.stage(stick, tmp_path / "staged", TRUSTED) == staged
    victim = staged / next(iter(PARTS))
    if harm == "altered":
        victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    else:
        victim.unlink()
    assert bundle.stage(stick, tmp_path / "staged", TRUSTED) == staged
    assert bundle.prove(staged, TRUSTED) == manifest()


def test_another_bundle_and_a_cut_off_copy_make_room(stick: Path, tmp_path: Path) -> None:
    target = tmp_path / "staged"
    first = bundle.stage(stick, target, TRUSTED)
    (target / ".incoming-dead").mkdir()
    other = write_bundle(tmp_path / "other", manifest(notes_en="Another."))
    second = bundle.stage(other, target, TRUSTED)
    assert first != second
    assert list(target.iterdir()) == [second]


FULL = """
set -eu
mount -t tmpfs -o size=64k tmpfs "$1"
cd "$2"
status=0
"$3" - "$4" "$1" <<'PYTHON' || status=$?
import sys
from pathlib import Path
from appliance.operations.updates import bundle
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.updates import MAKER
try:
    bundle.stage(Path(sys.argv[1]), Path(sys.argv[2]) / "staged", [MAKER.public_key()])
except ProntuarioError as error:
    print(error.kind.code, list((Path(sys.argv[2]) / "staged").iterdir()))
PYTHON
exit $status
"""


def test_a_disk_that_fills_up_while_it_is_copied_is_left_as_it_was(tmp_path: Path) -> None:
    if subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, check=False
    ).returncode:
        pytest.skip("no mounts of our own here (needs root)")
    import sys

    files = {**PARTS, "prontuario-1.1.0.pkg": os.urandom(100_000)}
    stick = write_bundle(tmp_path / "stick", files=files)
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["unshare", "-m", "sh", "-c", FULL, "full", disk, Path.cwd(), sys.executable, stick]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "update.no_room []"
