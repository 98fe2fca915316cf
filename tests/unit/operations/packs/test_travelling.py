"""What of the shelf goes to the other node."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cluster.file_sync import entries_of
from appliance.operations.packs.manifest import MANIFEST_NAME, SIGNATURE_NAME
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.travelling import as_signed
from tests.fakes import packs


def staying(shelf: Shelf) -> set[str]:
    """Paths that do not travel, below the pack."""
    entries = entries_of(shelf.models)
    return {entry.path.removeprefix("chat_model/tiny-1/") for entry in set(entries) - set(as_signed(shelf, entries))}


def test_a_whole_pack_travels_in_the_order_it_had(shelf: Shelf) -> None:
    entries = entries_of(shelf.models)
    assert len(entries) == len(packs.KINDS) + 2
    assert as_signed(shelf, entries) == entries


@pytest.mark.parametrize("name", packs.KINDS)
def test_a_file_that_rotted_stays_and_the_others_go(shelf: Shelf, name: str) -> None:
    path = shelf.find("tiny-1") / name
    path.write_bytes(path.read_bytes() + b"\0")
    assert staying(shelf) == {name}


def test_what_was_added_stays(shelf: Shelf) -> None:
    (shelf.find("tiny-1") / "more.txt").write_text("mais")
    assert staying(shelf) == {"more.txt"}


@pytest.mark.parametrize("name", [MANIFEST_NAME, SIGNATURE_NAME])
def test_nothing_of_a_pack_goes_whose_manifest_is_not_believed(shelf: Shelf, name: str) -> None:
    (shelf.find("tiny-1") / name).write_bytes(b"{}")
    assert staying(shelf) == {*packs.KINDS, MANIFEST_NAME, SIGNATURE_NAME}


def test_folders_that_are_no_packs_are_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    by_hand = shelf.models / "speech_to_text" / "active"
    by_hand.mkdir(parents=True)
    (by_hand / "config.json").write_text("{}")
    (shelf.models / "notes.txt").write_text("…")
    assert staying(shelf) == set()
