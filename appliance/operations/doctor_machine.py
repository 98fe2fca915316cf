"""Checks of the machine and its programs: memory, models, audio tools, fast arithmetic."""

from __future__ import annotations

from typing import Final

from appliance.operations.doctor_context import Finding, Patient
from appliance.operations.packs.shelf import Shelf

MEMORY_SHARE: Final = 0.85
"""More than this for models leaves too little for the API, the record and the system."""
_MODELS: Final = {"speech_to_text": "speech", "chat_model": "notes and chat"}


def memory(patient: Patient) -> Finding:
    """The models' budget fits the machine."""
    total, wanted = patient.machine.memory_bytes(), patient.config.memory.ai_bytes
    text = f"{wanted / (1 << 30):.1f} of {total / (1 << 30):.1f} GiB are for models."
    advice = "Lower memory.ai_bytes in prontuario.toml, or remove the line to use 60 % of the machine."
    if wanted > total:
        return Finding("memory", "failed", text, advice)
    if wanted > total * MEMORY_SHARE:
        return Finding("memory", "warning", text, advice)
    if not wanted:
        return Finding("memory", "ok", f"60 % of {total / (1 << 30):.1f} GiB are for models.")
    return Finding("memory", "ok", text)


def models(patient: Patient) -> Finding:
    """Real model packs are installed, and none of those that serve is to be doubted."""
    for row in Shelf(patient.paths.models, patient.paths.pack_keys).rows():
        if row.active and row.trouble:
            return Finding(
                "models", "failed", f"The pack {row.pack} serves and is not to be believed: {row.trouble}.",
                f"See prontuario models verify {row.pack}; then prontuario models rollback {row.capability}, or import it anew.",
            )  # fmt: skip
    lacking = [shown for name, shown in _MODELS.items() if not (patient.paths.models / name / "active").exists()]
    if lacking:
        return Finding(
            "models", "warning", f"A demonstration model serves {' and '.join(lacking)}: it understands only the sample consult.",
            "Take a signed pack in: prontuario models import, then prontuario models activate (docs/model-packs.md).",
        )  # fmt: skip
    return Finding("models", "ok", "Model packs are installed.")


def audio_tools(patient: Patient) -> Finding:
    """Something can decode what an iPhone records (AAC in M4A)."""
    names = ("afconvert", "ffmpeg") if patient.machine.platform == "darwin" else ("ffmpeg",)
    for name in names:
        if patient.machine.program(name) is not None:
            return Finding("audio", "ok", f"{name} decodes AAC; WAV, FLAC, MP3 and Opus need no program.")
    install = "afconvert belongs to macOS: check PATH." if patient.machine.platform == "darwin" else "Install ffmpeg."
    return Finding("audio", "warning", "Nothing here decodes AAC/M4A, which iPhones record.", install)


def voice_tools(patient: Patient) -> Finding:
    """The sample consult can be spoken anew (it is in the package, too)."""
    names = ("say", "espeak-ng") if patient.machine.platform == "darwin" else ("espeak-ng",)
    found = next((name for name in names if patient.machine.program(name) is not None), None)
    if found is None:
        return Finding("voice", "ok", "No speech synthesiser; the sample consult comes as a recording.")
    return Finding("voice", "ok", f"{found} can speak sample texts.")


def fast_arithmetic(patient: Patient) -> Finding:
    """On Linux the models need OpenBLAS to be of any use."""
    if patient.machine.platform != "linux":
        return Finding("arithmetic", "ok", "The system's own library is used.")
    library = patient.machine.openblas()
    if library is None:
        return Finding(
            "arithmetic", "warning", "OpenBLAS is missing: models run 10 to 100 times slower.",
            "On Debian: apt install libopenblas0-pthread",
        )  # fmt: skip
    return Finding("arithmetic", "ok", f"{library.name} is used.")
