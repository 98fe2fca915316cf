"""The programs that can speak, behind one shape: text on standard input (UTF-8), a WAV stream on standard output.

Text never stands in an argument: a process list shows arguments to everybody on the machine. espeak-ng is GPL and is only
ever a process of its own, never linked or shipped.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

_HERE: Final = Path(__file__).parent
_FASTEST: Final = 450
"""espeak-ng's range is 80 to 450 words a minute (its manual page, -s)."""
_SLOWEST: Final = 80


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a program can't speak here, and what to do, in both languages."""

    message: str
    advice: str
    message_pt: str
    advice_pt: str


class Program(Protocol):
    """One way to speak."""

    @property
    def name(self) -> str: ...

    def missing(self) -> Missing | None:
        """None when it can be used on this machine."""
        ...

    def voices(self) -> Sequence[str]:
        """Its voices for Brazilian Portuguese, best first."""
        ...

    def command(self, voice: str, words_per_minute: float) -> Sequence[str]:
        """The argument vector; without the text."""
        ...


class EspeakProgram:
    """espeak-ng, a formant synthesiser: first sound after some ten milliseconds."""

    name = "espeak-ng"
    _VOICES: Final = {"masculina": "pt-br", "feminina": "pt-br+f3"}

    def __init__(self, program: str = "espeak-ng") -> None:
        self._program = program

    def missing(self) -> Missing | None:
        if shutil.which(self._program) is not None:
            return None
        return Missing(
            "espeak-ng is not installed",
            "install it (Debian: apt-get install espeak-ng) and restart the node",
            "o espeak-ng não está instalado",
            "instale-o (Debian: apt-get install espeak-ng) e reinicie o nó",
        )

    def voices(self) -> Sequence[str]:
        return list(self._VOICES)

    def command(self, voice: str, words_per_minute: float) -> Sequence[str]:
        pace = round(min(max(words_per_minute, _SLOWEST), _FASTEST))
        utf8 = ("-b", "1")
        return [self._program, "-v", self._VOICES[voice], "-s", str(pace), *utf8, "--stdin", "--stdout"]


class _MacProgram:
    """What both ways on a Mac share: a helper of ours in a Python of its own, and macOS's Brazilian voice."""

    name = ""
    helper = ""

    def __init__(self, *, platform: str = sys.platform, python: Sequence[str] = (sys.executable, "-I")) -> None:
        self._platform = platform
        self._python = list(python)

    def voices(self) -> Sequence[str]:
        return ["feminina"]

    def missing(self) -> Missing | None:
        if self._platform == "darwin":
            return None
        here = f"{self.name} needs macOS"
        return Missing(here, "use espeak-ng", f"{self.name} precisa do macOS", "use o espeak-ng")

    def command(self, voice: str, words_per_minute: float) -> Sequence[str]:
        del voice
        return [*self._python, str(_HERE / self.helper), f"{words_per_minute:.0f}"]


class AvSpeechProgram(_MacProgram):
    """AVSpeechSynthesizer through pyobjc, in a helper with a run loop of its own; it streams."""

    name = "avspeech"
    helper = "mac_avspeech.py"

    def __init__(self, find: Callable[[str], object] = importlib.util.find_spec, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._find = find

    def missing(self) -> Missing | None:
        elsewhere = super().missing()
        if elsewhere is not None or self._find("AVFoundation") is not None:
            return elsewhere
        return Missing(
            "pyobjc's AVFoundation is not installed",
            "install pyobjc-framework-AVFoundation, or let say speak",
            "o AVFoundation do pyobjc não está instalado",
            "instale pyobjc-framework-AVFoundation, ou deixe o say falar",
        )


class SayProgram(_MacProgram):
    """macOS's ``say``: it can only write files, so the first sound comes when all of it is spoken."""

    name = "say"
    helper = "mac_say.py"


def standard_programs() -> tuple[Program, ...]:
    """What a machine may offer, best first."""
    return (AvSpeechProgram(), SayProgram(), EspeakProgram())
