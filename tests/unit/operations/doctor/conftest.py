"""One healthy home is made once; each test breaks a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.operations.doctor.ward import PASSPHRASE, Ward, make_home


@pytest.fixture(scope="session")
def healthy_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("healthy") / "home"
    make_home(home)
    return home


@pytest.fixture
def ward(healthy_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    shutil.copytree(healthy_home, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", PASSPHRASE)
    with ExitStack() as stack:
        yield Ward(tmp_path, monkeypatch, stack)
