"""What the first bytes of a recording tell of its length, and what they must not."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from appliance.care.audio import decode
from appliance.care.audio_format import inspect
from appliance.care.audio_length import declared_seconds
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import sounds
from tests.system.hostile import long_flac, lying_wav


def declared(path: Path) -> float | None:
    return declared_seconds(path, inspect(path).format)


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("a.wav", 16_000, 1), ("b.wav", 44_100, 2), ("c.flac", 48_000, 2)]
)
def test_wav_and_flac_tell_their_length(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    path = sounds.write(tmp_path / name, sounds.tone(1.5, rate, channels=channels), rate)
    assert declared(path) == pytest.approx(1.5)


def test_what_does_not_tell_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a.ogg", "a.aiff"):
        assert declared(sounds.write(tmp_path / name, sounds.tone(0.5), 16_000)) is None
    path = tmp_path / "unsized.wav"
    path.write_bytes(sounds.lying_wav(0xFFFFFFFF, bytes(32_000)))
    assert declared(path) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("options", [{"channels": 0}, {"channels": 60_000}, {"rate": 1}, {"rate": 4_000_000_000}])
async def test_a_form_that_no_recording_has_is_refused_before_any_decoder(
    tmp_path: Path, options: dict[str, int]
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(lying_wav(3200, bytes(3200), **options))
    with pytest.raises(ProntuarioError) as caught:
        await anext(decode(path, max_hours=2.0, decoders=()))
    assert caught.value.kind.code == "audio.damaged"


async def test_more_hours_than_allowed_are_refused_before_any_decoder(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(long_flac(7201))
    assert declared(path) == 7201
    with pytest.raises(ProntuarioError) as caught:
        await anext(decode(path, max_hours=2.0, decoders=()))
    assert caught.value.kind.code == "audio.too_long"
    path.write_bytes(long_flac(7200))
    assert soundfile.info(str(path)).frames == 7200 * 16_000
    with pytest.raises(ProntuarioError) as caught:
        await anext(decode(path, max_hours=2.0, decoders=()))
    assert caught.value.kind.code == "audio.decoder_missing"
