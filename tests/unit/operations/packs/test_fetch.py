"""``prontuario models fetch`` as a child process against a hub on loopback: the hub's address is read when its client is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.operations.packs.signing import make_pack
from tests.fakes import packs
from tests.fakes.model_hub import COMMIT, GATED, ModelHub, model_hub

TINY = "casa/tiny"
COOKED = "casa/so-pickle"


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ModelHub]:
    tiny = files_of(packs.write_model(tmp_path / "source", side=64))
    tiny["pytorch_model.bin"] = b"\x80\x02cposix\nsystem\n."
    with model_hub({TINY: tiny, GATED: tiny, COOKED: {"config.json": b"{}", "model.pt": b"\x80\x02."}}) as made:
        yield made


def run(endpoint: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(home / "hub")}
    command = [sys.executable, "-m", "appliance.daemon", "models", "fetch", f"--home={home}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, check=False)


def test_a_model_is_fetched_as_the_hub_has_it_without_what_no_pack_takes(hub: ModelHub, tmp_path: Path) -> None:
    to = tmp_path / "tiny"
    done = run(hub.url, TINY, "--to", str(to), "--json", home=tmp_path / "none")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["commit"], told["left"]) == (COMMIT, [".gitattributes", "pytorch_model.bin"])
    expected = {name: body for name, body in hub.models[TINY].items() if name not in told["left"]}
    assert files_of(to) == expected
    assert told["size"] == sum(map(len, expected.values()))
    made = make_pack(  # as it lies there
        to,
        packs.MAKER,
        name="tiny",
        version=1,
        capability="chat_model",
        licence="MIT",
        intended_use="test",
        footprint_bytes=1,
    )
    assert len(made.files) == len(expected)


def test_a_broken_line_is_survived_and_what_is_there_is_not_fetched_again(hub: ModelHub, tmp_path: Path) -> None:
    to, hub.break_after = tmp_path / "tiny", 10_000
    for _ in range(2):
        done = run(hub.url, TINY, "--to", str(to), home=tmp_path / "none")
        if done.returncode == 0:
            break
        assert "(pack.fetch_hub)" in done.stderr
    assert done.returncode == 0, done.stderr
    assert hub.break_after is None
    there = files_of(to)
    assert there == {name: hub.models[TINY][name] for name in there}
    missing = "model-00002-of-00002.safetensors"
    (to / missing).unlink()
    hub.served.clear()
    assert run(hub.url, TINY, "--to", str(to), home=tmp_path / "none").returncode == 0
    assert files_of(to) == there
    assert {name for name, _ in hub.served} == {missing}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("casa/nenhum", "pack.fetch_not_found"),
        (GATED, "pack.fetch_gated"),
        (COOKED, "pack.pickle"),
        ("?", "pack.fetch_not_found"),
    ],
)
def test_what_can_not_be_fetched_says_why(hub: ModelHub, tmp_path: Path, name: str, code: str) -> None:
    done = run(hub.url, name, "--to", str(tmp_path / "x"), home=tmp_path / "none")
    assert done.returncode == 1
    assert f"({code})" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_hub_the_answer_is_a_sentence(hub: ModelHub, tmp_path: Path) -> None:
    hub.server_close()
    done = run(hub.url, TINY, "--to", str(tmp_path / "x"), home=tmp_path / "none")
    assert done.returncode == 1
    assert "(pack.fetch_hub)" in done.stderr


def test_an_appliance_refuses_and_asks_nobody(hub: ModelHub, tmp_path: Path) -> None:
    (tmp_path / "prontuario.toml").write_text("")
    done = run(hub.url, TINY, "--to", str(tmp_path / "x"), home=tmp_path)
    assert done.returncode == 1
    assert "nothing leaves the building" in done.stderr
    assert not (tmp_path / "x").exists()
    assert hub.served == []
