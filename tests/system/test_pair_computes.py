"""Both nodes compute: a chat is answered by the standby's engine while the primary's is full, and comes when that node dies."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import command
from tests.system.pair import RunningPair, eventually, running_pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.xdist_group("pair")]
CALLERS = 6


def configured(settings: str) -> str:
    """Two requests in a child at a time; an answer's audit entry waits until the pair has learnt that one node is gone."""
    settings = settings.replace("ship_deadline_s = 10.0", "ship_deadline_s = 3.0")
    return f"{settings}\n[store]\nbarrier_timeout_s = 60.0\n[plugins.medgemma_chat]\nbatch_size = 1\n"


def ask(pair: RunningPair, client: dict[str, str], number: int, words: int) -> str:
    """A chat of its own client, as phones have it; the text of the answer."""
    body = {"messages": [{"role": "user", "content": f"Paciente {number}: tosse há três dias."}], "max_tokens": words}
    with pair.http(pair.primary, client) as http:
        answer = http.post("/v1/chat/completions", json=body, timeout=180)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["finish_reason"])


def shared(http: httpx.Client, event: str) -> float:
    """How many requests of the primary's chat engine had this fate at the other node."""
    found = re.search(
        rf'^prontuario_engine_shared_requests_total{{engine="medgemma",event="{event}"}} (\S+)$',
        http.get("/metrics").text,
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0


def both_compute(pair: RunningPair) -> bool:
    home = str(pair.nodes[pair.primary]["home"])
    return bool(json.loads(command("cluster", "status", "--home", home, "--json").stdout)["computes"]["both"])


def answers(asked: Sequence[Future[str]]) -> list[str]:
    return [one.result(timeout=240) for one in asked]


def test_the_standby_answers_while_the_primary_is_full_and_its_death_costs_no_answer(tmp_path: Path) -> None:
    with running_pair(tmp_path, configured) as pair, ThreadPoolExecutor(CALLERS) as callers:
        clients = [pair.client(f"med{number}") for number in range(3)]
        watcher = pair.client("ti", "it")
        standby = "b" if pair.primary == "a" else "a"
        with pair.http(pair.primary, watcher) as http:
            eventually(lambda: both_compute(pair), "both compute")

            asked = [callers.submit(ask, pair, clients[n % 3], n, 16) for n in range(CALLERS)]
            assert set(answers(asked)) <= {"stop", "length"}
            assert shared(http, "answered") >= 1

            before = shared(http, "sent")
            asked = [callers.submit(ask, pair, clients[n % 3], n, 400) for n in range(CALLERS)]
            eventually(lambda: shared(http, "sent") > before, "the standby works for the primary")
            pair.kill(standby)
            assert set(answers(asked)) <= {"stop", "length"}
            assert shared(http, "failed_over") >= 1
            assert shared(http, "broken") == 0
            eventually(lambda: not both_compute(pair), "only the primary computes")
