"""Checkpoints for the tests of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints.siglip import make_tiny_siglip


@pytest.fixture(scope="session")
def tiny_siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_siglip(tmp_path_factory.mktemp("tiny-siglip"))
