"""Import: resumed where it stopped, refused for want of room before and in the middle, progress to the last byte."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import INCOMING, Shelf
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs

Snapshot = Callable[[], dict[str, str]]
PARTS = packs.KINDS[1:3]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing fails in the middle, as on a full disk (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def left(shelf: Shelf) -> list[Path]:
    return list(shelf.models.rglob(f"{INCOMING}*"))


class PulledOutError(Exception):
    """Stands for whatever ends an import from outside."""


def interrupt_after(count: int) -> Callable[[int], None]:
    seen = 0

    def on_bytes(more: int) -> None:
        nonlocal seen
        seen += more
        if seen >= count:
            raise PulledOutError

    return on_bytes


def test_progress_adds_up_to_the_whole(shelf: Shelf, source: Path) -> None:
    told: list[int] = []
    manifest = Intake(shelf, spare_bytes=0).take_in(source, told.append)
    assert sum(told) == manifest.size
    assert sorted(row.pack for row in shelf.rows()) == ["tiny-1", "tiny-2"]
    assert shelf.active("chat_model") == "tiny-1"  # importing activates nothing


def test_an_interrupted_import_is_resumed_and_not_begun_again(tmp_path: Path, shelf: Shelf) -> None:
    manifest = packs.make(tmp_path / "large", version=2, side=700)
    half = manifest.size // 2
    with pytest.raises(PulledOutError):
        Intake(shelf).take_in(tmp_path / "large", interrupt_after(half))
    (incoming,) = left(shelf)
    there = {path.name: path.stat().st_ino for path in incoming.iterdir() if path.is_file()}
    assert there
    free: list[int] = []

    def room(_folder: Path) -> int:
        free.append(1)
        return manifest.size - 1  # less than the whole pack: only what is missing is asked for

    assert Intake(shelf, free=room, spare_bytes=0).take_in(tmp_path / "large").pack == "tiny-2"
    assert free
    place = shelf.find("tiny-2")
    assert {name: (place / name).stat().st_ino for name in there} == there
    assert shelf.verify("tiny-2") == manifest
    assert left(shelf) == []


def test_a_rotten_remainder_is_copied_anew(tmp_path: Path, shelf: Shelf) -> None:
    manifest = packs.make(tmp_path / "large", version=2, side=700)
    with pytest.raises(PulledOutError):
        Intake(shelf).take_in(tmp_path / "large", interrupt_after(manifest.size // 2))
    (incoming,) = left(shelf)
    for path in incoming.glob("*.safetensors"):
        path.write_bytes(bytes(100))
    Intake(shelf).take_in(tmp_path / "large")
    assert shelf.verify("tiny-2") == manifest


def test_a_remainder_of_another_manifest_is_cleared_away(tmp_path: Path, shelf: Shelf, source: Path) -> None:
    packs.make(tmp_path / "large", version=3, side=700)
    with pytest.raises(PulledOutError):
        Intake(shelf).take_in(tmp_path / "large", interrupt_after(1 << 20))
    Intake(shelf).take_in(source)
    assert left(shelf) == []


def test_a_source_that_gets_shorter_while_it_is_copied(tmp_path: Path, shelf: Shelf, snapshot: Snapshot) -> None:
    packs.make(tmp_path / "large", version=2, side=700)
    before, last = snapshot(), tmp_path / "large" / PARTS[1]

    def shorten(_more: int) -> None:
        last.write_bytes(last.read_bytes()[:2000])

    with pytest.raises(ProntuarioError) as caught:
        Intake(shelf).take_in(tmp_path / "large", shorten)
    assert (caught.value.kind.code, snapshot(), left(shelf)) == ("pack.truncated", before, [])


def test_without_room_nothing_is_begun(shelf: Shelf, source: Path, snapshot: Snapshot) -> None:
    before = snapshot()
    intake = Intake(shelf, free=lambda _: 1000, spare_bytes=0)
    with pytest.raises(ProntuarioError) as caught:
        intake.take_in(source)
    assert (caught.value.kind.code, caught.value.details["free_bytes"]) == ("pack.no_room", 1000)
    assert (snapshot(), left(shelf)) == (before, [])


def test_the_record_s_spare_room_is_not_taken(shelf: Shelf, source: Path) -> None:
    size = Intake(shelf).look(source).size
    with pytest.raises(ProntuarioError, match=r"pack\.no_room"):
        Intake(shelf, free=lambda _: size + 99, spare_bytes=100).take_in(source)
    Intake(shelf, free=lambda _: size + 100, spare_bytes=100).take_in(source)


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path: Path, shelf: Shelf, snapshot: Snapshot) -> None:
    packs.make(tmp_path / "large", version=2, side=700)
    before = snapshot()
    with largest_file(1 << 20), pytest.raises(ProntuarioError) as caught:
        Intake(shelf).take_in(tmp_path / "large")
    assert caught.value.kind.code == "pack.no_room"
    assert (snapshot(), left(shelf), shelf.verify("tiny-1").version) == (before, [], 1)
    assert Intake(shelf).take_in(tmp_path / "large").pack == "tiny-2"


def test_half_a_pack_gives_its_place_to_the_whole_one(shelf: Shelf, source: Path) -> None:
    """Half a pack may lie there already: the peer was ended while it sent one."""
    place = shelf.models / "chat_model" / "tiny-2"
    (place / "sub").mkdir(parents=True)
    assert Intake(shelf).take_in(source).pack == "tiny-2"
    assert shelf.memory("chat_model").newest == {"tiny": 2}


def test_a_real_disk_that_fills_up_in_the_middle_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    shelf = Shelf(small_disk / "models", packs.write_trusted(tmp_path / "trust"))
    packs.make(tmp_path / "first")
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")
    shelf.point("chat_model", "tiny-1")
    packs.make(tmp_path / "large", version=2, side=1200)  # 2 × 5.8 MB on a disk of 8
    with pytest.raises(ProntuarioError) as caught:
        Intake(shelf, free=lambda _: 1 << 40).take_in(tmp_path / "large")
    assert (caught.value.kind.code, left(shelf)) == ("pack.no_room", [])
    assert shelf.verify("tiny-1").version == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root on Linux; the test above stands for it elsewhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
