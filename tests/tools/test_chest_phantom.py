"""The sample's chest picture: what the generator makes is what is committed, and it says everywhere that it is synthetic."""

from __future__ import annotations

import io
from importlib.resources import files
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.plugin_api.images import PatientClaim
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import WRONG_PATIENT, RefusedError
from plugins.medical_images.reading.source import open_source
from tools import chest_phantom

SAMPLE = Path(str(files("appliance.daemon"))) / "sample" / "chest.dcm"
MARIA = PatientClaim(names=("Maria Amostra",), birth_date="1968-03-14")


def test_the_committed_file_is_what_the_generator_makes() -> None:
    kept, made = pydicom.dcmread(SAMPLE), chest_phantom.radiograph()
    drawn = np.frombuffer(made.PixelData, "<u2").reshape(made.Rows, made.Columns)
    assert np.abs(kept.pixel_array.astype(int) - drawn.astype(int)).max() <= 1  # a rounding apart
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    assert len(file.getvalue()) <= chest_phantom.MOST_BYTES
    del kept.PixelData, made.PixelData
    assert kept.to_json_dict() == made.to_json_dict()


def test_it_says_in_header_and_pixels_that_it_is_synthetic() -> None:
    kept = pydicom.dcmread(SAMPLE)
    assert "SYNTHETIC" in kept.ImageComments
    assert "sintética" in kept.StudyDescription
    words = chest_phantom.mark() > 0
    assert words.sum() > 1000
    assert (kept.pixel_array[words] == chest_phantom.DEEPEST).all()
    assert (kept.pixel_array[~words] < chest_phantom.DEEPEST).all()


def test_our_reader_takes_it_for_its_patient_only() -> None:
    source = open_source(SAMPLE, Limits())
    facts = source.facts(MARIA)
    assert (facts.modality, facts.body_part, facts.taken) == ("CR", "CHEST", "2026-11-18")
    assert (facts.width, facts.height, facts.frames) == (512, 512, 1)
    assert (facts.identity, facts.cautions) == ("match", ())
    shown = np.asarray(source.frame(0).convert("L"), int)
    lungs, spine = shown[230:300, 110:190], shown[120:200, 250:262]
    assert lungs.mean() < 60
    assert spine.mean() > 120
    for stranger in (PatientClaim(birth_date="1970-01-01"), PatientClaim(names=("João Pereira",))):
        with pytest.raises(RefusedError) as refused:
            source.facts(stranger)
        assert refused.value.code == WRONG_PATIENT
