"""Stand-ins for Apple's Vision, Foundation and Quartz: they "see" what tesseract sees, in Vision's own shapes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from plugins.document_reader.recognisers import Seen, Tesseract, recognised


class FakeFoundation:
    class NSData:
        @staticmethod
        def dataWithBytes_length_(data: bytes, length: int) -> bytes:  # noqa: N802  Apple's name
            assert len(data) == length
            return data


class FakeQuartz:
    @staticmethod
    def CGImageSourceCreateWithData(data: bytes, _options: None) -> bytes:  # noqa: N802  Apple's name
        return data

    @staticmethod
    def CGImageSourceCreateImageAtIndex(data: bytes, _index: int, _options: None) -> Any:  # noqa: N802  Apple's name
        try:
            size = Image.open(io.BytesIO(data)).size
        except OSError:
            return None
        return SimpleNamespace(data=data, size=size)

    @staticmethod
    def CGImageGetWidth(image: Any) -> int:  # noqa: N802  Apple's name
        return int(image.size[0])

    @staticmethod
    def CGImageGetHeight(image: Any) -> int:  # noqa: N802  Apple's name
        return int(image.size[1])


class _Box:
    """Vision's: shares of the picture, from its lower left corner."""

    def __init__(self, words: list[Seen], size: tuple[int, int]) -> None:
        left, top = min(word.left for word in words), min(word.top for word in words)
        right = max(word.left + word.width for word in words)
        bottom = max(word.top + word.height for word in words)
        self.origin = SimpleNamespace(x=left / size[0], y=1.0 - bottom / size[1])
        self.size = SimpleNamespace(width=(right - left) / size[0], height=(bottom - top) / size[1])


class _Line:
    def __init__(self, words: list[Seen], size: tuple[int, int]) -> None:
        self._words, self._size = words, size

    def topCandidates_(self, _most: int) -> list[Any]:  # noqa: N802  Apple's name
        return [self] if self._words else []

    def string(self) -> str:
        return " ".join(word.text for word in self._words)

    def confidence(self) -> float:
        return min(word.confidence for word in self._words)

    def boundingBox(self) -> _Box:  # noqa: N802  Apple's name
        return _Box(self._words, self._size)

    def boundingBoxForRange_error_(self, span: tuple[int, int], _error: None) -> tuple[Any, None]:  # noqa: N802  Apple's name
        place = 0
        for word in self._words:
            if place == span[0]:
                assert span[1] == len(word.text)
                return _Line([word], self._size), None
            place += len(word.text) + 1
        return None, None


class _Request:
    """VNRecognizeTextRequest."""

    made: list[_Request] = []  # noqa: RUF012  what tests look at

    def __init__(self) -> None:
        self.level, self.languages, self.corrects = -1, [""], True
        self.found: list[_Line] = []

    @classmethod
    def alloc(cls) -> type[_Request]:
        return cls

    @classmethod
    def init(cls) -> _Request:
        cls.made.append(cls())
        return cls.made[-1]

    def setRecognitionLevel_(self, level: int) -> None:  # noqa: N802  Apple's name
        self.level = level

    def setRecognitionLanguages_(self, languages: list[str]) -> None:  # noqa: N802  Apple's name
        self.languages = languages

    def setUsesLanguageCorrection_(self, corrects: bool) -> None:  # noqa: N802  Apple's name
        self.corrects = corrects

    def results(self) -> list[_Line]:
        return self.found


class _Handler:
    image: Any = None

    @classmethod
    def alloc(cls) -> type[_Handler]:
        return cls

    @classmethod
    def initWithCGImage_options_(cls, image: Any, _options: dict[str, Any]) -> type[_Handler]:  # noqa: N802  Apple's name
        cls.image = image
        return cls

    @classmethod
    def performRequests_error_(cls, requests: list[_Request], _error: None) -> tuple[bool, None]:  # noqa: N802  Apple's name
        words = recognised(Tesseract().command(), cls.image.data, 100.0)
        rows: list[list[Seen]] = []
        for word in words:
            if rows and word.left > rows[-1][-1].left:
                rows[-1].append(word)
            else:
                rows.append([word])
        requests[0].found = [_Line(row, cls.image.size) for row in rows]
        return True, None


class FakeVision:
    VNRecognizeTextRequest = _Request
    VNImageRequestHandler = _Handler


LAUNCHER = """
import runpy, sys
sys.path[:0] = {paths!r}
from tests.plugins.document_reader.vision import FakeFoundation, FakeQuartz, FakeVision
sys.modules.update(Vision=FakeVision, Foundation=FakeFoundation, Quartz=FakeQuartz)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def python_with_fakes(folder: Path) -> list[str]:
    """A Python in which the helper finds Vision, Foundation and Quartz."""
    launcher = folder / "launcher.py"
    launcher.write_text(LAUNCHER.format(paths=[str(Path(__file__).parents[3])]))
    return [sys.executable, "-I", str(launcher)]


def helper_alone(python: list[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    """The helper as it is started, with ``data`` on its standard input."""
    from plugins.document_reader.recognisers import AppleVision

    command = AppleVision(platform="darwin", python=python, find=lambda _name: True).command()
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=100)
