"""What the plugin registers, and that registering opens no picture library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext
from plugins.medical_images.config import ImagesConfig
from plugins.medical_images.describing import DESCRIBES
from plugins.medical_images.messages import Converse, Find
from plugins.medical_images.plugin import DESCRIBER, MODEL, READER, plugin
from plugins.medical_images.provider import ANALYSES, READS, spread
from tests.checkpoints.gemma_eyes import make_tiny_gemma_with_eyes
from tests.fakes.scripted_engine import ScriptedEngine


def context(folder: Path, **settings: object) -> PluginContext:
    return PluginContext("medical_images", msgspec.convert(settings, ImagesConfig), folder / "data", folder / "models")


async def silent(_number: int, _payload: bytes) -> list[bytes]:
    return []


def offered(here: PluginContext) -> dict[str, bool]:
    """The abilities, and of each whether there is a model for it."""
    engines: dict[str, Any] = {spec.name: ScriptedEngine(silent) for spec in plugin.register_engines(here)}
    providers = plugin.register_providers(here, engines)
    return {provider.capability: provider.instance.model().installed for provider in providers}


def test_registering_imports_no_library_that_opens_files() -> None:
    program = (
        "import sys; from plugins.medical_images.plugin import plugin; "
        "sys.exit(any(name.split('.')[0] in {'mlx', 'pydicom', 'PIL', 'pi_heif', 'gdcm', 'numpy'} for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_without_a_model_pictures_are_read_and_nothing_scores_them(tmp_path: Path) -> None:
    here = context(tmp_path)
    assert [spec.name for spec in plugin.register_engines(here)] == [READER]
    assert offered(here) == {READS: True, ANALYSES: False, DESCRIBES: False}  # offered all the same: for the first pack
    (check,) = plugin.register_health_checks(here)
    health = await check.check()
    assert (health.status, health.message_pt != "") == ("not_configured", True)
    assert "plugins.medical_images.model" in health.advice


@pytest.mark.parametrize("configured", [True, False])
async def test_with_a_model_they_are_looked_at(tmp_path: Path, tiny_siglip: Path, configured: bool) -> None:
    if not configured:
        active = tmp_path / "models" / ANALYSES / "active"
        active.parent.mkdir(parents=True)
        active.symlink_to(tiny_siglip)
    here = context(tmp_path, **({"model": str(tiny_siglip)} if configured else {}))
    reader, model = plugin.register_engines(here)
    assert (reader.name, model.name, model.config["folder"]) == (READER, MODEL, str(tiny_siglip.resolve()))
    assert model.footprint_bytes > 0
    assert model.probe is not None
    assert msgspec.msgpack.decode(model.probe[1], type=Find).label_set == "radiology"
    assert offered(here) == {READS: True, ANALYSES: True, DESCRIBES: False}
    (check,) = plugin.register_health_checks(here)
    assert (await check.check()).status == "ok"


def test_a_folder_that_holds_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ProntuarioError, match=r"model\.folder"):
        plugin.register_engines(context(tmp_path, model=str(tmp_path)))


@pytest.mark.parametrize("configured", [True, False])
def test_a_gemma_with_eyes_describes_them_also_without_an_analyser(tmp_path: Path, configured: bool) -> None:
    tiny = make_tiny_gemma_with_eyes(tmp_path / "tiny")
    if not configured:
        active = tmp_path / "models" / DESCRIBES / "active"
        active.parent.mkdir(parents=True)
        active.symlink_to(tiny)
    here = context(tmp_path, **({"describer": str(tiny)} if configured else {}))
    _reader, words = plugin.register_engines(here)
    assert (words.name, words.config["folder"]) == (DESCRIBER, str(tiny.resolve()))
    assert words.footprint_bytes > 1 << 30
    assert words.probe is not None
    assert msgspec.msgpack.decode(words.probe[1], type=Converse).pictures == ()
    assert offered(here) == {READS: True, ANALYSES: False, DESCRIBES: True}


def test_a_describer_without_eyes_is_refused(tmp_path: Path, tiny_siglip: Path) -> None:
    with pytest.raises(ProntuarioError, match="vision tower"):
        plugin.register_engines(context(tmp_path, describer=str(tiny_siglip)))


def test_a_larger_frame_needs_a_larger_reader(tmp_path: Path) -> None:
    (small,) = plugin.register_engines(context(tmp_path, frame_megapixels=10))
    (large,) = plugin.register_engines(context(tmp_path, frame_megapixels=100))
    assert small.footprint_bytes < large.footprint_bytes
    assert small.config["limits"]["frame_pixels"] == 10_000_000


@pytest.mark.parametrize(
    "settings", [{"unknown": 1}, {"frames_at_most": 0}, {"frame_megapixels": 0}, {"in_flight": 0}, {"batch_size": 0}]
)
def test_a_setting_that_can_not_be_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, ImagesConfig)


@pytest.mark.parametrize(
    ("frames", "most", "expected"),
    [(1, 16, (0,)), (3, 16, (0, 1, 2)), (500, 3, (0, 250, 499)), (500, 1, (250,)), (4, 4, (0, 1, 2, 3))],
)
def test_frames_are_spread_over_the_whole_study(frames: int, most: int, expected: tuple[int, ...]) -> None:
    assert spread(frames, most) == pytest.approx(expected, abs=1)
    chosen = spread(frames, most)
    assert len(set(chosen)) == len(chosen) <= most
    assert all(0 <= one < frames for one in chosen)
