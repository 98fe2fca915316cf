"""Both nodes compute: a chat is answered by the standby's engine while the primary's is busy, and comes when that node dies."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from tests.conftest import command
from tests.system.pair import RunningPair, eventually, running_pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.xdist_group("pair")]
CALLERS = 6
"""Two fit into each engine: the others wait."""


def configured(settings: str) -> str:
    """Two requests in a child at a time; an answer's audit entry waits until the pair has learnt that one node is gone."""
    settings = settings.replace("ship_deadline_s = 10.0", "ship_deadline_s = 2.0")
    return f"{settings}\n[store]\nbarrier_timeout_s = 60.0\n[plugins.medgemma_chat]\nbatch_size = 1\n"


def keep_asking(pair: RunningPair, client: dict[str, str], enough: Event) -> list[str]:
    """Whole answers, one after the other, until it is enough."""
    body = {"messages": [{"role": "user", "content": "Paciente com tosse há três dias."}], "max_tokens": 16}
    texts = []
    with pair.http(pair.primary, client) as http:
        while not enough.is_set():
            answer = http.post("/v1/chat/completions", json=body, timeout=180)
            assert answer.status_code == 200, answer.text
            texts.append(str(answer.json()["choices"][0]["message"]["content"]))
    return texts


def shared(http: httpx.Client, event: str) -> float:
    """How many requests of the primary's chat engine had this fate at the other node."""
    metric = rf'^prontuario_engine_shared_requests_total{{engine="medgemma",event="{event}"}} (\S+)$'
    found = re.search(metric, http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def room(http: httpx.Client) -> float:
    """How many more of them the other node would take."""
    found = re.search(r'^prontuario_engine_far_room{engine="medgemma"} (\S+)$', http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def both_compute(pair: RunningPair) -> bool:
    home = str(pair.nodes[pair.primary]["home"])
    return bool(json.loads(command("cluster", "status", "--home", home, "--json").stdout)["computes"]["both"])


def test_the_standby_answers_while_the_primary_is_busy_and_its_death_costs_no_answer(tmp_path: Path) -> None:
    enough = Event()
    with running_pair(tmp_path, configured) as pair, ThreadPoolExecutor(CALLERS) as callers:
        client = pair.client()
        with pair.http(pair.primary, pair.client("ti", "it")) as http:
            eventually(lambda: room(http) > 0, "the standby's engine is lent")
            asked = [callers.submit(keep_asking, pair, client, enough) for _ in range(CALLERS)]
            try:
                eventually(lambda: shared(http, "answered") >= CALLERS, "the standby's engine answers")
                before = shared(http, "failed_over")
                pair.kill("b" if pair.primary == "a" else "a")
                eventually(lambda: shared(http, "failed_over") > before, "what it had is asked again here")
            finally:
                enough.set()
            assert all(text for one in asked for text in one.result(timeout=240))
            assert shared(http, "broken") == 0
            eventually(lambda: not both_compute(pair), "only the primary computes")
