"""Stand-ins for what only a Mac has: ``say`` as a program, AVFoundation and Foundation as modules. They sing instead of speaking."""

from __future__ import annotations

import array
import math
import os
import stat
import sys
from pathlib import Path
from typing import Any

SAY = """#!{python}
import array, math, sys, wave
arguments = sys.argv[1:]
assert arguments[:2] == ["-v", "Luciana"], arguments
assert arguments[-2:] == ["-f", "-"], arguments
target = arguments[arguments.index("-o") + 1]
text = sys.stdin.buffer.read().decode()
count = 2000 * len(text)
with wave.open(target, "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(22050)
    file.writeframes(array.array("h", (int(8000 * math.sin(i / 8)) for i in range(count))).tobytes())
"""
AVFOUNDATION = (
    "from tests.plugins.speech_out.programs import FakeAvFoundation as _fake\nglobals().update(vars(_fake))\n"
)


def fake_say(folder: Path) -> str:
    """A program that writes a WAV file as ``say -o`` does."""
    program = folder / "say"
    program.write_text(SAY.replace("{python}", sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


class Buffer:
    """An AVAudioPCMBuffer: ``floats`` or 16-bit samples at 22 050 Hz."""

    def __init__(self, samples: list[float], *, floats: bool) -> None:
        self._samples, self._floats = samples, floats

    def frameLength(self) -> int:  # noqa: N802  Apple's name
        return len(self._samples)

    def format(self) -> Any:
        return self

    def sampleRate(self) -> float:  # noqa: N802  Apple's name
        return 22050.0

    def int16ChannelData(self) -> Any:  # noqa: N802  Apple's name
        made = array.array("h", (int(sample * 32767) for sample in self._samples))
        return None if self._floats else [_Channel(made)]

    def floatChannelData(self) -> Any:  # noqa: N802  Apple's name
        return [_Channel(array.array("f", self._samples))]


class _Channel:
    def __init__(self, samples: array.array[Any]) -> None:
        self._samples = samples

    def as_buffer(self, count: int) -> memoryview:
        return memoryview(self._samples[:count])


class _Utterance:
    def __init__(self, text: str) -> None:
        self.text, self.voice, self.rate = text, "", 0.0

    @classmethod
    def speechUtteranceWithString_(cls, text: str) -> _Utterance:  # noqa: N802  Apple's name
        return cls(text)

    def setVoice_(self, voice: str) -> None:  # noqa: N802  Apple's name
        self.voice = voice

    def setRate_(self, rate: float) -> None:  # noqa: N802  Apple's name
        self.rate = rate


class _VoiceOf:
    @staticmethod
    def voiceWithLanguage_(language: str) -> str:  # noqa: N802  Apple's name
        return language


class _Synthesiser:
    """Gives its buffers from the run loop, as Apple's does, and an empty one at the end."""

    said: list[_Utterance] = []  # noqa: RUF012  what tests look at
    waiting: list[tuple[Any, Any]] = []  # noqa: RUF012  served by the run loop

    @classmethod
    def alloc(cls) -> type[_Synthesiser]:
        return cls

    @classmethod
    def init(cls) -> type[_Synthesiser]:
        return cls

    @classmethod
    def writeUtterance_toBufferCallback_(cls, utterance: _Utterance, take: Any) -> None:  # noqa: N802  Apple's name
        cls.said.append(utterance)
        tone = [0.25 * math.sin(i / 8) for i in range(2000)]
        floats = os.environ.get("LANG", "") != "int16"
        cls.waiting += [(take, Buffer(tone, floats=floats))] * len(utterance.text)
        cls.waiting.append((take, Buffer([], floats=floats)))


class FakeAvFoundation:
    """The module's names."""

    AVSpeechUtterance = _Utterance
    AVSpeechSynthesisVoice = _VoiceOf
    AVSpeechSynthesizer = _Synthesiser
    AVSpeechUtteranceDefaultSpeechRate = 0.5


class _Loop:
    @staticmethod
    def currentRunLoop() -> type[_Loop]:  # noqa: N802  Apple's name
        return _Loop

    @staticmethod
    def runMode_beforeDate_(_mode: str, _until: float) -> None:  # noqa: N802  Apple's name
        if _Synthesiser.waiting:
            take, buffer = _Synthesiser.waiting.pop(0)
            take(buffer)


class _Date:
    @staticmethod
    def dateWithTimeIntervalSinceNow_(seconds: float) -> float:  # noqa: N802  Apple's name
        return seconds


class FakeFoundation:
    """The module's names."""

    NSRunLoop = _Loop
    NSDate = _Date
    NSDefaultRunLoopMode = "default"


LAUNCHER = """
import runpy, sys
sys.path.insert(0, {root!r})
from tests.plugins.speech_out.programs import FakeAvFoundation, FakeFoundation
sys.modules["AVFoundation"], sys.modules["Foundation"] = FakeAvFoundation, FakeFoundation
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def python_with_fakes(folder: Path) -> list[str]:
    """A Python in which the helper finds AVFoundation and Foundation."""
    launcher = folder / "launcher.py"
    launcher.write_text(LAUNCHER.format(root=str(Path(__file__).parents[3])))
    return [sys.executable, "-I", str(launcher)]


def python_with_say(folder: Path) -> list[str]:
    """A Python whose PATH begins with the fake ``say``."""
    fake_say(folder)
    return ["/usr/bin/env", f"PATH={folder}:{os.environ['PATH']}", sys.executable, "-I"]
