"""A core that starts an engine, sets a request going, tells the child's pid and waits to be killed."""

from __future__ import annotations

import asyncio
import sys

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineSpec


async def main(kind: str) -> None:
    spec = EngineSpec("echo", "appliance.plugin_api.testing.echo_engine:EchoEngine", stall_limit_s=2.0)
    engine = EngineSupervisor(spec, MemoryLedger())
    await engine.start()
    if not await engine.wait_ready(60):
        raise SystemExit(1)
    await anext(engine.submit("echo", b"", CallOptions()))
    request = asyncio.ensure_future(anext(engine.submit(kind, b"", CallOptions())))
    while engine.running == 0:  # noqa: ASYNC110  two lines of a program, not of the product
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    sys.stdout.write(f"child {engine.pid}\n")
    sys.stdout.flush()
    await request


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
