import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.config import Paths
from appliance.daemon.control import ControlSocket, ask, ask_node
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import NOT_FOUND


async def echo(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"said": request["word"]}


async def refuse(_request: Mapping[str, Any]) -> Mapping[str, Any]:
    raise NOT_FOUND(what="user/9")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Paths(tmp_path / "home").socket("control")


async def test_verbs_answer_and_errors_keep_their_code(path: Path) -> None:
    control = ControlSocket(path, {"echo": echo, "refuse": refuse})
    await control.start()
    try:
        assert await ask(path, "echo", word="olá") == {"said": "olá"}
        assert (await ask(path, "refuse"))["code"] == "not_found"
        assert "known: echo, refuse" in (await ask(path, "nonsense"))["error"]
    finally:
        await control.stop()
    assert not path.exists()


async def test_the_socket_and_its_folder_are_private(path: Path) -> None:
    control = ControlSocket(path, {})
    await control.start()
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        await control.stop()


async def test_a_dead_core_s_socket_is_replaced_and_nobody_there_is_an_os_error(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ConnectionRefusedError):
        await ask(path, "echo")
    control = ControlSocket(path, {"echo": echo})
    await control.start()
    assert (await ask(path, "echo", word="1"))["said"] == "1"
    await control.stop()


async def test_a_line_that_is_no_json_hurts_nobody_else(path: Path) -> None:
    control = ControlSocket(path, {"echo": echo})
    await control.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"\xff\xfe not json\n")
    await writer.drain()
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    await writer.wait_closed()
    assert (await ask(path, "echo", word="x"))["said"] == "x"
    await control.stop()


def test_a_long_home_gets_a_short_socket_path(tmp_path: Path) -> None:
    long = Paths(tmp_path / ("x" * 120)).socket("control")
    assert len(str(long)) <= 100
    assert long != Paths(tmp_path / ("y" * 120)).socket("control")


async def test_who_may_not_ask_is_not_told_that_no_node_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At night that would send a person to start a node that serves."""
    with pytest.raises(CommandFailedError, match="No node is running") as nobody:
        await ask_node(tmp_path, "echo")
    assert nobody.value.code is Exit.NOT_RUNNING

    async def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("appliance.daemon.control.ask", refused)
    with pytest.raises(CommandFailedError, match="put sudo in front") as shut:
        await ask_node(tmp_path, "echo")
    assert shut.value.code is Exit.FAILED
