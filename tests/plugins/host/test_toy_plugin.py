"""The tutorial's plugin, from its source to an answer through the façade."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.http import Route
from appliance.plugin_host.host import PluginHost, PluginReport
from appliance.plugin_host.signature import sign_folder

pytestmark = pytest.mark.usefixtures("unpolluted_path")
TOML = (
    'disabled_plugins = ["whisper_stt", "medgemma_chat", "medical_images", "facenet_auth", "gcp_sync",'
    ' "speech_out", "document_reader"]\n'
)
PRODUCTION = '[node]\nprofile = "production"\n'


@dataclass
class Asked:
    """The one thing that the toy's handlers read."""

    query: dict[str, str] = field(default_factory=dict)


def toy(host: PluginHost) -> PluginReport:
    return next(row for row in host.report() if row.name == "word_mirror")


def trust(home: Path, key: Ed25519PrivateKey) -> None:
    folder = home / "plugins" / "trusted"
    folder.mkdir()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "vendor.pem").write_bytes(pem)


async def test_its_own_tests_pass_against_the_installed_wheel(installed_toy: Path) -> None:
    tests = Path(__file__).parents[3] / "docs" / "examples" / "toy_plugin" / "tests"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(tests)],
        env={**os.environ, "PYTHONPATH": str(installed_toy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def test_it_answers_through_the_facade(make_host: Callable[..., PluginHost], installed_toy: Path) -> None:
    host = make_host(TOML + '[plugins.word_mirror]\nseparator = "-"\n')
    host.load()
    assert toy(host) == PluginReport(
        name="word_mirror",
        version="1.0.0",
        first_party=False,
        state="active",
        capabilities=("chat_model",),
        permissions=("engines", "routes", "permissions", "provide:chat_model"),
        pages=tuple(host.admin_pages()),
    )
    await host.start()
    choice = host.abilities.chat_model()
    assert (choice.plugin, choice.provider, choice.degraded) == ("word_mirror", "mirror", False)
    answer = choice.instance.chat([ChatMessage("user", "bom dia doutora")], ChatOptions(), CallOptions())
    deltas = [delta async for delta in answer]
    assert "".join(delta.text for delta in deltas) == "doutora-dia-bom"
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].prompt_tokens == 3
    (model,) = host.abilities.models()
    assert model.demonstration
    assert model.ready
    assert len(model.sha256) == 64
    await host.stop(1.0)


async def test_its_route_page_check_and_permission_are_handed_on(
    make_host: Callable[..., PluginHost], installed_toy: Path
) -> None:
    host = make_host(TOML)
    host.load()
    await host.start()
    routes = {route.path: route for route in host.routes() if isinstance(route, Route)}
    reply = await routes["/api/plugins/word_mirror/mirror"].handler(Asked({"text": "a b c"}))
    assert reply.body == {"text": "c b a"}
    status = await routes["/api/plugins/word_mirror/status"].handler(Asked())
    assert status.body == {"mirrored": 1}
    assert {route.permission for route in routes.values()} == {permission.name for permission in host.permissions()}
    (page,) = host.admin_pages()
    assert all(path in routes for _heading, path in page.sources)
    (check,) = host.health_checks()
    assert (await check.check()).status == "ok"
    await host.stop(1.0)
    assert (await check.check()).status == "failed"


async def test_production_takes_it_only_with_a_trusted_signature(
    make_host: Callable[..., PluginHost], installed_toy: Path, home: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    host = make_host(TOML + PRODUCTION)
    host.load()
    assert (toy(host).state, "not signed" in toy(host).reason) == ("quarantined", True)

    sign_folder(installed_toy, key)
    host = make_host(TOML + PRODUCTION)
    host.load()
    assert (toy(host).state, "no trusted key" in toy(host).reason) == ("quarantined", True)

    trust(home, key)
    host = make_host(TOML + PRODUCTION)
    host.load()
    assert (toy(host).state, toy(host).reason) == ("active", "")


@pytest.mark.parametrize("change", ["edited", "added", "removed", "linked"])
async def test_a_signed_folder_that_was_touched_is_refused_even_in_development(
    make_host: Callable[..., PluginHost], installed_toy: Path, home: Path, change: str
) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(installed_toy, key)
    trust(home, key)
    package = installed_toy / "word_mirror"
    if change == "edited":
        (package / "engine.py").write_text("print('hello')\n")
    elif change == "added":
        (package / "extra.py").write_text("")
    elif change == "removed":
        (package / "config.py").unlink()
    else:
        (package / "config.py").unlink()
        (package / "config.py").symlink_to(home / "elsewhere.py")
    host = make_host(TOML)
    host.load()
    assert toy(host).state == "quarantined"
    assert host.abilities.models() == []


async def test_byte_code_beside_a_signed_source_is_removed_before_it_could_run(
    make_host: Callable[..., PluginHost], installed_toy: Path, home: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    sign_folder(installed_toy, key)
    trust(home, key)
    cache = installed_toy / "word_mirror" / "__pycache__"
    cache.mkdir(exist_ok=True)
    planted = cache / "planted.cpython-311.pyc"
    planted.write_bytes(b"evil")
    host = make_host(TOML + PRODUCTION)
    host.load()
    assert toy(host).state == "active"
    assert not planted.exists()
