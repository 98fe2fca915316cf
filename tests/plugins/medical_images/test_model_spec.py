"""How the model's child is started, asked without a model library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.testing import check_engine
from plugins.medical_images.config import ImagesConfig
from plugins.medical_images.engine import ImageEngine
from plugins.medical_images.labels import BUILT_IN
from plugins.medical_images.messages import FIND, Find, ModelFacts
from plugins.medical_images.model_spec import LABEL_SETS, image_model_spec, label_folders
from plugins.medical_images.plugin import plugin
from plugins.medical_images.shape import CheckpointError
from tests.checkpoints.siglip import IMAGE_SIZE
from tests.plugins.medical_images.asking import small_set


def test_the_engine_keeps_its_contract_as_it_is_specified(tiny_siglip: Path, tmp_path: Path) -> None:
    """The synthetic request by which health is judged is answered, and the model is as large as was declared, or smaller."""
    folders = label_folders(tiny_siglip, tmp_path)
    spec = image_model_spec("image_model", model=tiny_siglip, labels=folders, batch_size=3, precision="auto")
    assert spec.probe is not None
    loaded = check_engine(ImageEngine, spec.config, spec.probe)
    assert loaded.footprint_bytes <= spec.footprint_bytes
    assert spec.max_running >= 3


def test_the_synthetic_request_is_a_black_picture_for_the_first_set(tiny_siglip: Path) -> None:
    spec = image_model_spec("image_model", model=tiny_siglip, labels=[BUILT_IN], batch_size=1, precision="auto")
    assert spec.probe is not None
    kind, payload = spec.probe
    asked = msgspec.msgpack.decode(payload, type=Find)
    assert (kind, asked.label_set, asked.picture.width) == (FIND, "radiology", IMAGE_SIZE)
    assert not any(asked.picture.rgb)


def test_the_packs_sets_and_then_the_hospitals_take_precedence(tiny_siglip: Path, tmp_path: Path) -> None:
    model, data = tmp_path / "pack", tmp_path / "data"
    model.mkdir()
    data.mkdir()
    for file in tiny_siglip.iterdir():
        (model / file.name).symlink_to(file)
    small_set(model / LABEL_SETS)
    ours = small_set(data / LABEL_SETS)
    (ours / "small.toml").write_text((ours / "small.toml").read_text().replace("Small", "Ward 7"))
    spec = image_model_spec(
        "image_model", model=model, labels=label_folders(model, data), batch_size=1, precision="auto"
    )
    facts = msgspec.convert(ImageEngine().load(spec.config).info, ModelFacts)
    assert [one.en for one in facts.label_sets if one.name == "small"] == ["Ward 7"]
    assert {one.name for one in facts.label_sets} == {"small", "radiology", "pathology", "dermatology"}


def test_a_folder_that_is_no_siglip_is_refused_before_a_child_is_started(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(CheckpointError, match="clip"):
        image_model_spec("image_model", model=tmp_path, labels=[BUILT_IN], batch_size=1, precision="auto")


def test_without_a_set_there_is_no_synthetic_request(tiny_siglip: Path, tmp_path: Path) -> None:
    spec = image_model_spec("image_model", model=tiny_siglip, labels=[tmp_path], batch_size=1, precision="auto")
    assert spec.probe is None


async def test_a_broken_set_of_the_hospital_shows_in_the_plugins_health(tiny_siglip: Path, tmp_path: Path) -> None:
    config = ImagesConfig(model=str(tiny_siglip))
    context = PluginContext("medical_images", config, tmp_path / "data", tmp_path / "models")
    (check,) = plugin.register_health_checks(context)
    assert (await check.check()).status == "ok"
    (tmp_path / "data").mkdir()
    broken = small_set(tmp_path / "data" / LABEL_SETS) / "ward.toml"
    broken.write_text("version = ")
    health = await check.check()
    assert health.status == "degraded"
    assert "ward.toml" in health.message
    assert "ward.toml" in health.message_pt
    broken.unlink()
    assert (await check.check()).status == "ok"


def test_asking_loads_no_model_library() -> None:
    told = "import sys, plugins.medical_images.model_spec; print(sorted({'mlx', 'sentencepiece', 'PIL'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=100)
    assert ran.stdout.strip() == "[]"
