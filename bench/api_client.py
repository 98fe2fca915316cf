"""A plain HTTP/1.1 client over TLS for bench_api, in its own process: N connections, each one request at a time.

Reads a job from stdin (``{"port", "ca", "cert", "key", "token", "paths", "connections", "requests"}``), prints
``{"seconds", "p50_ms", "p99_ms", "statuses", "bytes"}``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from typing import Any

import uvloop


async def connection(job: dict[str, Any], context: ssl.SSLContext, numbers: Any, seen: dict[str, Any]) -> None:
    """One keep-alive connection that takes the next path as long as there is one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", job["port"], ssl=context, server_hostname="localhost")
    head = f" HTTP/1.1\r\nhost: localhost:{job['port']}\r\nauthorization: Bearer {job['token']}\r\n\r\n"
    paths = job["paths"]
    for number in numbers:
        began = time.perf_counter()
        writer.write(f"GET {paths[number % len(paths)]}{head}".encode())
        header = await reader.readuntil(b"\r\n\r\n")
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        seen["times"].append(time.perf_counter() - began)
        seen["statuses"][header[9:12].decode()] += 1
        seen["bytes"] += len(body)
    writer.close()


async def main(job: dict[str, Any]) -> dict[str, Any]:
    """All connections until every request is answered."""
    context = ssl.create_default_context(cafile=job["ca"])
    context.load_cert_chain(job["cert"], job["key"])
    seen: dict[str, Any] = {"times": [], "statuses": Counter(), "bytes": 0}
    numbers = iter(range(job["requests"]))
    began = time.perf_counter()
    await asyncio.gather(*(connection(job, context, numbers, seen) for _ in range(job["connections"])))
    seconds = time.perf_counter() - began
    times = sorted(seen["times"])
    return {
        "seconds": seconds,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[len(times) * 99 // 100] * 1000,
        "statuses": seen["statuses"],
        "bytes": seen["bytes"],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(json.load(sys.stdin)))), flush=True)
