"""A shelf with one pack that serves, and a source folder for the next version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from tests.fakes import packs

Snapshot = Callable[[], dict[str, str]]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """``tiny-1`` is installed and active."""
    made = Shelf(tmp_path / "home" / "models", packs.write_trusted(tmp_path / "home" / "trust"))
    packs.make(tmp_path / "first", fill=b"\x11")
    Intake(made, spare_bytes=0).take_in(tmp_path / "first")
    made.point("chat_model", "tiny-1")
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """``tiny-2``, signed."""
    packs.make(tmp_path / "source", version=2)
    return tmp_path / "source"


@pytest.fixture
def snapshot(shelf: Shelf) -> Snapshot:
    """Every file and link of the shelf with its content: what a refusal must leave as it was."""

    def take() -> dict[str, str]:
        found = {}
        for path in sorted(shelf.models.rglob("*")):
            if path.name == ".lock" or (path.is_dir() and not path.is_symlink()):
                continue
            content = str(path.readlink()) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(shelf.models))] = content
        return found

    return take
