"""Verifying tells every wrong file, and the picture of the shelf what each pack is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.operations.packs.examination import examine
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import MANIFEST_NAME, PackFile, PackManifest
from appliance.operations.packs.picture import mac_only, picture, text
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.signing import key_id
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_every_wrong_file_is_told_with_its_own_reason(shelf: Shelf) -> None:
    folder = shelf.find("tiny-1")
    told: list[int] = []
    assert examine(shelf, "tiny-1", told.append) == ()
    assert sum(told) == shelf.manifest(folder).size
    flip(folder / "LICENSE")
    flip(folder / packs.KINDS[2])
    os.truncate(folder / packs.KINDS[1], 10)
    (folder / "tokenizer.model").unlink()
    (folder / "more.txt").write_text("x")
    with (folder / "chat_template.jinja").open("a") as file:
        file.write("{# more #}")
    told.clear()
    found = {wrong.file: wrong.told.code for wrong in examine(shelf, "tiny-1", told.append)}
    assert found == {
        "more.txt": "pack.unlisted",
        "LICENSE": "pack.altered",
        "chat_template.jinja": "pack.altered",
        packs.KINDS[1]: "pack.truncated",
        packs.KINDS[2]: "pack.altered",
        "tokenizer.model": "pack.truncated",
    }
    assert sum(told) == shelf.manifest(folder).size  # a progress bar ends at its end all the same


def test_a_link_is_told_and_the_rest_is_read_all_the_same(shelf: Shelf) -> None:
    folder = shelf.find("tiny-1")
    (folder / "LICENSE").rename(folder.parent.parent / "elsewhere")
    (folder / "LICENSE").symlink_to(folder.parent.parent / "elsewhere")
    flip(folder / "config.json")
    found = {wrong.file: wrong.told.code for wrong in examine(shelf, "tiny-1")}
    assert found == {"LICENSE": "pack.path", "config.json": "pack.altered"}


def test_a_manifest_that_is_not_believed_is_all_that_is_told(shelf: Shelf) -> None:
    flip(shelf.find("tiny-1") / MANIFEST_NAME)
    (wrong,) = examine(shelf, "tiny-1")
    assert (wrong.file, wrong.told.code) == (MANIFEST_NAME, "pack.untrusted")
    assert wrong.told.pt
    assert wrong.told.step_en
    (row,) = picture(shelf)
    assert (row.state, row.trouble.code, row.intended_use) == ("active", "pack.untrusted", "")


def test_the_picture_tells_state_signer_and_texts(shelf: Shelf, source: Path, tmp_path: Path) -> None:
    intake = Intake(shelf, spare_bytes=0)
    packs.make(tmp_path / "third", version=3, licence="\nApache License 2.0\nTerms and conditions …")
    intake.take_in(source)
    intake.take_in(tmp_path / "third")
    shelf.point("chat_model", "tiny-2")
    rows = picture(shelf)
    assert [(row.pack, row.state) for row in rows] == [
        ("tiny-3", "standby"), ("tiny-2", "active"), ("tiny-1", "previous"),
    ]  # fmt: skip
    assert {row.signed_by for row in rows} == {key_id(packs.MAKER.public_key())}
    assert (rows[0].licence, rows[0].intended_use) == ("Apache License 2.0", "Tests only.")
    assert text(shelf, "tiny-3").licence.endswith("conditions …")
    assert len(text(shelf, "tiny-3").files) == rows[0].files
    with pytest.raises(ProntuarioError, match=r"pack\.unknown"):
        text(shelf, "tiny-9")


@pytest.mark.parametrize(
    ("files", "only"),
    [
        (("embedder.onnx",), False),
        (("embedder.onnx", "embedder.mlpackage/Manifest.json"), False),
        (("pnet.onnx", "embedder.mlpackage/Manifest.json"), True),
        (("model.safetensors",), False),
    ],
)
def test_a_network_for_a_mac_alone_is_told(files: tuple[str, ...], only: bool) -> None:
    manifest = PackManifest(
        name="faces", version=1, capability="face_verifier", licence="-", intended_use="-", footprint_bytes=1,
        files=tuple(PackFile(file, 1, "0" * 64) for file in files),
    )  # fmt: skip
    assert mac_only(manifest) is only
