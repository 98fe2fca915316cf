"""Break an engine in the middle of 50 streams: does the record stay fast, does every stream end clearly?

For kill -9, SIGSTOP, a memory blow-up and SIGSEGV in turn: 50 clients stream from one engine through the whole HTTPS API while
others read the record; the fault strikes in the middle. Counted: how each stream ended, and the p99 of the reads against the
p99 with the same 50 streams and no fault, in the same run.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import shutil
import signal
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from node import BenchNode, running_node
from report import Report, say

STREAMS, READERS, PIECES = 50, 4, 150
READ_PAUSE_S, FAULT_AFTER_S, READ_FOR_S = 0.02, 2.0, 10.0
PLUGIN = Path(__file__).parent / "chaos_plugin"
AIM_RATIO = 2.0


def install(home: Path) -> None:
    """Put the chaos plugin where a third party's would be."""
    folder = home / "plugins" / "chaos_plugin-0.1.0"
    info = folder / "chaos_plugin-0.1.0.dist-info"
    info.mkdir(parents=True)
    for part in PLUGIN.glob("*.py"):
        shutil.copy(part, folder)
    asked = '["engines", "routes", "permissions"]'
    (folder / "prontuario-plugin.toml").write_text(f'name="chaos_plugin"\nversion="0.1.0"\npermissions={asked}\n')
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos_plugin\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[prontuario.plugins]\nchaos_plugin = chaos_plugin:plugin\n")


def http(client: dict[str, str]) -> httpx.AsyncClient:
    """A phone."""
    context = ssl.create_default_context(cafile=client["ca"])
    context.load_cert_chain(client["cert"], client["key"])
    limits = httpx.Limits(max_connections=STREAMS + READERS + 4)
    headers = {"Authorization": f"Bearer {client['token']}"}
    return httpx.AsyncClient(base_url=client["api"], verify=context, headers=headers, timeout=90, limits=limits)


async def stream(phone: httpx.AsyncClient, kind: str = "stream", key: str = "") -> str:
    """How one stream ended: ``answer``, an error code, or ``cut`` when it just stopped."""
    end = "cut"
    try:
        query = {"kind": kind, "count": str(PIECES), "key": key}
        async with phone.stream("GET", "/api/plugins/chaos_plugin/stream", params=query) as answer:
            if answer.status_code != 200:
                return f"http {answer.status_code}"
            async for line in answer.aiter_lines():
                end = json.loads(line).get("end", end)
    except httpx.HTTPError as error:
        return f"cut ({type(error).__name__})"
    return end


async def read_for(phone: httpx.AsyncClient, path: str, until: float, times: list[float]) -> None:
    """Read a resource again and again; seconds of each go to ``times``."""
    while time.monotonic() < until:
        began = time.perf_counter()
        (await phone.get(path)).raise_for_status()
        times.append(time.perf_counter() - began)
        await asyncio.sleep(READ_PAUSE_S)


async def one_scene(
    phone: httpx.AsyncClient, path: str, fault: Callable[[], Awaitable[None]] | None
) -> tuple[float, collections.Counter[str]]:
    """(p99 of the reads in seconds, how the streams ended)."""
    times: list[float] = []
    until = time.monotonic() + READ_FOR_S
    readers = [asyncio.create_task(read_for(phone, path, until, times)) for _ in range(READERS)]
    streams = [asyncio.create_task(stream(phone)) for _ in range(STREAMS)]
    if fault is not None:
        await asyncio.sleep(FAULT_AFTER_S)
        await fault()
    ends = collections.Counter(await asyncio.gather(*streams))
    await asyncio.gather(*readers)
    return sorted(times)[int(len(times) * 0.99)], ends


async def engine_pid(it: httpx.AsyncClient) -> int:
    """The child's pid, once it is ready."""
    for _ in range(600):
        rows = (await it.get("/api/admin/engines")).json()
        row = next(one for one in rows if one["name"] == "chaos_plugin")
        if row["status"] == "ready" and row["pid"]:
            return int(row["pid"])
        await asyncio.sleep(0.1)
    raise SystemExit("the chaos engine never became ready")


async def run(node: BenchNode) -> Report:
    """Every fault once, between two quiet scenes."""
    report = Report("chaos-engines")
    physician, it = http(node.client("dra.caos")), http(node.client("ti", "it"))
    async with physician, it:
        patient = (await physician.post("/fhir/R4/Patient", json={"resourceType": "Patient", "active": True})).json()
        path = f"/fhir/R4/Patient/{patient['id']}"

        async def blow(number: int) -> None:
            os.kill(await engine_pid(it), number)

        async def ask(kind: str) -> None:
            await stream(physician, kind, key=str(time.monotonic_ns()))

        faults: dict[str, Callable[[], Awaitable[None]]] = {
            "kill -9": lambda: blow(signal.SIGKILL),
            "SIGSTOP": lambda: blow(signal.SIGSTOP),
            "memory blow-up": lambda: ask("leak"),
            "SIGSEGV": lambda: ask("segv"),
        }
        await engine_pid(it)
        await one_scene(physician, path, None)  # warm up
        quiet_s, ends = await one_scene(physician, path, None)
        say(f"quiet: p99 {quiet_s * 1000:.1f} ms, streams {dict(ends)}")
        for name, fault in faults.items():
            await engine_pid(it)
            seconds, ends = await one_scene(physician, path, fault)
            unclear = sum(count for end, count in ends.items() if end.startswith("cut"))
            say(f"{name}: p99 {seconds * 1000:.1f} ms, streams {dict(ends)}")
            report.row(
                f"{name}: read p99",
                seconds * 1000,
                "ms",
                peer="no fault",
                peer_value=quiet_s * 1000,
                aim=("<=", AIM_RATIO),
                on="ratio",
            )
            report.row(f"{name}: streams that ended unclearly", unclear, f"of {STREAMS}", aim=("==", 0))
    return report


def main() -> None:
    """Run and print the JSON line."""
    with running_node("--no-admin", prepare=install) as node:
        asyncio.run(run(node)).print()


if __name__ == "__main__":
    main()
