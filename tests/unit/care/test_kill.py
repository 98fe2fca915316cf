from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from appliance.care import dictations, notes, transcripts
from tests.unit.care.conftest import SCRIPT, ward_at

PROGRAM = Path(__file__).parent / "programs" / "consult_node.py"
ROOT = Path(__file__).parents[3]
LIMIT_S = 100.0


async def life(folder: Path, lines: int | None) -> list[str]:
    """Run the program; kill -9 after so many lines (None: let it end). What it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(folder), cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(LIMIT_S):
            while line := (await process.stdout.readline()).decode().strip():
                said.append(line)
                if lines is not None and len(said) == lines:
                    break
    finally:
        if process.returncode is None and lines is not None:
            process.kill()
        said += [line.strip() for line in (await process.stdout.read()).decode().splitlines()]
        await process.wait()
    return said


@pytest.mark.slow
async def test_killed_at_any_point_a_dictation_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    for lines in (1, 3, 4, 3, 3, 4, None):
        said = await life(tmp_path, lines)
        assert said, "the program must speak"
        told = next((line for line in said if line.startswith("missing")), "missing []")  # killed before it asked
        assert not set(json.loads(told.removeprefix("missing "))) & acknowledged
        acknowledged |= {int(line.split()[1]) for line in said if line.startswith("ack ")}
    assert said[-1].startswith("done ")
    async with ward_at(tmp_path, running=False) as ward:
        (dictation,) = await ward.store.read(dictations.find)
        found = await ward.store.read(lambda q: transcripts.get(q, dictation))
        assert [segment.text for segment in found.segments] == list(SCRIPT)
        drafted = await ward.store.read(notes.find)
        assert [note.id for note in drafted] == [dictation.note_id] == [said[-1].split()[1]]
        assert acknowledged == {0, 1, 2, 3, 4}
        spool = tmp_path / "spool"
        assert not spool.exists() or list(spool.iterdir()) == []
