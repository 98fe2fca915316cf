"""Everything that must not get in: each refused with its code, nothing left behind, what serves untouched."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import MANIFEST_NAME, SIGNATURE_NAME, PackFile
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs

Snapshot = Callable[[], dict[str, str]]
Refuse = Callable[[Path], str]
WEIGHTS = packs.KINDS[1]


@pytest.fixture
def refuse(shelf: Shelf, snapshot: Snapshot) -> Refuse:
    """Import must fail; the code. The shelf is byte for byte as before and the old version still verifies."""

    def attempt(source: Path) -> str:
        before = snapshot()
        with pytest.raises(ProntuarioError) as caught:
            Intake(shelf, spare_bytes=0).take_in(source)
        for language in ("pt", "en"):
            assert "?" not in caught.value.sentence(language)
            assert caught.value.next_step(language)
        assert snapshot() == before
        assert shelf.active("chat_model") == "tiny-1"
        assert shelf.verify("tiny-1").version == 1
        return caught.value.kind.code

    return attempt


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_an_honest_pack_passes_where_the_attacks_below_do_not(shelf: Shelf, source: Path) -> None:
    assert Intake(shelf, spare_bytes=0).take_in(source).pack == "tiny-2"
    assert shelf.verify("tiny-2").version == 2


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("name", packs.KINDS)
def test_one_flipped_bit_in_a_file_of_any_kind(source: Path, refuse: Refuse, name: str, place: int) -> None:
    flip(source / name, place)
    assert refuse(source) == "pack.altered"


@pytest.mark.parametrize("name", [MANIFEST_NAME, SIGNATURE_NAME])
def test_one_flipped_bit_in_manifest_or_signature(source: Path, refuse: Refuse, name: str) -> None:
    flip(source / name, 20)
    assert refuse(source) == "pack.untrusted"


def test_a_manifest_swapped_for_another_signed_one(tmp_path: Path, source: Path, refuse: Refuse) -> None:
    other = tmp_path / "other"
    packs.make(other, version=3, fill=b"\x22")
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        shutil.copyfile(other / name, source / name)
    assert refuse(source) == "pack.altered"


def test_a_manifest_edited_by_hand(source: Path, refuse: Refuse) -> None:
    path = source / MANIFEST_NAME
    path.write_bytes(path.read_bytes().replace(b"Tests only.", b"Everything."))
    assert refuse(source) == "pack.untrusted"


def test_an_older_version_and_the_same_one_again(tmp_path: Path, shelf: Shelf, source: Path, refuse: Refuse) -> None:
    packs.make(tmp_path / "same", version=1, fill=b"\x33")
    assert refuse(tmp_path / "same") == "pack.older"
    Intake(shelf, spare_bytes=0).take_in(source)
    assert refuse(tmp_path / "first") == "pack.older"
    shelf.remove("tiny-2")
    assert refuse(source) == "pack.older"  # removed, not forgotten


@pytest.mark.parametrize("missing", [MANIFEST_NAME, SIGNATURE_NAME])
def test_an_unsigned_folder(source: Path, refuse: Refuse, missing: str) -> None:
    (source / missing).unlink()
    assert refuse(source) == "pack.unsigned"


def test_a_stranger_s_signature(source: Path, refuse: Refuse) -> None:
    packs.resign(source, (source / MANIFEST_NAME).read_bytes(), packs.STRANGER)
    assert refuse(source) == "pack.untrusted"


@pytest.mark.parametrize("signature", [b"", b"not base64!", b"QUJD"])
def test_a_signature_that_is_none(source: Path, refuse: Refuse, signature: bytes) -> None:
    (source / SIGNATURE_NAME).write_bytes(signature)
    assert refuse(source) == "pack.untrusted"


@pytest.mark.parametrize("suffix", ["bin", "pt", "pkl", "pth", "ckpt", "npz", "PT"])
def test_a_pickle_by_name_listed_or_not(source: Path, refuse: Refuse, suffix: str) -> None:
    (source / f"pytorch_model.{suffix}").write_bytes(pickle.dumps({"weight": 1}))
    assert refuse(source) == "pack.pickle"


def torch_archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": 1}))
    return made.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [{"weight": list(range(400))}, os.system, ["x"]])
def test_pickle_bytes_under_a_safetensors_name_in_a_signed_pack(
    source: Path, refuse: Refuse, protocol: int, value: object
) -> None:
    replace_and_sign(source, WEIGHTS, pickle.dumps(value, protocol))
    assert refuse(source) == "pack.pickle"


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.model", "LICENSE"])
def test_a_torch_archive_under_any_name_in_a_signed_pack(source: Path, refuse: Refuse, name: str) -> None:
    replace_and_sign(source, name, torch_archive())
    assert refuse(source) == "pack.pickle"


def replace_and_sign(source: Path, name: str, content: bytes) -> None:
    """The maker signed it without looking: the formats are the node's own check."""
    (source / name).write_bytes(content)
    known = manifests.decode((source / MANIFEST_NAME).read_bytes())
    files = tuple(
        PackFile(name, len(content), hashlib.sha256(content).hexdigest()) if file.path == name else file
        for file in known.files
    )
    packs.resign(source, manifests.encode(msgspec.structs.replace(known, files=files)))


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        (WEIGHTS, b"GGUF" + bytes(60), "pack.format"),
        (WEIGHTS, packs.safetensors({"a": (16, 16)}) + b"tail", "pack.format"),
        (WEIGHTS, packs.safetensors({"a": (16, 16)})[:-1], "pack.truncated"),
        (WEIGHTS, packs.safetensors({"a": (16, 16)})[:30], "pack.truncated"),
        (WEIGHTS, b"", "pack.format"),
        ("config.json", b"{'no': json}", "pack.format"),
        ("config.json", b"[1]", "pack.format"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "elsewhere.safetensors"}}', "pack.truncated"),
        ("model.safetensors.index.json", b'{"weights": 1}', "pack.format"),
        ("sub/vocab.txt", b"\xff\xfe\x00", "pack.format"),
        ("chat_template.jinja", b"a\0b", "pack.format"),
        ("tokenizer.model", b"nothing of the kind", "pack.format"),
    ],
)
def test_a_wrong_format_in_a_signed_pack(source: Path, refuse: Refuse, name: str, content: bytes, code: str) -> None:
    replace_and_sign(source, name, content)
    assert refuse(source) == code


@pytest.mark.parametrize("name", ["modeling_custom.py", "model.onnx", "model.gguf", "run.sh", "weights.h5"])
def test_code_and_other_formats_are_not_taken_even_when_signed(source: Path, refuse: Refuse, name: str) -> None:
    (source / name).write_text("import os")
    known = manifests.decode((source / MANIFEST_NAME).read_bytes())
    extra = PackFile(name, 9, "93bc0a8e6ee6fcb6a8e5f0f0b1d2a3c4" * 2)
    packs.resign(source, manifests.encode(msgspec.structs.replace(known, files=(*known.files, extra))))
    replace_and_sign(source, name, b"import os")
    assert refuse(source) == "pack.format"


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "sub/vocab.txt"])
def test_a_truncated_or_missing_file(source: Path, refuse: Refuse, name: str) -> None:
    content = (source / name).read_bytes()
    (source / name).write_bytes(content[:-1])
    assert refuse(source) == "pack.truncated"
    (source / name).unlink()
    assert refuse(source) == "pack.truncated"


def test_something_added(source: Path, refuse: Refuse) -> None:
    (source / "extra.json").write_text("{}")
    assert refuse(source) == "pack.unlisted"
    (source / "extra.json").unlink()
    with (source / WEIGHTS).open("ab") as file:
        file.write(b"more")
    assert refuse(source) == "pack.altered"


@pytest.mark.parametrize("name", [WEIGHTS, "sub", MANIFEST_NAME, SIGNATURE_NAME, "another"])
def test_a_symbolic_link_anywhere(tmp_path: Path, source: Path, refuse: Refuse, name: str) -> None:
    outside = tmp_path / "outside"
    if (source / name).exists():
        (source / name).rename(outside)
    else:
        outside.write_text("{}")
    (source / name).symlink_to(outside)
    assert refuse(source) == "pack.path"


def test_a_pipe_instead_of_a_file(source: Path, refuse: Refuse) -> None:
    (source / "config.json").unlink()
    os.mkfifo(source / "config.json")
    assert refuse(source) == "pack.path"


@pytest.mark.parametrize(
    "path",
    [
        "../../../escaped.json",
        "sub/../../x.json",
        "/etc/passwd",
        "a//b.json",
        "./a.json",
        ".hidden.json",
        "a\\b.json",
        "",
    ],
)
def test_a_path_that_leads_elsewhere_in_a_signed_manifest(
    tmp_path: Path, source: Path, refuse: Refuse, path: str
) -> None:
    known = manifests.decode((source / MANIFEST_NAME).read_bytes())
    wicked = msgspec.structs.replace(known, files=(*known.files, PackFile(path, 2, "0" * 64)))
    packs.resign(source, msgspec.json.encode(wicked))
    (tmp_path / "escaped.json").write_text("{}")
    assert refuse(source) == "pack.path"


@pytest.mark.parametrize("name", ["../evil", "UPPER", "a/b", "", ".hidden", "a..b", "x" * 65])
def test_a_name_that_could_leave_the_shelf(source: Path, refuse: Refuse, name: str) -> None:
    known = manifests.decode((source / MANIFEST_NAME).read_bytes())
    packs.resign(source, msgspec.json.encode(msgspec.structs.replace(known, name=name)))
    assert refuse(source) == "pack.manifest"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2}, {"version": 0}, {"capability": "mind_reading"}, {"licence": " "}, {"intended_use": ""},
        {"footprint_bytes": 0}, {"files": ()},
    ],
)  # fmt: skip
def test_a_signed_manifest_that_says_nonsense(source: Path, refuse: Refuse, changes: dict[str, object]) -> None:
    known = manifests.decode((source / MANIFEST_NAME).read_bytes())
    packs.resign(source, msgspec.json.encode(msgspec.structs.replace(known, **changes)))
    assert refuse(source) == "pack.manifest"


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b'{"format": 1, "surprise": 2}', b"[" * 100_000])
def test_a_signed_file_that_is_no_manifest(source: Path, refuse: Refuse, content: bytes) -> None:
    packs.resign(source, content)
    assert refuse(source) == "pack.manifest"
