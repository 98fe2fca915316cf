"""What the plugin registers, and that registering costs nothing."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext
from plugins.medgemma_chat.config import ChatConfig
from plugins.medgemma_chat.messages import CHAT, ChatRequest
from plugins.medgemma_chat.plugin import CAPABILITY, DEMONSTRATION, plugin


def context(tmp_path: Path, **settings: object) -> PluginContext:
    return PluginContext("medgemma_chat", msgspec.convert(settings, ChatConfig), tmp_path / "data", tmp_path / "models")


def test_registering_imports_no_model_library() -> None:
    program = (
        "import sys; from plugins.medgemma_chat.plugin import plugin; "
        "sys.exit(any(name.split('.')[0] in {'mlx', 'mlx_lm', 'transformers', 'llguidance', 'numpy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_a_pack_the_demonstration_serves_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="prontuario"):
        (spec,) = plugin.register_engines(context(tmp_path))
    assert (spec.config["folder"], spec.config["demonstration"]) == (str(DEMONSTRATION), True)
    assert any("demonstration model" in record.getMessage() for record in caplog.records)


def test_an_installed_pack_replaces_the_demonstration(tmp_path: Path, tiny_gemma: Path) -> None:
    active = tmp_path / "models" / CAPABILITY / "active"
    active.parent.mkdir(parents=True)
    active.symlink_to(tiny_gemma)
    (spec,) = plugin.register_engines(context(tmp_path))
    assert (spec.config["folder"], spec.config["demonstration"]) == (str(tiny_gemma.resolve()), False)


def test_a_dangling_pack_is_refused_and_not_replaced_by_the_demonstration(tmp_path: Path) -> None:
    active = tmp_path / "models" / CAPABILITY / "active"
    active.mkdir(parents=True)
    with pytest.raises(ProntuarioError) as caught:
        plugin.register_engines(context(tmp_path))
    assert caught.value.kind.code == "model.folder"


def test_a_configured_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProntuarioError, match=r"config\.json"):
        plugin.register_engines(context(tmp_path, model=str(tmp_path / "nowhere")))


def test_the_footprint_counts_the_caches_of_a_full_batch(tmp_path: Path, tiny_gemma: Path) -> None:
    def declared(**settings: object) -> int:
        (spec,) = plugin.register_engines(context(tmp_path, model=str(tiny_gemma), **settings))
        return spec.footprint_bytes

    assert declared(batch_size=64) > declared(batch_size=8)
    assert declared(context_tokens=128) < declared(context_tokens=512) == declared(context_tokens=100_000)


def test_the_probe_is_a_request_that_the_engine_understands(tmp_path: Path) -> None:
    (spec,) = plugin.register_engines(context(tmp_path))
    assert spec.probe is not None
    kind, payload = spec.probe
    assert kind == CHAT
    assert msgspec.msgpack.decode(payload, type=ChatRequest).options.max_tokens == 1


async def test_health_asks_for_a_pack_only_while_there_is_none(tmp_path: Path, tiny_gemma: Path) -> None:
    (without,) = plugin.register_health_checks(context(tmp_path))
    (with_model,) = plugin.register_health_checks(context(tmp_path, model=str(tiny_gemma)))
    assert (await without.check()).status == "not_configured"
    assert (await with_model.check()).status == "ok"


@pytest.mark.parametrize(
    "settings", [{"batchsize": 3}, {"batch_size": 0}, {"context_tokens": 1}, {"precision": "int1"}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, ChatConfig)
