"""When the core dies without a word, its children must not live on: they hold memory and patients' data."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "orphan_program.py"


@pytest.fixture
async def start_core() -> AsyncIterator[Callable[[str], Awaitable[tuple[asyncio.subprocess.Process, int]]]]:
    """A core in a process of its own, and the pid of its engine's child."""
    cores = []

    async def start(kind: str) -> tuple[asyncio.subprocess.Process, int]:
        core = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            kind,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        cores.append(core)
        assert core.stdout is not None
        async with asyncio.timeout(60):
            while not (line := (await core.stdout.readline()).decode()).startswith("child "):
                assert line, "the core ended too early"
        return core, int(line.split()[1])

    yield start
    for core in cores:
        if core.returncode is None:
            core.kill()
        await core.communicate()


@pytest.mark.parametrize("kind", ["mute", "hang", "hang_gil"])
async def test_the_child_dies_with_its_core_whatever_it_does(
    kind: str, start_core: Any, until: Any, is_gone: Callable[[int], bool]
) -> None:
    core, child = await start_core(kind)
    assert not is_gone(child)
    core.kill()
    await until(lambda: is_gone(child))


async def test_ctrl_c_at_the_terminal_does_not_reach_the_child(
    start_core: Any, until: Any, is_gone: Callable[[int], bool]
) -> None:
    core, child = await start_core("mute")
    assert os.getpgid(child) != os.getpgid(core.pid)
    os.kill(child, signal.SIGINT)
    await asyncio.sleep(0.2)
    assert not is_gone(child)
    core.kill()
    await until(lambda: is_gone(child))
