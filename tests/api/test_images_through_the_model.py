"""A real DICOM file over HTTPS through the real reader's worker and the real engine with tiny weights, into the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.plugin_api.testing import InProcessEngine
from appliance.records import repository
from plugins.medical_images.engine import ImageEngine
from plugins.medical_images.model_spec import image_model_spec, label_folders
from plugins.medical_images.provider import PictureAnalyser, PictureReader
from tests.api.care_harness import PATIENCE_S, Clinic, clinic_at
from tests.checkpoints.siglip import make_tiny_siglip
from tests.plugins.medical_images.picture_files import dicom, ramp
from tests.plugins.medical_images.reading_child import in_process


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    folder = make_tiny_siglip(tmp_path / "tiny")
    labels = label_folders(folder, tmp_path / "data")
    spec = image_model_spec("image_model", model=folder, labels=labels, batch_size=4, precision="fp32")
    reader, model = in_process(), InProcessEngine(ImageEngine(), spec.config)
    async with clinic_at(tmp_path) as made:
        made.abilities.pictures = PictureReader(reader)
        made.abilities.analyser = PictureAnalyser(
            reader, model, folder=folder, demonstration=False, frames_at_most=16, in_flight=1
        )
        yield made
    reader.close()
    model.close()


async def test_a_chest_study_becomes_a_draft_with_a_heat_map(clinic: Clinic, tmp_path: Path) -> None:
    frames = np.stack([ramp(64, 48), ramp(64, 48)[::-1]])
    study = dicom(tmp_path / "chest.dcm", frames, PatientName="Silva", WindowCenter=2048, WindowWidth=4096)
    async with clinic.client() as client:
        answer = await client.post("/api/images", params={"patient": clinic.patient}, content=study.read_bytes())
        assert answer.status_code == 201, answer.text
        image = answer.json()
        assert (image["width"], image["height"], image["frames"], image["identity"]) == (48, 64, 2, "match")
        frame = await client.get(image["links"]["frame"], params={"side": "32"})
        assert frame.content.startswith(b"\x89PNG")
        asked = await client.post(image["links"]["analyses"], json={})
        found = await until_done(client, asked.headers["Location"])
        heat = await client.get(found["links"]["heat_map"])
    assert found["label_set"]["name"] == "radiology"
    assert len(found["findings"]) == found["label_set"]["labels"]
    scores = [one["score"] for one in found["findings"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert found["frames"] == [0, 1]
    assert heat.content.startswith(b"\x89PNG")
    report_id = found["links"]["report"].rpartition("/")[2]
    report = await clinic.api.store.read(lambda q: repository.read(q, "DiagnosticReport", report_id))
    assert report["status"] == "preliminary"


async def until_done(client: Any, path: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            assert found["state"] != "failed", found
            if found["state"] == "done":
                return found
            await asyncio.sleep(0.05)


async def test_another_patients_study_and_a_torn_one_are_refused(clinic: Clinic, tmp_path: Path) -> None:
    other = dicom(tmp_path / "other.dcm", ramp(8, 8), PatientName="Costa^Beatriz")
    torn = dicom(tmp_path / "torn.dcm", ramp(64, 64), WindowCenter=1, WindowWidth=2)
    async with clinic.client() as client:
        codes = [
            (await client.post("/api/images", params={"patient": clinic.patient}, content=data)).json()["code"]
            for data in (other.read_bytes(), torn.read_bytes()[:-4000], b"%PDF-1.7 no picture")
        ]
        listed = await client.get("/api/images", params={"patient": clinic.patient})
    assert codes == ["image.wrong_patient", "image.damaged", "image.unsupported"]
    assert listed.json()["images"] == []
