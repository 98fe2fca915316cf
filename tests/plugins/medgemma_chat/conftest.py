"""Checkpoints and engines for the chat tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugins.medgemma_chat.engine import ChatEngine
from tests.checkpoints.gemma import make_tiny_gemma


@pytest.fixture(scope="session")
def tiny_gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gemma(tmp_path_factory.mktemp("tiny-gemma"))


@pytest.fixture(scope="session")
def tiny_config(tiny_gemma: Path) -> dict[str, Any]:
    return {
        "folder": str(tiny_gemma),
        "demonstration": False,
        "batch_size": 8,
        "context_tokens": 400,
        "prefill_step_tokens": 32,
        "precision": "auto",
    }


@pytest.fixture
def engine(tiny_config: dict[str, Any]) -> ChatEngine:
    made = ChatEngine()
    made.load(tiny_config)
    return made
