"""The host's small parts, each by itself."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.config import ConfigError
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import PUBLIC, Reply, Route, StaticFolder, WebSocketRoute
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.gate import gated
from appliance.plugin_host.limited import call_hook_within, call_within
from appliance.plugin_host.manifest import Manifest, read_manifest
from appliance.plugin_host.plugin_settings import plugin_config
from appliance.plugin_host.signature import SIGNATURE, SUMS, digest_list, sign_folder, trusted_keys, verify_folder


# -- calls with a limit -------------------------------------------------------------------------------------------------------
def test_a_quick_call_gives_its_value() -> None:
    assert call_within(30.0, lambda: 42) == 42


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), ImportError("y")])
def test_what_a_call_raises_comes_back(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        call_within(30.0, fail)


def test_a_call_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        call_within(0.05, release.wait)
    release.set()


async def test_a_hook_may_be_plain_or_a_coroutine() -> None:
    seen: list[str] = []

    async def coroutine() -> None:
        seen.append(f"coroutine {asyncio.get_running_loop() is loop}")

    loop = asyncio.get_running_loop()
    await call_hook_within(30.0, lambda: seen.append("plain"))
    await call_hook_within(30.0, coroutine)
    assert seen == ["plain", "coroutine True"]


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(1)])
async def test_what_a_hook_raises_comes_back_and_the_loop_lives(error: BaseException) -> None:
    async def later() -> None:
        raise error

    def now() -> None:
        raise error

    for hook in (now, later):
        with pytest.raises(type(error)):
            await call_hook_within(30.0, hook)


async def test_a_hook_that_blocks_its_thread_does_not_block_the_loop() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        await call_hook_within(0.05, release.wait)
    release.set()


# -- signatures ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugin-1.0"
    (made / "package").mkdir(parents=True)
    (made / "package" / "engine.py").write_text("print('hello')\n")
    (made / "prontuario-plugin.toml").write_text('name="plugin"\nversion="1.0"\n')
    return made


def test_a_signed_folder_verifies_and_names_every_file(folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(folder, key)
    verify_folder(folder, [Ed25519PrivateKey.generate().public_key(), key.public_key()])
    listed = [line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()]
    assert listed == ["package/engine.py", "prontuario-plugin.toml"]


def test_signing_again_after_a_change_is_how_an_update_is_made(folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(folder, key)
    (folder / "package" / "engine.py").write_text("print('better')\n")
    with pytest.raises(QuarantineError, match="not those that were signed"):
        verify_folder(folder, [key.public_key()])
    sign_folder(folder, key)
    verify_folder(folder, [key.public_key()])


@pytest.mark.parametrize("missing", [SUMS, SIGNATURE])
def test_a_signature_needs_both_of_its_files(folder: Path, missing: str) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(folder, key)
    (folder / missing).unlink()
    with pytest.raises(QuarantineError):
        verify_folder(folder, [key.public_key()])


@pytest.mark.parametrize("junk", [b"", b"not base64!", b"AAAA"])
def test_a_signature_that_is_junk_is_refused(folder: Path, junk: bytes) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(folder, key)
    (folder / SIGNATURE).write_bytes(junk)
    with pytest.raises(QuarantineError):
        verify_folder(folder, [key.public_key()])


def test_a_digest_list_with_edited_digests_is_refused(folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(folder, key)
    (folder / "package" / "engine.py").write_text("evil\n")
    (folder / SUMS).write_bytes(digest_list(folder))
    with pytest.raises(QuarantineError, match="no trusted key"):
        verify_folder(folder, [key.public_key()])


def test_only_ed25519_keys_are_trusted(tmp_path: Path) -> None:
    good = Ed25519PrivateKey.generate().public_key()
    other = generate_private_key(SECP256R1()).public_key()
    for name, key in (("a.pem", good), ("b.pem", other)):
        (tmp_path / name).write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "c.pem").write_text("not a key")
    (tmp_path / "readme.txt").write_text("hello")
    keys = trusted_keys(tmp_path)
    assert [key.public_bytes_raw() for key in keys] == [good.public_bytes_raw()]
    assert trusted_keys(tmp_path / "missing") == []


# -- manifests ----------------------------------------------------------------------------------------------------------------
def test_a_manifest_is_found_at_the_top_or_in_the_package(folder: Path) -> None:
    assert read_manifest(folder) == Manifest("plugin", "1.0")
    (folder / "prontuario-plugin.toml").rename(folder / "package" / "prontuario-plugin.toml")
    assert read_manifest(folder).name == "plugin"


def test_two_manifests_are_one_too_many(folder: Path) -> None:
    (folder / "package" / "prontuario-plugin.toml").write_text('name="other"\nversion="1.0"\n')
    with pytest.raises(QuarantineError, match="found 2"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("permission", "known"),
    [
        ("engines", True),
        ("provide:chat_model", True),
        ("route:ai.chat", True),
        ("route:", False),
        ("provide:everything", False),
        ("ENGINES", False),
        ("", False),
    ],
)
def test_only_known_permissions_can_be_asked_for(folder: Path, permission: str, known: bool) -> None:
    text = f'name="plugin"\nversion="1.0"\npermissions=["{permission}"]\n'
    (folder / "prontuario-plugin.toml").write_text(text)
    if known:
        assert read_manifest(folder).asks(permission)
    else:
        with pytest.raises(QuarantineError, match="unknown permissions"):
            read_manifest(folder)


# -- settings -----------------------------------------------------------------------------------------------------------------
class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    voice: str
    speed: float = 1.0


def test_a_table_becomes_the_plugins_own_type(tmp_path: Path) -> None:
    assert plugin_config("p", Strict, {"voice": "ana"}, tmp_path, "") == Strict("ana")
    assert plugin_config("p", None, None, tmp_path, "") is None


def test_a_required_key_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="voice"):
        plugin_config("p", Strict, None, tmp_path / "prontuario.toml", "")


# -- the gate -----------------------------------------------------------------------------------------------------------------
async def test_a_closed_gate_answers_503_for_requests_and_sockets() -> None:
    talked: list[Any] = []

    async def answer(request: Any) -> Reply:
        return Reply(body=request)

    async def talk(session: Any) -> None:
        talked.append(session)

    is_open = True
    static = StaticFolder("/api/plugins/p/files", Path(sys.prefix))
    route = gated("p", Route("GET", "/api/plugins/p/x", PUBLIC, answer, "x"), lambda: is_open)
    socket = gated("p", WebSocketRoute("/api/plugins/p/ws", PUBLIC, talk, "x"), lambda: is_open)
    assert gated("p", static, lambda: is_open) is static
    assert isinstance(route, Route)
    assert isinstance(socket, WebSocketRoute)
    assert (await route.handler("hello")).body == "hello"
    await socket.handler("session")
    is_open = False
    for handler in (route.handler, socket.handler):
        with pytest.raises(ProntuarioError) as closed:
            await handler("again")
        assert (closed.value.kind.status, closed.value.details["plugin"]) == (503, "p")
    assert talked == ["session"]
