"""Joining: the right code on the right machine, once; everything else gets nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.daemon.pair.invitation import Code, Invitation, accept
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.node_authority import NodeFiles, prepare_node

NOW = datetime.now(UTC)
PATIENCE_S = 30.0


class Gift(msgspec.Struct, frozen=True):
    text: str
    keys: dict[str, bytes]


GIFT = Gift("para o nó b", {"root.key": b"\x00\xff secret"})


@asynccontextmanager
async def inviting(node: NodeFiles, code: Code) -> AsyncIterator[tuple[int, asyncio.Task[None]]]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(Invitation(code, GIFT, node).serve("127.0.0.1", 0, ready=ready))
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield await ready, serving
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def test_the_guest_with_the_code_gets_the_gift_and_the_host_learns_that_it_kept_it(tmp_path: Path) -> None:
    node = prepare_node(tmp_path, ["a"], NOW)
    code = Code.make(node.ca)
    async with inviting(node, code) as (port, serving):
        dropped = await accept("127.0.0.1", port, Code.read(str(code)), Gift)
        await dropped.close()
        assert not serving.done(), "a guest that broke off may come again"
        guest = await accept("127.0.0.1", port, Code.read(str(code).lower()), Gift)
        assert guest.gift == GIFT
        await guest.confirm()
        await serving


async def test_wrong_codes_get_nothing_and_close_the_door(tmp_path: Path) -> None:
    node = prepare_node(tmp_path, ["a"], NOW)
    code = Code.make(node.ca)
    wrong = dataclasses.replace(code, secret=bytes(len(code.secret)))
    async with inviting(node, code) as (port, serving):
        for _ in range(3):
            with pytest.raises(ProntuarioError, match=r"cluster\.code"):
                await accept("127.0.0.1", port, wrong, Gift)
        with pytest.raises(ProntuarioError, match=r"cluster\.code"):
            await serving


async def test_another_machine_with_a_certificate_of_its_own_is_not_told_the_secret(tmp_path: Path) -> None:
    node = prepare_node(tmp_path / "a", ["a"], NOW)
    impostor = prepare_node(tmp_path / "x", ["a"], NOW)
    code = Code.make(node.ca)
    # It even shows the true authority, which is public; its own certificate is not from there.
    posing = NodeFiles(node.ca, impostor.certificate, impostor.key)
    for shown in (impostor, posing):
        async with inviting(shown, code) as (port, serving):
            with pytest.raises(ProntuarioError, match=r"cluster\.code") as refused:
                await accept("127.0.0.1", port, code, Gift)
            assert "another machine" in refused.value.sentence("en")
            assert not serving.done()


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=10, max_size=10))
def test_a_code_survives_being_read_aloud(fingerprint: bytes, secret: bytes) -> None:
    code = Code(fingerprint, secret)
    assert Code.read(f"  {str(code).lower().replace('-', ' ')} ") == code


@pytest.mark.parametrize("text", ["", "ABC", "1" * 42, "A" * 41, "A" * 48, "ÇÇÇ"])
def test_a_mistyped_code_is_told_so(text: str) -> None:
    with pytest.raises(ProntuarioError, match=r"cluster\.code"):
        Code.read(text)
