"""A transcript in the five formats of ``/v1/audio/transcriptions``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from appliance.plugin_api.capabilities import Segment

FORMATS: Final = frozenset({"json", "text", "verbose_json", "srt", "vtt"})
_LANGUAGE_NAMES: Final = {"pt": "portuguese", "en": "english", "es": "spanish"}


def plain_text(segments: Sequence[Segment]) -> str:
    """The whole text in one line."""
    return " ".join(segment.text for segment in segments)


def srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    cues = (
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_one_line(segment.text)}\n"
        for number, segment in enumerate(segments, 1)
    )
    return "\n".join(cues) + "\n"


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (W3C Candidate Recommendation, section 4)."""
    cues = (
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_escaped(segment.text)}\n"
        for segment in segments
    )
    return "WEBVTT\n\n" + "\n".join(cues) + "\n"


SUBTITLES: Final[dict[str, Callable[[Sequence[Segment]], str]]] = {
    "text": lambda segments: plain_text(segments) + "\n",
    "srt": srt,
    "vtt": vtt,
}


def verbose(
    segments: Sequence[Segment], *, language: str, duration_s: float, temperature: float, granularities: frozenset[str]
) -> dict[str, Any]:
    """``verbose_json``; ``words`` or ``segments`` as asked for. Times in seconds."""
    answer: dict[str, Any] = {
        "task": "transcribe",
        "language": _LANGUAGE_NAMES.get(language, language),
        "duration": round(duration_s, 3),
        "text": plain_text(segments),
        "usage": {"type": "duration", "seconds": math.ceil(duration_s)},
    }
    if "segment" in granularities:
        answer["segments"] = [_verbose_segment(index, segment, temperature) for index, segment in enumerate(segments)]
    if "word" in granularities:
        answer["words"] = [
            {"word": word.text, "start": word.start, "end": word.end} for segment in segments for word in segment.words
        ]
    return answer


def _verbose_segment(index: int, segment: Segment, temperature: float) -> dict[str, Any]:
    return {
        "id": index,
        "seek": int(segment.start * 100),
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": math.log(max(segment.confidence, 1e-9)),
        "compression_ratio": 1.0,
        "no_speech_prob": 0.0,
    }


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _one_line(text: str) -> str:
    """A cue ends at an empty line, so a text never brings its own."""
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace("-->", "--&gt;")
