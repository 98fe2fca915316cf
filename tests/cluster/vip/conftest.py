"""A lab, and vipd running in its nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.netlab import NetLab, why_not
from tests.cluster.vip.running_vipd import RunningVipd


@pytest.fixture
def lab() -> Iterator[NetLab]:
    """Skipped with the reason where namespaces can't be made."""
    if reason := why_not():
        pytest.skip(reason)
    with NetLab() as made:
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short, root-owned path: a Unix socket's may have 104 characters."""
    with tempfile.TemporaryDirectory(prefix="pt-vip-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def start_vipd(lab: NetLab, folder: Path) -> Iterator[Callable[..., RunningVipd]]:
    """Start vipd in a node; all are ended when the test is over."""
    running: list[RunningVipd] = []

    def start(*arguments: Any, **settings: Any) -> RunningVipd:
        running.append(RunningVipd.start(lab, folder, *arguments, **settings))
        return running[-1]

    yield start
    for vipd in running:
        vipd.stop()
