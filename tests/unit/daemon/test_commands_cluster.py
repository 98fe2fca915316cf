"""What root would write into a home that is the node's own: refused, with the command that does it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.daemon.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ("readmit", "b"),
        ("rejoin", "--voters", "b=https://10.0.0.12:2380"),
        ("join", "--first", "10.0.0.11:8446", "--code", "x"),
        ("init", "--address", "10.0.0.11", "--peer-address", "10.0.0.12"),
    ],
)
def test_root_is_sent_to_the_node_s_own_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 54_321, 54_321)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = CliRunner().invoke(main, ["cluster", *words, "--home", str(tmp_path)])
    assert told.exit_code == 1
    assert f"sudo -u '#{tmp_path.stat().st_uid}' prontuario" in told.output
    assert list(tmp_path.iterdir()) == []
