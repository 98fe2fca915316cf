"""A real node with real checkpoints: packs come and go while fifty people's questions are being answered."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import mlx.core as mx
import pytest

from appliance.config.model import Paths
from appliance.daemon.control import ask
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from tests.checkpoints.gemma import make_tiny_gemma
from tests.conftest import command, http_client, start_node, stop_node, wait_ready
from tests.fakes import packs

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.xdist_group("node")]
REQUESTS = 50
TINY = (
    'disabled_plugins = ["whisper_stt"]\n[plugins.medgemma_chat]\ncontext_tokens = 256\nbatch_size = 8\nkv_mib = 64\n'
)


def pack(home: Path, version: int, *, broken: bool = False) -> str:
    """Install a version of the tiny model; a broken one is whole, signed, and computes nothing but NaN."""
    folder = make_tiny_gemma(home.parent / f"gemma-{version}", seed=version)
    if broken:
        weights = mx.load(str(folder / "model.safetensors"))
        assert isinstance(weights, dict)
        spoiled = {name: mx.full(value.shape, mx.nan) for name, value in weights.items()}
        mx.save_safetensors(str(folder / "model.safetensors"), spoiled, {"format": "mlx"})
    packs.sign_model(folder, name="gemma", version=version)
    return Intake(Shelf(Paths(home).models, Paths(home).pack_keys)).take_in(folder).pack


def chat_model(http: httpx.Client) -> dict[str, Any]:
    (model,) = [row for row in http.get("/v1/models").json()["data"] if row["capability"] == "chat_model"]
    return dict(model)


class Crowd:
    """``REQUESTS`` people who ask again as soon as they are answered, for as long as the ``with`` block lasts."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._pool = ThreadPoolExecutor(REQUESTS)
        self._leave = threading.Event()
        self._busy: list[Future[None]] = []
        self.answers: list[tuple[int, str]] = []
        """(status, model) of every question that was asked."""

    def __enter__(self) -> Self:
        self._busy = [self._pool.submit(self._ask, number) for number in range(REQUESTS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._pool.shutdown()
        for one in self._busy:
            one.result()

    def _ask(self, number: int) -> None:
        while not self._leave.is_set():
            messages = [{"role": "user", "content": f"tosse {number}"}]
            question = {"model": "default", "messages": messages, "max_tokens": 8}
            reply = self._http.post("/v1/chat/completions", json=question, timeout=120)
            self.answers.append((reply.status_code, reply.json().get("model", reply.text)))

    def wait_for(self, model: str, count: int = 1) -> None:
        deadline = time.monotonic() + 120
        while [name for _, name in self.answers].count(model) < count:
            assert time.monotonic() < deadline, self.answers[-3:]
            time.sleep(0.02)


def tell(home: Path, verb: str, **arguments: str) -> dict[str, Any]:
    """What ``prontuario models`` asks of the node."""
    return asyncio.run(ask(Paths(home).socket("control"), f"models.{verb}", **arguments))


def test_a_failed_activation_rolls_back_by_itself_and_a_good_one_takes_over_while_fifty_requests_run(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "prontuario.toml").write_text(TINY)
    packs.write_trusted(Paths(home).pack_keys)
    first, bad, good = pack(home, 1), pack(home, 2, broken=True), pack(home, 3)
    process = start_node(home, "--no-admin")
    try:
        wait_ready(process, tmp_path / "home.stderr")
        assert tell(home, "activate", pack=first)["pack"] == first
        client = tmp_path / "ana.json"
        command(
            "client", "enrol", "--home", str(home), "--user", "dra.ana", "--role", "physician", "--out", str(client)
        )
        limits = httpx.Limits(max_connections=REQUESTS)
        with http_client(json.loads(client.read_text()), limits=limits) as http:
            assert (chat_model(http)["id"], chat_model(http)["demonstration_model"]) == (first, False)
            with Crowd(http) as crowd:
                crowd.wait_for(first)
                refused = command("models", "activate", bad, "--home", str(home), check=False)
                assert (refused.returncode, "pack.gate" in refused.stderr) == (1, True), refused.stderr
                assert {model for _, model in crowd.answers} == {first}
                assert tell(home, "activate", pack=good)["before"] == first
                crowd.wait_for(good, 5)
                assert tell(home, "rollback", capability="chat_model")["pack"] == first
            assert {status for status, _ in crowd.answers} == {200}  # none lost
            assert {model for _, model in crowd.answers} == {first, good}
            assert chat_model(http)["id"] == first
    finally:
        assert stop_node(process) == 0
