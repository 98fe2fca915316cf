"""A pack in a plain tar is the pack that its folder is; whatever else an archive may be is refused within bounds."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.operations.packs import tar
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import INCOMING, Shelf
from appliance.operations.packs.sources import opened
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def archive(folder: Path, to: Path, *, form: int = tarfile.PAX_FORMAT, top: str = "") -> Path:
    with tarfile.open(to, "w", format=form) as made:
        made.add(folder, arcname=top or ".")
    return to


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: str
) -> Callable[[tarfile.TarFile], None]:
    def add(made: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, len(content), more.get("link", "")
        made.addfile(member, io.BytesIO(content))

    return add


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("top", ["", "medgemma-4b"])
def test_an_archive_says_and_gives_what_its_folder_does(source: Path, tmp_path: Path, form: str, top: str) -> None:
    made = archive(source, tmp_path / "pack.tar", form=FORMATS[form], top=top)
    with opened(made) as packed, opened(source) as plain:
        assert packed.raw() == plain.raw()
        assert packed.sizes() == plain.sizes()
        for relative in plain.sizes():
            with packed.open(relative) as one, plain.open(relative) as other:
                assert one.read() == other.read()
                assert one.seek(3) == 3
                assert (one.read(2), one.seek(-1, os.SEEK_END)) == (
                    (source / relative).read_bytes()[3:5],
                    other.tell() - 1,
                )


def test_what_the_systems_own_tar_writes_is_read(source: Path, tmp_path: Path) -> None:
    long = source / "sub" / ("a" * 90) / ("b" * 90)
    long.mkdir(parents=True)
    (long / "words.txt").write_text("febre\n")
    subprocess.run(["tar", "cf", tmp_path / "gnu.tar", "-C", source.parent, source.name], check=True, timeout=60)
    with opened(tmp_path / "gnu.tar") as packed, opened(source) as plain:
        assert packed.sizes() == plain.sizes()


def test_a_pack_is_taken_in_from_an_archive_and_goes_on_where_it_stopped(shelf: Shelf, tmp_path: Path) -> None:
    manifest = packs.make(tmp_path / "large", version=2, side=300)
    made = archive(tmp_path / "large", tmp_path / "large.tar", top="large")
    half = made.with_name("half.tar")
    half.write_bytes(made.read_bytes())
    os.truncate(half, made.stat().st_size // 2)
    with pytest.raises(ProntuarioError, match=r"pack\.archive"):
        Intake(shelf, spare_bytes=0).take_in(half)
    seen = 0

    def pulled_out(more: int) -> None:
        nonlocal seen
        seen += more
        if seen > manifest.size // 2:
            raise KeyError

    with pytest.raises(KeyError):
        Intake(shelf, spare_bytes=0).take_in(made, pulled_out)
    assert Intake(shelf, spare_bytes=0).outlook(made).there_bytes > 0
    assert Intake(shelf, spare_bytes=0).take_in(made).pack == "tiny-2"
    shelf.verify("tiny-2")
    assert list(shelf.models.rglob(f"{INCOMING}*")) == []


@pytest.mark.parametrize(
    ("adding", "code"),
    [
        (entry("pickle.bin", b"x"), "pack.pickle"),
        (entry("../out.txt", b"x"), "pack.path"),
        (entry("/etc/out.txt", b"x"), "pack.path"),
        (entry("config.json", b"{}"), "pack.path"),  # twice
        (entry("away", kind=tarfile.SYMTYPE, link="/etc/passwd"), "pack.path"),
        (entry("away", kind=tarfile.LNKTYPE, link="config.json"), "pack.path"),
        (entry("device", kind=tarfile.CHRTYPE), "pack.path"),
        (entry("more.txt", b"x"), "pack.unlisted"),
        (entry("other/prontuario-pack.json", b"{}"), "pack.archive"),
        (entry("x" * 70_000, b"x"), "pack.archive"),
    ],
)
def test_what_a_folder_may_not_hold_an_archive_may_not_either(
    shelf: Shelf, source: Path, tmp_path: Path, adding: Callable[[tarfile.TarFile], None], code: str
) -> None:
    made = archive(source, tmp_path / "pack.tar")
    with tarfile.open(made, "a") as again:
        adding(again)
    with pytest.raises(ProntuarioError) as refused:
        Intake(shelf, spare_bytes=0).look(made)
    assert refused.value.kind.code == code


def test_a_hidden_entry_stays_behind_as_in_folders(shelf: Shelf, source: Path, tmp_path: Path) -> None:
    made = archive(source, tmp_path / "pack.tar", top="pack")
    with tarfile.open(made, "a") as again:
        entry("pack/._config.json", b"a Mac's own notes")(again)
        entry("._pack", b"a Mac's own notes")(again)
    assert Intake(shelf, spare_bytes=0).look(made).pack == "tiny-2"


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_a_compressed_archive_is_refused_with_what_to_do(source: Path, tmp_path: Path, compression: str) -> None:
    with tarfile.open(tmp_path / "pack.tar", f"w:{compression}") as made:  # type: ignore[call-overload]
        made.add(source, arcname=".")
    with pytest.raises(ProntuarioError, match=r"pack\.archive") as refused, opened(tmp_path / "pack.tar"):
        pass
    assert "tar cf" in refused.value.next_step("pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(600), b"\xff" * 2048, b"x" * 511])
def test_what_is_no_tar_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.tar").write_bytes(content)
    with pytest.raises(ProntuarioError, match=r"pack\.archive"), opened(tmp_path / "pack.tar"):
        pass


def test_a_flipped_bit_in_a_header_or_an_entry_without_end_is_noticed(source: Path, tmp_path: Path) -> None:
    made = archive(source, tmp_path / "pack.tar")
    content = bytearray(made.read_bytes())
    content[3] ^= 1
    made.write_bytes(content)
    with pytest.raises(ProntuarioError, match="damaged"), opened(made):
        pass
    header = tarfile.TarInfo("config.json")
    header.size = 1 << 40
    made.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(ProntuarioError, match="cut short"), opened(made):
        pass


def test_an_archive_without_a_manifest_is_unsigned(shelf: Shelf, tmp_path: Path) -> None:
    packs.write_model(tmp_path / "plain")
    made = archive(tmp_path / "plain", tmp_path / "plain.tar")
    with pytest.raises(ProntuarioError, match=r"pack\.unsigned"):
        Intake(shelf, spare_bytes=0).look(made)


def test_more_entries_than_a_pack_can_need_are_not_read(tmp_path: Path) -> None:
    one = tarfile.TarInfo("a.txt").tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "many.tar").write_bytes(one * (tar.MOST_MEMBERS + 1))
    with pytest.raises(ProntuarioError, match="too many"), opened(tmp_path / "many.tar"):
        pass
