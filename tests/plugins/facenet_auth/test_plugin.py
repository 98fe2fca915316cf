"""What the plugin registers: nothing that runs without a model, and light at that."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.messages import EXAMINE, Examine
from plugins.facenet_auth.plugin import ENGINE, plugin
from plugins.facenet_auth.provider import CAPABILITY, FacenetVerifier

WEIGHTS = b"no network"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pack-1"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "face_verifier"}')
    (made / "embedder.onnx").write_bytes(WEIGHTS)
    return made


def context(tmp_path: Path, **settings: object) -> PluginContext:
    return PluginContext("facenet_auth", msgspec.convert(settings, FaceConfig), tmp_path / "data", tmp_path / "models")


async def status(tmp_path: Path, **settings: object) -> str:
    (check,) = plugin.register_health_checks(context(tmp_path, **settings))
    health = await check.check()
    assert health.message
    assert health.message_pt
    assert health.status == "ok" or health.advice_pt
    return health.status


def test_registering_imports_no_model_library() -> None:
    program = (
        "import sys; from plugins.facenet_auth.plugin import plugin; "
        "sys.exit(any(name.split('.')[0] in {'onnxruntime', 'coremltools', 'numpy', 'PIL'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_without_a_model_nothing_is_started_and_nothing_is_ready(tmp_path: Path) -> None:
    here = context(tmp_path)
    assert plugin.register_engines(here) == []
    (provider,) = plugin.register_providers(here, {})
    assert isinstance(provider.instance, FacenetVerifier)
    assert not provider.instance.model().ready
    assert await status(tmp_path) == "not_configured"


async def test_an_active_pack_is_used_and_named_by_its_own_folder(tmp_path: Path, folder: Path) -> None:
    active = tmp_path / "models" / CAPABILITY / "active"
    active.parent.mkdir(parents=True)
    active.symlink_to(folder)
    (spec,) = plugin.register_engines(context(tmp_path, threads=3, runtime="onnx"))
    assert (spec.name, spec.config["folder"]) == (ENGINE, str(folder.resolve()))
    assert (spec.config["threads"], spec.config["runtime"]) == (3, "onnx")
    assert spec.footprint_bytes > len(WEIGHTS)
    assert spec.probe is not None
    kind, payload = spec.probe
    (frame,) = msgspec.msgpack.decode(payload, type=Examine).frames
    assert (kind, len(frame.image)) == (EXAMINE, frame.width * frame.height * 3)
    assert await status(tmp_path) == "not_configured", "no threshold yet"


async def test_health_tells_whether_the_threshold_is_this_models(tmp_path: Path, folder: Path) -> None:
    model = str(folder)
    assert await status(tmp_path, model=model, threshold=0.9) == "not_configured"
    assert await status(tmp_path, model=model, threshold=0.9, calibrated_for="0" * 12) == "degraded"
    assert await status(tmp_path, model=model, threshold=0.9, calibrated_for=DIGEST[:12]) == "ok"


@pytest.mark.parametrize("missing", ["config.json", "embedder.onnx"])
def test_a_folder_without_a_model_is_refused(tmp_path: Path, folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ProntuarioError) as refused:
        plugin.register_engines(context(tmp_path, model=str(folder)))
    assert refused.value.kind.code == "model.folder"


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 0}, {"threshold": 2}, {"threshold": -1}, {"calibrated_for": "abc"}, {"calibrated_for": "X" * 12}],
)
def test_a_threshold_is_a_distance_and_a_digest_is_hexadecimal(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, plugin.config_schema())
