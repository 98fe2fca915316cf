"""Drills of a real node by command: made, told in the history, fetched as a PDF, and checked without the node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunningNode, command

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


def test_a_lone_node_rehearses_what_it_can_and_never_claims_the_rest(running_node: RunningNode, tmp_path: Path) -> None:
    home, pdf = str(running_node.home), tmp_path / "report.pdf"
    told = json.loads(command("drill", "run", "simulation", "--home", home, "--json").stdout)
    assert (told["outcome"], told["rpo_writes"], told["watched_writes"]) == ("incomplete", 0, 10), told
    assert told["why_pt"] == "Não configurado: este nó trabalha sozinho."
    command("drill", "report", told["id"], "--home", home, "--to", str(pdf))
    nowhere = str(tmp_path / "nowhere")
    verdict = json.loads(
        command("drill", "verify", str(pdf), "--home", nowhere, "--ca", str(running_node.ca), "--json").stdout
    )
    assert (verdict["ok"], verdict["trusted"]) == (True, True)
    steps = {step["name"]: step["outcome"] for step in verdict["facts"]["steps"]}
    assert steps == {"note": "passed", "restore": "passed", "handover": "not_configured", "cleaning": "passed"}
    listed = command("drill", "list", "--home", home).stdout
    assert told["ended_at"] in listed
    refused = command("drill", "run", "walk", "--home", home, check=False)
    assert (refused.returncode, "There is no drill walk" in refused.stderr) == (1, True)
