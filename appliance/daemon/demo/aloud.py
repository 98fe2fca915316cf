"""The signed note read back to the clinician: what they would hear in the car, as a file to listen to."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.phone import Phone
from appliance.plugin_api.capabilities import VOICE_RATE_HZ
from appliance.store.threads import to_the_end

_SAMPLE_BYTES: Final = 2


async def hear(phone: Phone, consult: Consult, folder: Path, stage: Callable[[str, str], None]) -> Path | None:
    """Fetch the note as speech and keep it below ``folder``; None (and said so) where this machine has no voice."""
    models = (await phone.get("/v1/models"))["data"]
    if not any(model.get("capability") == "text_to_speech" for model in models):
        stage("aloud", "this machine has no voice (Debian: espeak-ng), so the note is not read aloud")
        return None
    note = consult.note["id"]
    samples = await phone.content(f"/api/notes/{note}/speech", format="pcm")
    path = folder / f"note-{note}.wav"
    await to_the_end(_keep, samples, path)
    stage("aloud", f"the note read aloud: {len(samples) / _SAMPLE_BYTES / VOICE_RATE_HZ:.0f} s of speech in {path}")
    return path


def _keep(samples: bytes, path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, _SAMPLE_BYTES, VOICE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples)
