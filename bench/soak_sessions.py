"""What a person does in one go: dictates live and signs the note, asks about a patient, hands a picture in.

These are closed loops: a few people at a time, each with a pause to think afterwards, for this is what loads the models, and two
cores without a GPU carry only so much of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from appliance.daemon.demo.phone import RefusedError
from bench.soak_books import TOO_MANY, Books
from bench.soak_phone import SoakPhone, broke
from bench.soak_record import Ledger, Person, Recording
from tests.fakes.phone_dictation import LiveRecording

FRAME_S: Final = 0.1
ENDED: Final = frozenset({"drafted", "no_speech", "failed"})
QUESTIONS: Final = (
    "Como está a frequência cardíaca?",
    "Quais foram as últimas medidas?",
    "Quando foi a última consulta?",
    "Há registro de alergias?",
)
MOST_TOKENS: Final = 64
SIDE: Final = 640
_COMMENT: Final = b"\xff\xfe"
MOST_WAITS: Final = 20


@dataclass
class Sessions:
    """The closed loops of all people. ``recordings``: each in 100 ms pieces."""

    books: Books
    ledger: Ledger
    recordings: Sequence[Sequence[bytes]]
    picture: bytes

    async def dictate(self, person: Person) -> None:
        """Speak as fast as people do, wait for the draft, review and sign it."""
        phone, pieces = person.phone, person.rng.choice(self.recordings)
        encounter = await person.visit()
        about = {"patient": person.patient, "encounter": encounter}
        dictation = str((await phone.post("/api/dictations", about))["id"])
        live = _Microphone(self.books, phone, dictation, pieces)
        await live.send(pace=live.pace)
        said = time.monotonic()
        self.books.frames += len(pieces)
        if live.lost:
            self.books.wrong("WS dictation: acknowledged frames were asked for again")
        note = await self._draft(phone, dictation)
        self.books.took("draft of a note, after the last word", time.monotonic() - said)
        began = time.monotonic()
        path = f"/api/notes/{note}"
        draft = await phone.get(path)
        await phone.post(f"{path}/review", {"accept": draft["unresolved"]}, {"If-Match": f'"{draft["version"]}"'})
        signed = await phone.post(f"{path}/sign", {})
        self.books.took("read, review and sign a note", time.monotonic() - began)
        digest = hashlib.sha256(b"".join(pieces)).hexdigest()
        self.ledger.recordings.append(Recording(dictation, digest, note, signed["version"]))

    @staticmethod
    async def _draft(phone: SoakPhone, dictation: str) -> str:
        path = f"/api/dictations/{dictation}"
        while (state := await phone.get(path))["state"] not in ENDED:
            async for _event in phone.events(dictation):
                pass  # ends with the draft
        if state["state"] != "drafted":
            raise RefusedError(0, state.get("problem") or {"code": state["state"]})
        return str(state["note_id"])

    async def chat(self, person: Person) -> None:
        """One question about the patient; told to wait, the phone asks again when it may."""
        question, began = person.rng.choice(QUESTIONS), time.monotonic()
        for _ in range(MOST_WAITS):
            try:
                await self._ask(person, question, began)
            except RefusedError as error:
                wait = float(error.problem.get("retry_after", 0))
                if error.status != TOO_MANY or not wait:
                    raise
                await asyncio.sleep(wait)
            else:
                return
        raise RefusedError(0, {"code": "told to wait for ever"})

    async def _ask(self, person: Person, question: str, began: float) -> None:
        last: tuple[str, Any] = ("", None)
        reading = False
        async for last in person.phone.asked(person.patient, question, MOST_TOKENS):
            if last[0] == "reading" and not reading:
                reading = True
                self.books.took("chat: first word", time.monotonic() - began)
        if last[0] != "end":
            raise RefusedError(0, {"code": f"the stream ended with {last[0] or 'nothing'}"})
        self.books.took("chat: whole answer", time.monotonic() - began)

    async def hand_in(self, person: Person) -> None:
        """A picture that nobody has handed in yet."""
        mark = f"{person.phone.user} {time.monotonic_ns()}".encode()
        content = with_comment(self.picture, mark)
        began = time.monotonic()
        kept = await person.phone.hand_in("/api/images", content, patient=person.patient, title="Lesão, antebraço")
        self.books.took("hand in a picture", time.monotonic() - began)
        self.ledger.pictures.append((kept["id"], hashlib.sha256(content).hexdigest()))
        began = time.monotonic()
        await person.phone.content(kept["links"]["frame"], side="512")
        self.books.took("look at a picture", time.monotonic() - began)


class _Microphone(LiveRecording):
    """A frame every 100 ms, also when the last one is not acknowledged yet; every break is an error, however well it ends."""

    def __init__(self, books: Books, phone: SoakPhone, dictation: str, pieces: Sequence[bytes]) -> None:
        super().__init__(phone, dictation, pieces)
        self._books = books
        self._due = 0.0

    async def _understand(self, error: Exception) -> None:
        broke(self._books, "WS dictation", error)
        await super()._understand(error)

    async def pace(self) -> None:
        """Called when the frame before is acknowledged; returns when the next one has been spoken."""
        now = time.monotonic()
        if self._due:
            self._books.took("dictated frame acknowledged", now - self._due)
        self._due = self._due + FRAME_S if self._due else now
        await asyncio.sleep(max(0.0, self._due - now))


def photograph(seed: int) -> bytes:
    """A JPEG of SIDE × SIDE pixels that shows nothing: noise over a gradient."""
    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 256, (SIDE // 16, SIDE // 16, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=85)
    return written.getvalue()


def with_comment(jpeg: bytes, text: bytes) -> bytes:
    """The same picture as another file (ITU-T T.81 §B.2.4.5): a comment after the first marker."""
    return jpeg[:2] + _COMMENT + (len(text) + 2).to_bytes(2) + text + jpeg[2:]


def thinking(rng: random.Random, mean_s: float) -> float:
    """Seconds until a person does the next thing."""
    return rng.expovariate(1 / mean_s)
