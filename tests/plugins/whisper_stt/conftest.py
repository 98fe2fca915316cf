"""Checkpoints and engines for the speech tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugins.whisper_stt.engine import WhisperEngine
from tests.checkpoints.whisper import make_tiny_whisper


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_whisper(tmp_path_factory.mktemp("tiny-whisper"))


@pytest.fixture(scope="session")
def tiny_config(tiny_whisper: Path) -> dict[str, Any]:
    return {
        "folder": str(tiny_whisper),
        "demonstration": False,
        "batch_size": 4,
        "no_speech_threshold": 0.6,
        "precision": "auto",
    }


@pytest.fixture
def engine(tiny_config: dict[str, Any]) -> WhisperEngine:
    made = WhisperEngine()
    made.load(tiny_config)
    return made
