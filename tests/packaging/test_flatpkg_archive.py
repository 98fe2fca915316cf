"""xar and its signatures: a byte turned over anywhere is noticed."""

from __future__ import annotations

import random
import shutil
import subprocess
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flatpkg import Archive, Member, PackageError, Signer, verify_package, write_xar
from flatpkg.xar import HEADER

from tests.packaging.conftest import Authority, make_authority

NOW = datetime(2026, 6, 1, tzinfo=UTC)
Flip = Callable[[Path, int], Path]


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    rng = random.Random(7)
    folder = tmp_path / "members"
    folder.mkdir()
    (folder / "Distribution").write_text("<installer-gui-script/>" * 40)
    (folder / "Payload").write_bytes(rng.randbytes(70_000))
    (folder / "Bom").write_bytes(bytes(3000))
    (folder / "Empty").touch()
    return [
        Member("Distribution", folder / "Distribution", compress=True),
        Member("appliance.pkg/Payload", folder / "Payload"),
        Member("appliance.pkg/Bom", folder / "Bom", compress=True),
        Member("appliance.pkg/Empty", folder / "Empty"),
    ]


def write(path: Path, members: list[Member], authority: Authority | None = None) -> Path:
    signer = Signer(authority.key, authority.chain) if authority else None
    with path.open("wb") as out:
        write_xar(members, out, signer=signer, when=1_767_225_600)
    return path


def test_members_come_back_byte_for_byte(tmp_path: Path, members: list[Member]) -> None:
    with Archive(write(tmp_path / "a.pkg", members)) as archive:
        assert list(archive.members) == [member.path for member in members]
        for member in members:
            assert archive.read(member.path) == member.source.read_bytes()
            archive.extract(member.path, tmp_path / "extracted")
            assert (tmp_path / "extracted").read_bytes() == member.source.read_bytes()
        archive.check()
        with pytest.raises(PackageError, match="has no"):
            archive.read("appliance.pkg/Scripts")


def test_twice_the_same_bytes(tmp_path: Path, members: list[Member]) -> None:
    first, second = (write(tmp_path / name, members).read_bytes() for name in ("a.pkg", "b.pkg"))
    assert first == second


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="bsdtar (libarchive-tools) is not installed")
def test_bsdtar_lists_and_extracts_it(tmp_path: Path, members: list[Member], authority: Authority) -> None:
    package = write(tmp_path / "a.pkg", members, authority)
    listed = subprocess.run(["bsdtar", "-tf", package], check=True, capture_output=True, text=True).stdout.split()
    assert set(listed) >= {member.path for member in members}
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["bsdtar", "-xf", package, "-C", out], check=True)
    for member in members:
        assert (out / member.path).read_bytes() == member.source.read_bytes()


def test_a_signed_package_leads_back_to_its_root(tmp_path: Path, members: list[Member], authority: Authority) -> None:
    package = write(tmp_path / "a.pkg", members, authority)
    assert verify_package(package, authority.root, now=NOW) == "CN=Prova Installer"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_accepts_both_signatures(tmp_path: Path, members: list[Member], authority: Authority) -> None:
    with Archive(write(tmp_path / "a.pkg", members, authority)) as archive:
        (tmp_path / "digest").write_bytes(archive.digest)
        for style in ("RSA", "CMS"):
            (tmp_path / style).write_bytes(archive.signatures[style].value)
    leaf, middle = authority.chain
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (tmp_path / "roots.pem").write_bytes(authority.root.public_bytes(Encoding.PEM) + middle.public_bytes(Encoding.PEM))
    rsa = [
        "pkeyutl",
        "-verify",
        "-certin",
        "-inkey",
        "leaf.pem",
        "-sigfile",
        "RSA",
        "-in",
        "digest",
        "-pkeyopt",
        "digest:sha1",
    ]
    cms = ["cms", "-verify", "-binary", "-inform", "DER", "-in", "CMS", "-content", "digest", "-CAfile", "roots.pem"]
    for arguments in (rsa, [*cms, "-purpose", "any", "-attime", str(int(NOW.timestamp()))]):
        ran = subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr


def test_a_bit_turned_over_anywhere_is_noticed(
    tmp_path: Path, members: list[Member], authority: Authority, flipped: Flip
) -> None:
    package = write(tmp_path / "a.pkg", members, authority)
    size = package.stat().st_size
    with Archive(package) as archive:
        start = package.read_bytes().index(archive.signatures["CMS"].value)
    rng = random.Random(11)
    anywhere = (rng.randrange(HEADER.size, size) for _ in range(150))
    for place in sorted({*range(HEADER.size), *range(start, start + 64), size - 1, *anywhere}):
        with pytest.raises(PackageError):
            verify_package(flipped(package, place), authority.root, now=NOW)


@pytest.mark.parametrize("cut", [0, 10, 28, 200, 5000, -1])
def test_a_package_cut_short_is_refused(tmp_path: Path, members: list[Member], authority: Authority, cut: int) -> None:
    package = write(tmp_path / "a.pkg", members, authority)
    package.write_bytes(package.read_bytes()[:cut])
    with pytest.raises(PackageError):
        verify_package(package, authority.root, now=NOW)


def test_what_is_appended_is_noticed(tmp_path: Path, members: list[Member], authority: Authority) -> None:
    package = write(tmp_path / "a.pkg", members, authority)
    with package.open("ab") as out:
        out.write(b"more")
    with pytest.raises(PackageError, match="appended"):
        verify_package(package, authority.root, now=NOW)


def test_unsigned_foreign_and_expired_signers_are_refused(
    tmp_path: Path, members: list[Member], authority: Authority
) -> None:
    with pytest.raises(PackageError, match="not signed"):
        verify_package(write(tmp_path / "a.pkg", members), authority.root, now=NOW)
    stranger = make_authority("Outro")
    with pytest.raises(PackageError, match="does not lead"):
        verify_package(write(tmp_path / "b.pkg", members, stranger), authority.root, now=NOW)
    short = make_authority("Breve", days=30)
    with pytest.raises(PackageError, match="out of its time"):
        verify_package(write(tmp_path / "c.pkg", members, short), short.root, now=NOW)


def test_a_leaf_may_not_vouch_for_another(tmp_path: Path, members: list[Member], authority: Authority) -> None:
    leaf_as_issuer = Authority(authority.root, (authority.chain[0],), authority.key)
    with pytest.raises(PackageError):
        verify_package(write(tmp_path / "a.pkg", members, leaf_as_issuer), authority.root, now=NOW)


def test_a_key_that_is_not_the_certificates_is_refused(authority: Authority) -> None:
    with pytest.raises(PackageError, match="belong"):
        Signer(make_authority("Outro").key, authority.chain)


def with_table(path: Path, table: bytes) -> Path:
    packed = zlib.compress(table)
    path.write_bytes(HEADER.pack(b"xar!", HEADER.size, 1, len(packed), len(table), 1) + packed + bytes(20))
    return path


@pytest.mark.parametrize(
    "table",
    [
        b"<xar/>",
        b"no xml",
        b'<!DOCTYPE a [<!ENTITY b "c">]><xar><toc/></xar>',
        b"<xar><toc><checksum><offset>-1</offset><size>20</size></checksum></toc></xar>",
        b"<xar><toc><checksum><offset>0</offset><size>20</size></checksum></toc></xar>",
    ],
)
def test_a_hostile_table_of_contents_is_refused(tmp_path: Path, table: bytes) -> None:
    with pytest.raises(PackageError):
        Archive(with_table(tmp_path / "a.pkg", table))


def test_a_table_that_expands_beyond_its_word_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(50 << 20))
    path = tmp_path / "bomb.pkg"
    path.write_bytes(HEADER.pack(b"xar!", HEADER.size, 1, len(packed), 1000, 1) + packed + bytes(20))
    with pytest.raises(PackageError, match="size"):
        Archive(path)


@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, members: list[Member], name: str) -> None:
    import hashlib

    table = (
        b"<xar><toc><checksum><offset>0</offset><size>20</size></checksum>"
        b"<file><name>" + name.encode() + b"</name><type>file</type></file></toc></xar>"
    )
    packed = zlib.compress(table)
    path = tmp_path / "a.pkg"
    head = HEADER.pack(b"xar!", HEADER.size, 1, len(packed), len(table), 1)
    path.write_bytes(head + packed + hashlib.sha1(packed).digest())
    with pytest.raises(PackageError, match="unsafe"):
        Archive(path)
