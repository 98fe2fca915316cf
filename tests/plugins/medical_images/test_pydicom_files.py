"""Every file of pydicom's own test data, through a real child: read, or refused with a reason; none hangs, none kills."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pydicom.data
import pytest

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from plugins.medical_images.provider import PictureReader
from tests.plugins.medical_images.reading_child import as_child

FOLDER = Path(pydicom.data.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"})
READ_AT_LEAST = 95
NOT_READ = {
    "MR_truncated.dcm": "image.damaged",
    "badVR.dcm": "image.damaged",
    "JPEG2000-embedded-sequence-delimiter.dcm": "image.too_large",
    "JPEG-lossy.dcm": "image.unsupported",
    "JPGExtended.dcm": "image.unsupported",
    "rtplan.dcm": "image.no_pixels",
    "waveform_ecg.dcm": "image.no_pixels",
    "DICOMDIR": "image.no_pixels",
    "chrJapMulti.dcm": "image.no_pixels",
    "zipMR.gz": "image.unsupported",
    "test1.json": "image.unsupported",
}


async def outcome(reader: PictureReader, path: Path) -> str:
    try:
        facts = await reader.inspect(path, None, CallOptions())
    except ProntuarioError as error:
        return error.kind.code
    png = await reader.png(path, facts.frames - 1, 64, CallOptions())
    assert png.startswith(b"\x89PNG")
    assert min(facts.width, facts.height, facts.frames) >= 1
    return facts.media_type


@pytest.mark.timeout(240)
async def test_every_file_is_read_or_refused(tmp_path: Path) -> None:
    assert len(FILES) > 150
    async with as_child(tmp_path) as (reader, engine):
        outcomes = {path: await outcome(reader, path) for path in FILES}
        assert engine.last_death == ""
    counted = Counter(outcomes.values())
    assert set(counted) <= {
        "application/dicom",
        "image.damaged",
        "image.unsupported",
        "image.no_pixels",
        "image.too_large",
    }
    assert counted["application/dicom"] >= READ_AT_LEAST
    assert {path.name: code for path, code in outcomes.items() if path.name in NOT_READ} == NOT_READ
    unread = {path.name for path, code in outcomes.items() if code == "image.damaged"}
    assert unread <= {"MR_truncated.dcm", "badVR.dcm", "SC_rgb_jpeg.dcm"}
