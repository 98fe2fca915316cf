"""cpio and BOM: written by us, read by us and by bsdtar, and the same bytes whoever builds."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from flatpkg import Kind, PackageError, entries, read_bom, read_cpio, write_bom, write_cpio
from flatpkg.checksum import cksum
from hypothesis import given
from hypothesis import strategies as st


def packed(root: Path) -> bytes:
    out = io.BytesIO()
    write_cpio(entries(root), out)
    return out.getvalue()


def test_the_order_is_fixed_and_parents_come_first(payload: Path) -> None:
    paths = [entry.path for entry in entries(payload)]
    assert paths[0] == "."
    seen = {""}
    for entry in entries(payload):
        assert entry.parent in seen
        seen.add(entry.path)
    assert len(paths) == len(set(paths)) == 711


def test_what_went_in_comes_out(payload: Path) -> None:
    back = {entry.path: entry for entry in read_cpio(io.BytesIO(packed(payload)))}
    assert set(back) == {entry.path for entry in entries(payload)}
    for entry in entries(payload):
        found = back[entry.path]
        assert (found.mode, found.uid, found.gid, found.mtime) == (entry.mode, 0, 0, 0)
        if entry.kind is Kind.FILE:
            assert found.data == entry.source.read_bytes()
    link = back["./Library/Prontuário/versions/1.2.3/bin/pront"]
    assert (link.is_link, link.data) == (True, b"prontuario")


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="bsdtar (libarchive-tools) is not installed")
def test_bsdtar_extracts_the_same_tree(payload: Path, tmp_path: Path) -> None:
    archive = tmp_path / "payload.cpio"
    archive.write_bytes(packed(payload))
    out = tmp_path / "out"
    out.mkdir()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(["bsdtar", "-xpf", archive, "-C", out], check=True, env=environment)
    assert packed(out) == packed(payload)


def test_who_builds_does_not_change_a_byte(payload: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(payload, copy, symlinks=True)
    for path in copy.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1, 1))
    assert packed(copy) == packed(payload)
    assert write_bom(entries(copy)) == write_bom(entries(payload))


def test_the_bill_names_every_file_with_size_and_checksum(payload: Path) -> None:
    found = {entry.path: entry for entry in read_bom(write_bom(entries(payload)))}
    assert set(found) == {entry.path for entry in entries(payload)}
    for entry in entries(payload):
        record = found[entry.path]
        assert (record.kind, record.mode, record.size, record.uid, record.gid) == (
            entry.kind,
            entry.mode,
            entry.size,
            0,
            0,
        )
        assert record.target == entry.target
        if entry.kind is Kind.FILE:
            assert record.checksum == cksum([entry.source.read_bytes()])


@given(st.binary(max_size=5000), st.integers(0, 5000))
def test_the_checksum_is_that_of_cksum(data: bytes, cut: int) -> None:
    told = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout.split()
    assert cksum([data]) == cksum([data[:cut], data[cut:]]) == int(told[0])


@pytest.mark.parametrize("bad", ["fifo", "set-id", "newline"])
def test_what_no_package_should_hold_is_refused(payload: Path, bad: str) -> None:
    if bad == "fifo":
        os.mkfifo(payload / "pipe")
    elif bad == "set-id":
        (payload / "root").write_text("x")
        (payload / "root").chmod(0o755 | stat.S_ISUID)
    else:
        (payload / "two\nlines").touch()
    with pytest.raises(PackageError):
        entries(payload)


def test_a_file_that_grows_while_it_is_packed_is_noticed(payload: Path) -> None:
    listed = entries(payload)
    (payload / "Library" / "Prontuário" / "versions" / "1.2.3" / "empty").write_text("no longer")
    with pytest.raises(PackageError, match="changed"):
        write_cpio(listed, io.BytesIO())


@pytest.mark.parametrize("cut", [0, 10, 80, 500, -1])
def test_a_payload_cut_short_is_refused(payload: Path, cut: int) -> None:
    with pytest.raises(PackageError):
        list(read_cpio(io.BytesIO(packed(payload)[:cut])))


@given(st.binary(max_size=2000))
def test_noise_is_refused_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(PackageError):
        list(read_cpio(io.BytesIO(noise)))
    with pytest.raises(PackageError):
        read_bom(b"BOMStore" + noise)
