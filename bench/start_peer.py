"""The peer of bench-start: Quart on Hypercorn saying hello over TLS, and nothing else. ``start_peer.py PORT CERTIFICATE KEY``."""

from __future__ import annotations

import asyncio
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart

application = Quart(__name__)


@application.get("/health/ready")
async def hello() -> dict[str, str]:
    """Always well."""
    return {"status": "ok"}


def main(port: str, certificate: str, key: str) -> None:
    """Serve until SIGTERM."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = certificate, key
    asyncio.run(serve(application, config))


if __name__ == "__main__":
    main(*sys.argv[1:4])
