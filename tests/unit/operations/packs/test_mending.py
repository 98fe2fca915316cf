"""A pack whose bytes rotted on the disk is mended from the very disk that it came from; nothing else may take its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import MANIFEST_NAME
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs


def rot(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", [packs.KINDS[1], "LICENSE", MANIFEST_NAME])
def test_a_rotted_pack_that_serves_is_taken_in_once_more(tmp_path: Path, shelf: Shelf, name: str) -> None:
    folder = shelf.find("tiny-1")
    rot(folder / name)
    with pytest.raises(ProntuarioError):
        shelf.verify("tiny-1")
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")
    assert shelf.verify("tiny-1").pack == "tiny-1"
    assert shelf.active("chat_model") == "tiny-1", "and it still serves"
    assert [path.name for path in folder.parent.glob(".removed-*")] == []


def test_a_file_that_is_gone_comes_back(tmp_path: Path, shelf: Shelf) -> None:
    (shelf.find("tiny-1") / "tokenizer.model").unlink()
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")
    assert shelf.verify("tiny-1")


def test_another_pack_of_the_same_version_does_not_mend_it(tmp_path: Path, shelf: Shelf) -> None:
    rot(shelf.find("tiny-1") / "LICENSE")
    packs.make(tmp_path / "other", fill=b"\x44")
    with pytest.raises(ProntuarioError, match=r"pack\.older"):
        Intake(shelf, spare_bytes=0).take_in(tmp_path / "other")


def test_a_whole_pack_needs_no_mending(tmp_path: Path, shelf: Shelf) -> None:
    with pytest.raises(ProntuarioError, match=r"pack\.older"):
        Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")


def test_killed_between_the_old_one_and_the_new(tmp_path: Path, shelf: Shelf) -> None:
    folder = shelf.find("tiny-1")
    folder.rename(folder.with_name(".removed-0123"))
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")
    assert shelf.verify("tiny-1")


def test_what_can_not_be_noted_leaves_what_was_there(tmp_path: Path, shelf: Shelf) -> None:
    rot(shelf.find("tiny-1") / "LICENSE")
    memory = shelf.models / "chat_model" / ".packs.json"
    memory.unlink()
    memory.mkdir()  # no file can take its place
    with pytest.raises(ProntuarioError, match=r"store\.failed"):
        Intake(shelf, spare_bytes=0).take_in(tmp_path / "first")
    assert shelf.find("tiny-1").is_dir(), "rotted, and better than none"
