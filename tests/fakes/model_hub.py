"""A model hub on loopback, as far as huggingface_hub's client asks one: what a model has, and its files, by commit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c0ffee" * 6 + "c0ff"
GATED = "casa/fechada"


class ModelHub(ThreadingHTTPServer):
    """``models``: files by name of each OWNER/MODEL. ``served`` notes the path and first byte of each file handed out."""

    daemon_threads = True

    def __init__(self, models: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.models = models
        self.served: list[tuple[str, int]] = []
        self.break_after: int | None = None
        """Of the next weights handed out, as many bytes; then the line breaks."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def model_hub(models: Mapping[str, Mapping[str, bytes]]) -> Iterator[ModelHub]:
    with ModelHub(models) as hub:
        thread = Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelHub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            self._tell(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._hand_out(found[1], found[3])
        else:
            self._refuse("EntryNotFound")

    do_HEAD = do_GET  # noqa: N815  http.server's own name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's own name
        """Silent."""

    def _tell(self, name: str, revision: str | None) -> None:
        if name not in self.server.models:
            return self._refuse("RepoNotFound")
        if revision not in (None, "main", COMMIT):
            return self._refuse("RevisionNotFound")
        files = [{"rfilename": file, "size": len(content)} for file, content in self.server.models[name].items()]
        return self._send(json.dumps({"id": name, "sha": COMMIT, "siblings": files}).encode(), {})

    def _hand_out(self, name: str, file: str) -> None:
        if name == GATED:
            return self._refuse("GatedRepo", 403)
        content = self.server.models[name][file]
        sha = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        if self.command == "GET":
            self.server.served.append((file, first))
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return self._send(content[first:], headers, 206 if first else 200)

    def _send(self, body: bytes, headers: Mapping[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.break_after is not None and len(body) > self.server.break_after:
            body, self.server.break_after = body[: self.server.break_after], None
            self.close_connection = True
        self.wfile.write(body)

    def _refuse(self, code: str, status: int = 404) -> None:
        self._send(b"", {"X-Error-Code": code}, status)
