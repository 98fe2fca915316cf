"""What the plugin registers, and that registering costs nothing."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext
from plugins.whisper_stt.config import WhisperConfig
from plugins.whisper_stt.messages import TRANSCRIBE, Utterance
from plugins.whisper_stt.plugin import CAPABILITY, DEMONSTRATION, plugin
from plugins.whisper_stt.provider import WhisperSpeechToText
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins.whisper_stt.test_provider import numbered


def context(tmp_path: Path, **settings: object) -> PluginContext:
    config = msgspec.convert(settings, WhisperConfig)
    return PluginContext("whisper_stt", config, tmp_path / "data", tmp_path / "models")


def test_registering_imports_no_model_library() -> None:
    program = (
        "import sys; from plugins.whisper_stt.plugin import plugin; "
        "sys.exit(any(name.split('.')[0] in {'mlx', 'mlx_whisper', 'numba', 'scipy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_a_pack_the_demonstration_serves_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="prontuario"):
        (spec,) = plugin.register_engines(context(tmp_path))
    assert spec.config["folder"] == str(DEMONSTRATION)
    assert spec.config["demonstration"] is True
    assert any("demonstration model" in record.getMessage() for record in caplog.records)


def test_an_installed_pack_replaces_the_demonstration(tmp_path: Path, tiny_whisper: Path) -> None:
    active = tmp_path / "models" / CAPABILITY / "active"
    active.parent.mkdir(parents=True)
    active.symlink_to(tiny_whisper)
    (spec,) = plugin.register_engines(context(tmp_path))
    assert (spec.config["folder"], spec.config["demonstration"]) == (str(tiny_whisper.resolve()), False)


def test_a_configured_folder_wins_over_a_pack(tmp_path: Path, tiny_whisper: Path) -> None:
    shutil.copytree(tiny_whisper, tmp_path / "models" / CAPABILITY / "active")
    (spec,) = plugin.register_engines(context(tmp_path, model=str(tiny_whisper)))
    assert spec.config["folder"] == str(tiny_whisper)


@pytest.mark.parametrize("missing", ["config.json", "weights.safetensors"])
def test_a_folder_without_a_model_is_refused(tmp_path: Path, tiny_whisper: Path, missing: str) -> None:
    shutil.copytree(tiny_whisper, tmp_path / "half")
    (tmp_path / "half" / missing).unlink()
    with pytest.raises(ProntuarioError) as caught:
        plugin.register_engines(context(tmp_path, model=str(tmp_path / "half")))
    assert caught.value.kind.code == "model.folder"


def test_the_probe_is_a_request_that_the_engine_understands(tmp_path: Path) -> None:
    (spec,) = plugin.register_engines(context(tmp_path))
    assert spec.probe is not None
    kind, payload = spec.probe
    assert kind == TRANSCRIBE
    assert msgspec.msgpack.decode(payload, type=Utterance).pcm == bytes(16_000)


def test_utterances_fit_the_models_window(tmp_path: Path, tiny_whisper: Path) -> None:
    for settings, longest in (({}, 9.8), ({"model": str(tiny_whisper)}, 4.8), ({"max_utterance_s": 3.0}, 3.0)):
        (provider,) = plugin.register_providers(context(tmp_path, **settings), {"whisper": ScriptedEngine(numbered)})
        assert isinstance(provider.instance, WhisperSpeechToText)
        assert provider.capability == CAPABILITY
        assert provider.instance._max_utterance_s == pytest.approx(longest)


async def test_health_asks_for_a_pack_only_while_there_is_none(tmp_path: Path, tiny_whisper: Path) -> None:
    (without,) = plugin.register_health_checks(context(tmp_path))
    (with_model,) = plugin.register_health_checks(context(tmp_path, model=str(tiny_whisper)))
    assert (await without.check()).status == "not_configured"
    assert "pack" in (await without.check()).advice
    assert (await with_model.check()).status == "ok"


@pytest.mark.parametrize(
    "settings",
    [{"batch": 3}, {"batch_size": 0}, {"max_utterance_s": 60}, {"precision": "fp8"}, {"no_speech_threshold": 2}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, WhisperConfig)
