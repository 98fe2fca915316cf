"""The box that every test of alerts looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.operations.watching.box import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)
