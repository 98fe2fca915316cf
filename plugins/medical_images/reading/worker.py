"""The process that opens the files: ``python -m plugins.medical_images.reading.worker LIMITS BYTES``.

It reads questions from its standard input and writes answers to its standard output, each with its length in four bytes before it
(little-endian); an answer of no length ends a question. The decoders below it are C and C++ on other people's bytes: some broken
files abort the process. Then it is started anew, and only the file is refused.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from plugins.medical_images.messages import Draw, Drawn, Inspect, Inspected, Question, ReadFrames, Refusal
from plugins.medical_images.reading.drawing import drawn, prepared
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import RefusedError
from plugins.medical_images.reading.source import open_source
from plugins.medical_images.reading.worker_wire import LENGTH_BYTES

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)


def answers(asked: Question, limits: Limits) -> Iterator[msgspec.Struct]:
    """What the file gives; a ``Refusal`` in the place of what it does not."""
    try:
        yield from _read(asked, limits)
    except RefusedError as error:
        yield Refusal(error.code, error.details)


def _read(asked: Question, limits: Limits) -> Iterator[msgspec.Struct]:
    source = open_source(Path(asked.path), limits)
    if isinstance(asked, Inspect):
        yield Inspected(source.facts(asked.claim))
    elif isinstance(asked, Draw):
        yield Drawn(drawn(source.frame(asked.frame), asked.side, asked.grid))
    elif isinstance(asked, ReadFrames):
        for number in asked.frames:
            yield prepared(source.frame(number), number, asked.side, square=asked.square, resample=asked.resample)


def serve(questions: BinaryIO, out: BinaryIO, limits: Limits) -> None:
    """Until the other end is gone."""
    while head := questions.read(LENGTH_BYTES):
        asked = _decoder.decode(questions.read(int.from_bytes(head, "little")))
        for answer in answers(asked, limits):
            _write(out, _encoder.encode(answer))
        _write(out, b"")


def say_nothing_of_what_is_read() -> None:
    """The DICOM library quotes odd values, a patient's name among them, in its log and in warnings."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")


def _write(out: BinaryIO, payload: bytes) -> None:
    out.write(len(payload).to_bytes(LENGTH_BYTES, "little") + payload)
    out.flush()


def main(arguments: list[str]) -> None:
    """Memory is bounded by the system where it can be (macOS knows the limit and does not keep it)."""
    limits = msgspec.json.decode(arguments[0], type=Limits)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (int(arguments[1]), int(arguments[1])))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold a patient's picture
    say_nothing_of_what_is_read()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # decoders print there
    serve(sys.stdin.buffer, out, limits)


if __name__ == "__main__":
    main(sys.argv[1:])
