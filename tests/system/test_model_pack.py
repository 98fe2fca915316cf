"""An installed model pack takes the demonstration's place at the next start, and the labels go with it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.config.model import Paths
from plugins.medgemma_chat.plugin import DEMONSTRATION
from tests.conftest import command, http_client, start_node, stop_node, wait_ready

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.xdist_group("node")]


def models_of(home: Path) -> dict[str, dict[str, Any]]:
    """Start a node on this home, ask it for its models, stop it: capability → model."""
    process = start_node(home, "--no-admin")
    try:
        wait_ready(process, home.parent / "home.stderr")
        out = home.parent / "ana.json"
        command("client", "enrol", "--home", str(home), "--user", "dra.ana", "--role", "physician", "--out", str(out))
        with http_client(json.loads(out.read_text())) as http:
            for _ in range(600):
                models = {model["capability"]: model for model in http.get("/v1/models").json()["data"]}
                if all(model["ready"] for model in models.values()):
                    return models
                time.sleep(0.2)
            pytest.fail(f"not ready: {models}")
    finally:
        assert stop_node(process) == 0


def test_a_pack_in_its_place_replaces_the_demonstration_and_the_other_stays_labelled(tmp_path: Path) -> None:
    home = tmp_path / "home"
    # The weights of the demonstration serve as a pack here: to the appliance a pack is a folder in the right place.
    pack = Paths(home).models / "chat_model" / "active"
    shutil.copytree(DEMONSTRATION, pack)
    models = models_of(home)
    assert models["chat_model"]["demonstration_model"] is False
    assert not models["chat_model"]["id"].startswith("demonstration-")
    assert models["speech_to_text"]["demonstration_model"] is True
    log = (home / "logs" / "core.log").read_text() if (home / "logs" / "core.log").exists() else ""
    log += (tmp_path / "home.stderr").read_text()
    assert "speech: demonstration model in use" in log
    assert "chat: demonstration model in use" not in log
