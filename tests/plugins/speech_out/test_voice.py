"""The voices: one conformance suite for espeak-ng itself and for the Mac's two ways over stand-ins; ends, limits, refusals."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest

from appliance.plugin_api.capabilities import CAPABILITIES, VOICE_RATE_HZ, VoiceOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.testing import check_text_to_speech
from plugins.speech_out import mac_avspeech, mac_say, speaking
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.plugin import SpeechOutPlugin
from plugins.speech_out.programs import AvSpeechProgram, EspeakProgram, Missing, Program, SayProgram, standard_programs
from plugins.speech_out.provider import MOST_CHARACTERS, Voice
from plugins.speech_out.resampling import Resampler
from tests.plugins.speech_out.programs import (
    Buffer,
    FakeAvFoundation,
    FakeFoundation,
    fake_say,
    python_with_fakes,
    python_with_say,
)

Children = Callable[[], list[psutil.Process]]
NEEDS_ESPEAK = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


class ScriptProgram:
    """A program of the test's own: Python with this text; it answers to any voice."""

    name = "script"

    def __init__(self, script: str) -> None:
        self.script = script

    def missing(self) -> Missing | None:
        return None

    def voices(self) -> Sequence[str]:
        return ["only"]

    def command(self, voice: str, words_per_minute: float) -> Sequence[str]:
        del voice, words_per_minute
        return [sys.executable, "-I", "-c", self.script]


HEADER = "import struct,sys,time; o=sys.stdout.buffer; o.write(struct.pack('<4sI4s4sIHHIIHH4sI',b'RIFF',0,b'WAVE',b'fmt ',16,1,1,22050,44100,2,16,b'data',0)); "  # noqa: E501
FOREVER = HEADER + "\nwhile True: o.write(bytes(4000))"
SILENT = HEADER + "o.flush(); time.sleep(600)"


def voice(program: Program, **config: object) -> Voice:
    return Voice([program], msgspec.convert(config, VoiceConfig))


async def said(spoken_by: Voice, text: str = "Nega febre.", **options: object) -> bytes:
    stream = spoken_by.speak(text, msgspec.convert(options, VoiceOptions), CallOptions(deadline_s=60.0))
    return b"".join([block async for block in stream])


async def refusal(spoken_by: Voice, text: str = "Nega febre.", **options: object) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        await said(spoken_by, text, **options)
    return caught.value


@pytest.fixture
def children() -> Children:
    """Tells the processes begun since the test began: a node that other tests share may run below this process too."""
    me = psutil.Process()
    before = set(me.children(recursive=True))

    def begun() -> list[psutil.Process]:
        now = set(me.children(recursive=True)) - before
        return [child for child in now if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    return begun


# -- every voice keeps the contract --------------------------------------------------------------------------------------
def programs(folder: Path) -> dict[str, Program]:
    return {
        "espeak-ng": EspeakProgram(),
        "avspeech": AvSpeechProgram(find=lambda _name: True, platform="darwin", python=python_with_fakes(folder)),
        "say": SayProgram(platform="darwin", python=python_with_say(folder)),
    }


@NEEDS_ESPEAK
@pytest.mark.parametrize("name", ["espeak-ng", "avspeech", "say"])
async def test_a_voice_keeps_the_contract(name: str, tmp_path: Path, children: Children) -> None:
    await check_text_to_speech(voice(programs(tmp_path)[name]))
    assert children() == []


@NEEDS_ESPEAK
async def test_speed_and_voice_are_heard() -> None:
    spoken_by = voice(EspeakProgram())
    normal, slow = await said(spoken_by), await said(spoken_by, speed=0.5)
    other = await said(spoken_by, voice="feminina")
    assert len(slow) > 1.4 * len(normal)
    assert other != normal
    assert 0.5 < len(normal) / 2 / VOICE_RATE_HZ < 3.0


@NEEDS_ESPEAK
async def test_shorthand_takes_as_long_as_its_words() -> None:
    """A synthesiser that was given the shorthand itself would say something else, and shorter."""
    spoken_by = voice(EspeakProgram())
    assert await said(spoken_by, "12/12h") == await said(spoken_by, "de doze em doze horas")


async def test_the_text_is_no_argument_of_a_process() -> None:
    for program in standard_programs():
        assert not any("febre" in part for part in program.command(program.voices()[0], 165.0))


# -- the helper of the Mac -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pace", [20.0, 175.0, 900.0])
def test_the_helper_speaks_brazilian_portuguese_at_the_pace_asked_for(pace: float) -> None:
    out = io.BytesIO()
    FakeAvFoundation.AVSpeechSynthesizer.said.clear()
    mac_avspeech.Talk(FakeAvFoundation, FakeFoundation, out).say("oi", pace)
    (utterance,) = FakeAvFoundation.AVSpeechSynthesizer.said
    assert (utterance.text, utterance.voice) == ("oi", "pt-BR")
    assert utterance.rate == pytest.approx(min(max(0.5 * pace / 175.0, 0.0), 1.0))
    assert out.getvalue()[:4] == b"RIFF"
    assert len(out.getvalue()) == 44 + 2 * 2000 * len("oi")


@pytest.mark.parametrize("floats", [True, False])
def test_both_kinds_of_samples_come_out_the_same(*, floats: bool) -> None:
    out = io.BytesIO()
    talk = mac_avspeech.Talk(FakeAvFoundation, FakeFoundation, out)
    talk.take(Buffer([0.0, 0.5, -0.5], floats=floats))
    assert np.frombuffer(out.getvalue()[44:], "<i2").tolist() == [0, 16383, -16383]


# -- ends ----------------------------------------------------------------------------------------------------------------
async def test_closing_kills_the_process_and_what_it_started(children: Children) -> None:
    script = "import subprocess,sys; subprocess.Popen([sys.executable,'-c','import time; time.sleep(600)']);" + FOREVER
    stream = voice(ScriptProgram(script)).speak("oi", VoiceOptions(), CallOptions())
    async with aclosing(stream):
        await anext(stream)
        running = children()
        assert len(running) == 2
    gone, alive = psutil.wait_procs(running, timeout=30)
    assert (len(gone), alive) == (2, [])


async def test_cancelling_before_the_first_sound_leaves_nothing(children: Children) -> None:
    task = asyncio.ensure_future(said(voice(ScriptProgram(SILENT))))
    while not children():  # noqa: ASYNC110  the child is started by what is tested
        await asyncio.sleep(0.01)
    running = children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert psutil.wait_procs(running, timeout=30)[1] == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (SILENT, "no sound"),
        ("pass", "not a sound"),
        ("print('no wave, but a long enough line of text to be taken for one')", "not a sound"),
        (HEADER, "ended early"),
        (HEADER + "o.write(bytes(8000)); o.flush(); sys.exit(3)", "ended early"),
        (HEADER.replace("16,1,1,", "16,1,2,") + "o.write(bytes(8000))", "not a sound"),
        (HEADER.replace("22050,", "0,"), "not a sound"),
        ("import sys; sys.stdout.buffer.write(b'RIFF0000WAVEjunk\\xff\\xff\\xff\\x7f')", "not a sound"),
    ],
)
async def test_a_program_that_fails_is_an_error_for_people(script: str, reason: str, children: Children) -> None:
    error = await refusal(voice(ScriptProgram(script), stall_s=1.0))
    assert (error.kind, error.details["reason"]) == (speaking.FAILED, reason)
    assert children() == []


async def test_a_program_that_vanished_is_an_error_for_people() -> None:
    with pytest.raises(ProntuarioError) as caught:
        async for _ in speaking.spoken(["/nowhere/at-all"], "oi", stall_s=1.0, rate_hz=VOICE_RATE_HZ):
            pass
    assert caught.value.details["reason"] == "not installed"


# -- limits --------------------------------------------------------------------------------------------------------------
async def test_more_than_may_wait_are_told_to_come_back() -> None:
    spoken_by = voice(ScriptProgram(FOREVER), at_once=1, waiting=0)
    first = spoken_by.speak("oi", VoiceOptions(), CallOptions())
    async with aclosing(first):
        await anext(first)
        assert (await refusal(spoken_by)).kind.code == "busy"
    second = spoken_by.speak("oi", VoiceOptions(), CallOptions())
    async with aclosing(second):
        assert await anext(second)


async def test_who_waits_past_the_deadline_is_told_so_and_the_next_is_served() -> None:
    spoken_by = voice(ScriptProgram(FOREVER), at_once=1)
    first = spoken_by.speak("oi", VoiceOptions(), CallOptions())
    async with aclosing(first):
        await anext(first)
        late = spoken_by.speak("oi", VoiceOptions(), CallOptions(deadline_s=0.2))
        with pytest.raises(ProntuarioError, match="busy"):
            await anext(late)
    second = spoken_by.speak("oi", VoiceOptions(), CallOptions())
    async with aclosing(second):
        assert await anext(second)


@pytest.mark.parametrize("text", ["", "  \n", "...", "—", "x" * (MOST_CHARACTERS + 1)])
async def test_what_can_not_be_said_is_refused(text: str) -> None:
    error = await refusal(voice(ScriptProgram(FOREVER)), text)
    assert (error.kind.code, error.field) == ("invalid", "input")


async def test_an_unknown_voice_is_refused_by_name() -> None:
    error = await refusal(voice(ScriptProgram(FOREVER)), voice="alguém")
    assert (error.field, error.details["reason"]) == ("voice", "one of only")


# -- the plugin ----------------------------------------------------------------------------------------------------------
def context(folder: Path) -> PluginContext:
    return PluginContext("speech_out", VoiceConfig(), folder / "data", folder / "models")


async def test_without_a_program_it_says_what_to_install(tmp_path: Path) -> None:
    plugin = SpeechOutPlugin([SayProgram(platform="linux"), EspeakProgram("no-such-espeak")])
    (check,) = plugin.register_health_checks(context(tmp_path))
    health = await check.check()
    assert (health.status, health.message) == ("not_configured", "espeak-ng is not installed")
    assert "espeak-ng" in health.advice_pt
    assert plugin.register_providers(context(tmp_path)) == []


async def test_a_program_that_is_gone_while_the_node_runs_is_no_voice() -> None:
    gone = voice(EspeakProgram("no-such-espeak"))
    assert (gone.model().ready, gone.voices()) == (False, [])
    with pytest.raises(ProntuarioError, match="not installed"):
        await said(gone)


async def test_with_a_program_it_is_well(tmp_path: Path) -> None:
    plugin = SpeechOutPlugin([SayProgram(platform="linux"), ScriptProgram(FOREVER)])
    (check,) = plugin.register_health_checks(context(tmp_path))
    assert ((await check.check()).status, (await check.check()).message) == ("ok", "script speaks")
    (provider,) = plugin.register_providers(context(tmp_path))
    assert isinstance(provider.instance, CAPABILITIES[provider.capability])


def test_a_mac_without_pyobjc_speaks_with_say() -> None:
    pick = [AvSpeechProgram(find=lambda _name: None, platform="darwin"), SayProgram(platform="darwin"), EspeakProgram()]
    assert Voice(pick, VoiceConfig()).model().id == "say"
    whole = [AvSpeechProgram(find=lambda _name: object(), platform="darwin"), *pick[1:]]
    assert Voice(whole, VoiceConfig()).model().id == "avspeech"
    missing = pick[0].missing()
    assert missing is not None
    assert "pyobjc" in missing.message


@pytest.mark.parametrize("settings", [{"unknown": 1}, {"words_per_minute": 10}, {"at_once": 0}, {"stall_s": 0}])
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, SpeechOutPlugin().config_schema())


# -- resampling ----------------------------------------------------------------------------------------------------------
def tone(rate_hz: int, hertz: float, seconds: float = 1.0) -> bytes:
    places = np.arange(int(rate_hz * seconds)) / rate_hz
    return (10_000 * np.sin(2 * np.pi * hertz * places)).astype("<i2").tobytes()


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 44_100])
@pytest.mark.parametrize("block", [2, 1002, 100_000])
def test_a_tone_stays_the_same_tone_however_it_is_cut(rate_hz: int, block: int) -> None:
    sound = tone(rate_hz, 440, 0.05 if block == 2 else 1.0)
    resampler = Resampler(rate_hz, VOICE_RATE_HZ)
    made = b"".join(resampler.feed(sound[at : at + block]) for at in range(0, len(sound), block)) + resampler.flush()
    expected = np.frombuffer(tone(VOICE_RATE_HZ, 440, len(sound) / 2 / rate_hz), "<i2").astype(float)
    heard = np.frombuffer(made, "<i2").astype(float)
    assert abs(len(heard) - len(expected)) <= 2
    middle = slice(100, min(len(heard), len(expected)) - 100)
    assert np.abs(heard[middle] - expected[middle]).max() < 60


def test_what_is_too_high_for_the_new_rate_does_not_come_back_lower() -> None:
    resampler = Resampler(44_100, VOICE_RATE_HZ)
    heard = np.frombuffer(resampler.feed(tone(44_100, 18_000)), "<i2")[200:-200]
    assert np.abs(heard.astype(int)).max() < 200


@pytest.mark.parametrize("rate_hz", [0, -1, 2_000_000])
def test_a_rate_that_no_sound_has_is_refused(rate_hz: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        Resampler(rate_hz, VOICE_RATE_HZ)


class Heard(io.BytesIO):
    """Standard output that looks at what lies in ``folder`` whenever sound comes."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.there = folder, list[Path]()

    def write(self, sound: Any) -> int:
        self.there += self.folder.iterdir()
        return super().write(sound)


def test_nothing_of_a_note_lies_on_the_disk_once_it_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops listening kills the helper, and with it whatever would still clear away."""
    scratch, note = tmp_path / "scratch", tmp_path / "note.txt"
    (scratch / f"{mac_say.PREFIX}99999999-killed").mkdir(parents=True)
    (scratch / f"{mac_say.PREFIX}{os.getpid()}-runs").mkdir()
    note.write_text("febre")
    heard = Heard(scratch)
    with monkeypatch.context() as patched, note.open("rb") as text:
        patched.setattr(tempfile, "tempdir", str(scratch))
        patched.setattr(sys, "stdin", SimpleNamespace(buffer=text))
        patched.setattr(sys, "stdout", SimpleNamespace(buffer=heard))
        status = mac_say.main("165", fake_say(tmp_path))
    assert (status, heard.getvalue()[:4]) == (0, b"RIFF")
    assert {path.name for path in heard.there} == {f"{mac_say.PREFIX}{os.getpid()}-runs"}


def test_the_fake_say_writes_what_a_wave_reader_reads(tmp_path: Path) -> None:
    """The stand-in keeps ``say``'s form: mono, 16 bits, 22 050 Hz."""
    python_with_say(tmp_path)
    assert os.access(tmp_path / "say", os.X_OK)
    assert (tmp_path / "say").stat().st_mode & stat.S_IXUSR
    target = tmp_path / "x.wav"
    arguments = ["-v", "Luciana", "-r", "165", "-o", str(target), "-f", "-"]
    subprocess.run([str(tmp_path / "say"), *arguments], input=b"oi", check=True)
    with wave.open(str(target)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
