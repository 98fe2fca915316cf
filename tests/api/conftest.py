"""Core API tests run on uvloop, as production does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import uvloop

ON_UVLOOP = ("test_core_", "test_attacks_", "test_authorisation_")


@pytest.hookimpl
def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    core = item.path.name.startswith(ON_UVLOOP)
    return {"uvloop": uvloop.new_event_loop} if core else {"asyncio": asyncio.new_event_loop}
