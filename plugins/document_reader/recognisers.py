"""The programs that read a picture of text, behind one shape: a picture (PGM) on standard input, words on standard output.

tesseract is Apache-2.0; it is a program of the machine all the same, started as a process and killed when it takes too long.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

_HERE: Final = Path(__file__).parent
_WORD_LEVEL: Final = "5"
_PASSED_ON: Final = ("PATH", "HOME", "TMPDIR", "TESSDATA_PREFIX")


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One recognised word; places in pixels from the upper left corner, ``confidence`` 0 to 1."""

    text: str
    left: float
    top: float
    width: float
    height: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a recogniser can't be used here, and what to do, in both languages."""

    message: str
    advice: str
    message_pt: str
    advice_pt: str


class Recogniser(Protocol):
    """One way to read a picture."""

    @property
    def name(self) -> str: ...

    def missing(self) -> Missing | None:
        """None when it can be used on this machine."""
        ...

    def command(self) -> Sequence[str]:
        """The argument vector; the picture goes to its standard input."""
        ...


class Tesseract:
    """tesseract with its Portuguese model; words as TSV. One block of text of many sizes (``--psm 4``): tables keep their rows."""

    name = "tesseract"

    def __init__(self, program: str = "tesseract", language: str = "por") -> None:
        self._program, self._language = program, language

    def missing(self) -> Missing | None:
        program = shutil.which(self._program)
        if program is None:
            return Missing(
                f"{self._program} is not installed",
                "install tesseract with the language “por”",
                f"{self._program} não está instalado",
                "instale tesseract com o idioma “por”",
            )
        asked = [program, "--list-langs"]
        known = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
        if self._language in known.stdout.split():
            return None
        return Missing(
            f"tesseract lacks the language “{self._language}”",
            "install tesseract-ocr-por",
            f"falta ao tesseract o idioma “{self._language}”",
            "instale tesseract-ocr-por",
        )

    def command(self) -> Sequence[str]:
        quiet = ["-c", "debug_file=/dev/null"]
        return [self._program, "stdin", "stdout", "-l", self._language, "--psm", "4", "--dpi", "200", *quiet, "tsv"]


class AppleVision:
    """macOS's text recognition, in a helper process over pyobjc; words as JSON."""

    name = "vision"

    def __init__(
        self,
        *,
        platform: str = sys.platform,
        python: Sequence[str] = (sys.executable, "-I"),
        find: Callable[[str], object] = importlib.util.find_spec,
    ) -> None:
        self._platform, self._python, self._find = platform, list(python), find

    def missing(self) -> Missing | None:
        if self._platform != "darwin":
            return Missing("Vision is only on macOS", "use tesseract", "o Vision só existe no macOS", "use o tesseract")
        if self._find("Vision") is not None:
            return None
        return Missing(
            "pyobjc's Vision is not installed",
            "install pyobjc-framework-Vision, or tesseract",
            "o Vision do pyobjc não está instalado",
            "instale pyobjc-framework-Vision, ou o tesseract",
        )

    def command(self) -> Sequence[str]:
        return [*self._python, str(_HERE / "mac_vision.py")]


def standard_recognisers() -> tuple[Recogniser, ...]:
    """What a machine may have, best first."""
    return (AppleVision(), Tesseract())


class RecogniserFailedError(Exception):
    """The program ended badly, took too long, or answered nonsense; the text says which."""


def recognised(command: Sequence[str], picture: bytes, limit_s: float) -> list[Seen]:
    """The words on ``picture`` (PGM), as the program orders them. Blocks; the program is killed after ``limit_s`` seconds.

    Raises:
        RecogniserFailedError: see there.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["OMP_THREAD_LIMIT"] = "1"  # pages of several people share the machine; more threads only spin
    try:
        done = subprocess.run(
            command, input=picture, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RecogniserFailedError("too slow") from error
    except OSError as error:
        raise RecogniserFailedError("not installed") from error
    if done.returncode != 0:
        raise RecogniserFailedError("ended badly")
    try:
        text = done.stdout.decode()
        return msgspec.json.decode(text, type=list[Seen]) if text.startswith("[") else _from_tsv(text)
    except (ValueError, KeyError, csv.Error, msgspec.MsgspecError) as error:
        raise RecogniserFailedError("not an answer") from error


def _from_tsv(text: str) -> list[Seen]:
    """Tesseract's TSV: ``level … left top width height conf text``; only words, and only where there is something to see."""
    rows = csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [
        Seen(
            row["text"].strip(), float(row["left"]), float(row["top"]), float(row["width"]), float(row["height"]),
            min(max(float(row["conf"]) / 100.0, 0.0), 1.0),
        )
        for row in rows
        if row["level"] == _WORD_LEVEL and row["text"] and row["text"].strip()
    ]  # fmt: skip
