"""The transcript's formats, where they are easy to get wrong."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from appliance.api.openai_transcript import plain_text, srt, verbose, vtt
from appliance.plugin_api.capabilities import Segment

CLOCK = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3})")


@given(st.floats(0, 7200), st.floats(0, 7200))
def test_clocks_read_back_to_the_millisecond(start: float, end: float) -> None:
    for text in (srt([Segment(start, end, "x", 1.0)]), vtt([Segment(start, end, "x", 1.0)])):
        found = CLOCK.search(text)
        assert found is not None
        figures = [int(figure) for figure in found.groups()]
        for wanted, (hours, minutes, seconds, thousandths) in zip(
            (start, end), (figures[:4], figures[4:]), strict=True
        ):
            assert abs(hours * 3600 + minutes * 60 + seconds + thousandths / 1000 - wanted) <= 0.0005001


def test_a_text_cannot_forge_a_cue() -> None:
    evil = Segment(0.0, 1.0, "sim\n\n00:00:09.000 --> 00:00:10.000\n<b>não</b> & mais", 1.0)
    assert len(vtt([evil]).strip().split("\n\n")) == 2
    assert len(CLOCK.findall(vtt([evil]))) == 1
    assert "<b>" not in vtt([evil])
    assert "&amp; mais" in vtt([evil])
    assert len(srt([evil]).strip().split("\n\n")) == 1


def test_cues_are_numbered_and_separated() -> None:
    segments = [Segment(0, 1, "um", 1.0), Segment(1, 2, "dois", 1.0)]
    assert srt(segments).split("\n\n")[1].startswith("2\n00:00:01,000")
    assert vtt(segments).endswith("dois\n\n")
    assert plain_text(segments) == "um dois"


def test_nothing_said_is_an_empty_transcript() -> None:
    assert plain_text([]) == ""
    assert vtt([]) == "WEBVTT\n\n\n"
    answer = verbose([], language="fr", duration_s=1.25, temperature=0.0, granularities=frozenset({"segment", "word"}))
    assert (answer["language"], answer["duration"], answer["segments"], answer["words"]) == ("fr", 1.25, [], [])
    assert answer["usage"] == {"type": "duration", "seconds": 2}


def test_a_segments_log_probability_comes_from_its_confidence() -> None:
    segments = [Segment(0, 1, "um", 1.0), Segment(1, 2, "dois", 0.0)]
    answer = verbose(segments, language="pt", duration_s=2, temperature=0.3, granularities=frozenset({"segment"}))
    sure, unsure = answer["segments"]
    assert sure["avg_logprob"] == 0.0
    assert unsure["avg_logprob"] < -20
    assert sure["temperature"] == 0.3
