"""``python -m admin_ui``: the dashboard as a process of its own, started by launchd or by ``prontuario up``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m admin_ui", description="Prontuário's dashboard")
    parser.add_argument("--api", required=True, help="core's address, https://host:port")
    parser.add_argument("--ca", required=True, type=Path, help="the hospital's root certificate (PEM)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8445, type=int, help="0 lets the system choose")
    parser.add_argument("--certificate", required=True, type=Path, help="the node's server certificate chain (PEM)")
    parser.add_argument("--key", required=True, type=Path, help="its private key (PEM)")
    parser.add_argument("--client-certificate", required=True, type=Path, help="the dashboard's device certificate")
    parser.add_argument("--client-key", required=True, type=Path, help="its private key")
    parser.add_argument("--ready-fd", type=int, help="write the ready line to this descriptor instead of stdout")
    parser.add_argument("--leash-fd", type=int, help="end when this descriptor reads EOF: the parent is gone")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, Ctrl-C or the parent's end."""
    chosen = arguments(argv)
    from admin_ui.application import build
    from admin_ui.link import CoreLink, client_context
    from admin_ui.server import Door, serve

    link = CoreLink(chosen.api, client_context(chosen.ca, chosen.client_certificate, chosen.client_key))
    door = Door(chosen.host, chosen.port, chosen.certificate, chosen.key, chosen.ready_fd, chosen.leash_fd)
    serve(build(link), door)


if __name__ == "__main__":
    main()
