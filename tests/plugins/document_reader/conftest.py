from __future__ import annotations

import shutil
from collections.abc import Callable

import msgspec
import psutil
import pytest

from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import Tesseract

NEEDS_TESSERACT = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
Children = Callable[[], list[psutil.Process]]


def reader(**config: object) -> Reader:
    made = Reader([Tesseract()], msgspec.convert(config, ReaderConfig))
    made.missing()
    return made


@pytest.fixture
def children() -> Children:
    """Tells the processes begun since the test began: a node that other tests share may run below this process too."""
    me = psutil.Process()
    before = set(me.children(recursive=True))

    def begun() -> list[psutil.Process]:
        now = set(me.children(recursive=True)) - before
        return [child for child in now if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    return begun
