"""The writing client of bench-failover and chaos-pair as a process of its own, so that it can live in the client's network.

``python bench/failover_writer.py CLIENT SYSTEM URL…`` writes one Patient every 10 ms (``--every`` seconds), identified in
SYSTEM, and prints every acknowledgement as a line of JSON; when stdin ends it sends nothing new, waits for what is under way,
and prints ``{"done": …}``. ``--count`` instead reads back how often each identifier of SYSTEM is in the record:
``{"kept": {key: times}}``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.failover_client import ATTEMPT_S, EVERY_S, MOST_UNDER_WAY, Acknowledged, Client

CREATED = 201
CONNECT_S = 1.0


class Https:
    """The appliance behind one address, or behind several of which one leads."""

    def __init__(self, client: Mapping[str, str], urls: Sequence[str], system: str) -> None:
        context = ssl.create_default_context(cafile=client["ca"])
        context.load_cert_chain(client["cert"], client["key"])
        self._headers = {"Authorization": f"Bearer {client['token']}", "Content-Type": "application/fhir+json"}
        limits = httpx.Limits(max_connections=MOST_UNDER_WAY, max_keepalive_connections=MOST_UNDER_WAY)
        timeout = httpx.Timeout(ATTEMPT_S, connect=CONNECT_S)
        self._http = httpx.AsyncClient(verify=context, timeout=timeout, limits=limits, trust_env=False)
        self._urls = urls
        self._at = 0
        self._system = system
        self.mode = ""

    async def write(self, key: str) -> int:
        """See ``failover_client.Service``; the term is the epoch of the node that acknowledged."""
        here = self._at
        body = {"resourceType": "Patient", "identifier": [{"system": self._system, "value": key}]}
        headers = self._headers | {"Idempotency-Key": key}
        try:
            answer = await self._http.post(f"{self._urls[here]}/fhir/R4/Patient", json=body, headers=headers)
            if answer.status_code != CREATED:
                raise ConnectionError(answer.status_code)
        except (httpx.HTTPError, OSError):
            if self._at == here:
                self._at = (here + 1) % len(self._urls)
            raise
        self.mode = answer.headers.get("prontuario-mode", "")
        return int(answer.headers.get("prontuario-epoch", "0"))

    async def kept(self) -> set[str]:
        """Every key of this system that is in the record."""
        return set(await self.count())

    async def count(self) -> Counter[str]:
        """How often each key is there: more than once would be a repeated effect."""
        found: Counter[str] = Counter()
        path: str | None = f"/fhir/R4/Patient?identifier={self._system}%7C&_count=200"
        while path is not None:
            bundle = await self._read(path)
            for entry in bundle.get("entry", []):
                found.update(one["value"] for one in entry["resource"]["identifier"] if one["system"] == self._system)
            following = [link["url"] for link in bundle.get("link", []) if link["relation"] == "next"]
            path = httpx.URL(following[0]).raw_path.decode() if following else None
        return found

    async def _read(self, path: str) -> dict[str, Any]:
        while True:
            try:
                answer = await self._http.get(self._urls[self._at] + path, headers=self._headers, timeout=30.0)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                print(f"reading back: {error!r}", file=sys.stderr, flush=True)
                self._at = (self._at + 1) % len(self._urls)
                await asyncio.sleep(0.5)
            else:
                bundle: dict[str, Any] = answer.json()
                return bundle

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


async def write_on(service: Https, prefix: str, every_s: float) -> None:
    """Until stdin ends."""
    told = 0

    def tell() -> None:
        nonlocal told
        one: Acknowledged = client.books.acknowledged[told]
        told += 1
        row = {"key": one.key, "began": one.began, "ended": one.ended, "term": one.term, "mode": service.mode}
        print(json.dumps(row), flush=True)

    client = Client(service, prefix, every_s=every_s, on_acknowledged=tell)
    client.start()
    await asyncio.to_thread(sys.stdin.read)
    waiting = asyncio.create_task(client.stop())
    await waiting
    print(json.dumps({"done": True, "sent": client.sent, "unanswered": client.sent - told}), flush=True)


async def run(client: Mapping[str, str], options: argparse.Namespace) -> None:
    """Write or count."""
    service = Https(client, options.urls, options.system)
    try:
        if options.count:
            print(json.dumps({"kept": await service.count()}), flush=True)
        else:
            await write_on(service, options.system.rpartition(":")[2], options.every)
    finally:
        await service.close()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", help="what `prontuario client enrol` wrote")
    parser.add_argument("system", help="the identifiers' system, new for each run")
    parser.add_argument("urls", nargs="+", help="https://host:port, the virtual IP's or both nodes'")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two writes")
    options = parser.parse_args()
    asyncio.run(run(json.loads(Path(options.client).read_text(encoding="utf-8")), options))


if __name__ == "__main__":
    main()
