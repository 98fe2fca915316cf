"""Waits until this machine's node says that it is ready: ``health_gate.py HOME SECONDS``, run by the version under test.

Asks ``/health/ready`` as a phone would, over TLS and with the node's own authority as the only one trusted. Ready is every
answer but "failed": a standby, or a node without its second one, is well enough to take over from an older version.
"""

from __future__ import annotations

import http.client
import ssl
import sys
import time
from pathlib import Path

POLL_S = 0.5
ANSWER_WITHIN_S = 5.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what a node listens on, and where it is asked then


def main(home: Path, seconds: float) -> int:
    """0 when the node got ready in time; otherwise 1, with the last thing that was heard on stderr."""
    from appliance.config import Paths, load_config

    api = load_config(Paths(home).config).api
    give_up = time.monotonic() + seconds
    while True:
        heard = ask(EVERYWHERE.get(api.host, api.host), api.port, Paths(home).ca)
        if heard == "":
            return 0
        if time.monotonic() >= give_up:
            print(f"prontuario: not ready after {seconds:.0f} s: {heard}", file=sys.stderr)
            return 1
        time.sleep(POLL_S)


def ask(host: str, port: int, authority: Path) -> str:
    """What is wrong with the node; empty when nothing is."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.check_hostname = False  # asked by address; who answers must hold a certificate of our own authority
        line = http.client.HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=context)
        try:
            line.request("GET", "/health/ready", headers={"Accept": "application/json"})
            answer = line.getresponse()
            body = answer.read()
        finally:
            line.close()
    except (OSError, http.client.HTTPException) as error:
        return f"it does not answer ({type(error).__name__})"
    return "" if answer.status == http.client.OK else f"it answers {answer.status} {body[:200]!r}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
