"""The peer of bench_api: FastAPI on uvicorn over aiosqlite, the same rows, over the same TLS; no tokens, no audit.

Written to be fast: raw JSON text from the database to the wire, a name index, one connection (a pool gives no gain).
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import uvicorn
from api_rows import patients
from fastapi import FastAPI, Request, Response
from pysqlite3 import dbapi2

PAGE = 20
TYPE = "application/fhir+json"


def folded(text: str) -> str:
    """Without case and accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def fill(path: Path, count: int) -> None:
    """A table of patients and one of their names."""
    connection = dbapi2.connect(path)
    connection.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE patient (id TEXT PRIMARY KEY, body TEXT NOT NULL);"
        "CREATE TABLE name (folded TEXT NOT NULL, patient INTEGER NOT NULL);"
        "CREATE INDEX name_folded ON name (folded, patient);"
    )
    for number, row in enumerate(patients(count), 1):
        name = row["name"][0]
        connection.execute(
            "INSERT INTO patient (rowid, id, body) VALUES (?, ?, ?)", (number, row["id"], json.dumps(row))
        )
        phrases = {folded(f"{name['given'][0]} {name['family']}"), folded(name["family"]), folded(name["given"][0])}
        connection.executemany("INSERT INTO name VALUES (?, ?)", [(phrase, number) for phrase in sorted(phrases)])
    connection.commit()
    connection.close()


def application(path: Path) -> FastAPI:
    """Read by id and name search."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.db = await aiosqlite.core.Connection(lambda: dbapi2.connect(path, isolation_level=None), 64)
        yield
        await app.state.db.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/fhir/R4/Patient/{patient_id}")
    async def read(patient_id: str, request: Request) -> Response:
        cursor = await request.app.state.db.execute("SELECT body FROM patient WHERE id = ?", (patient_id,))
        found = await cursor.fetchone()
        await cursor.close()
        if found is None:
            return Response(status_code=404)
        return Response(found[0], media_type=TYPE, headers={"etag": 'W/"1"'})

    @app.get("/fhir/R4/Patient")
    async def search(name: str, request: Request) -> Response:
        start = folded(name)
        rows: list[Any] = await request.app.state.db.execute_fetchall(
            "SELECT id, body FROM patient WHERE rowid IN (SELECT patient FROM name WHERE folded >= ? AND folded < ?)"
            " ORDER BY rowid LIMIT ?",
            (start, start + "\U0010ffff", PAGE + 1),
        )
        base = str(request.base_url) + "fhir/R4/Patient"
        entries = ",".join(
            f'{{"fullUrl":"{base}/{row[0]}","resource":{row[1]},"search":{{"mode":"match"}}}}' for row in rows[:PAGE]
        )
        link = json.dumps([{"relation": "self", "url": str(request.url)}])
        body = f'{{"resourceType":"Bundle","type":"searchset","link":{link},"entry":[{entries}]}}'
        return Response(body, media_type=TYPE)

    return app


def main(path: Path, count: int, port: int, tls: list[str]) -> None:
    """Serve until SIGTERM."""
    certificate, key, ca = tls
    fill(path, count)
    print(json.dumps({"pid": os.getpid(), "port": port}), flush=True)
    uvicorn.run(
        application(path),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_ca_certs=ca,
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:7])
