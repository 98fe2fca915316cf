"""The bench's writer against a real node: what it says was acknowledged is what it reads back, each once."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from pathlib import Path

import pytest

from tests.conftest import RunningNode

SCRIPT = Path(__file__).resolve().parents[3] / "bench" / "failover_writer.py"
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


async def test_acknowledged_writes_are_told_and_read_back(running_node: RunningNode) -> None:
    client = running_node.client_json("nurse", "enf.bancada")
    file = running_node.scratch / "enf.bancada.json"
    system, nowhere = f"urn:bench:{secrets.token_hex(4)}", "https://127.0.0.1:9"
    argv = [sys.executable, str(SCRIPT), str(file), system, nowhere, client["api"]]
    pipe = asyncio.subprocess.PIPE
    writer = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    assert writer.stdin is not None
    assert writer.stdout is not None
    first = [json.loads(await writer.stdout.readline()) for _ in range(250)]
    writer.stdin.close()
    rest = [json.loads(line) for line in (await writer.stdout.read()).splitlines()]
    await writer.wait()
    told, done = [*first, *rest[:-1]], rest[-1]
    assert (done["done"], done["unanswered"], done["sent"]) == (True, 0, len(told))
    assert all(one["ended"] >= one["began"] for one in told)
    assert {one["mode"] for one in told} == {"single"}
    counting = await asyncio.create_subprocess_exec(*argv, "--count", stdout=pipe)
    said, _ = await counting.communicate()
    assert json.loads(said)["kept"] == {one["key"]: 1 for one in told}
