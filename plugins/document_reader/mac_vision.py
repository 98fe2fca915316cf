"""Run as a program of its own on a Mac: VNRecognizeTextRequest; a picture on standard input, words as JSON on standard output.

Each word is ``[text, left, top, width, height, confidence]``, in pixels from the upper left corner. Vision gives lines with
boxes in fractions from the lower left one; ``boundingBoxForRange:`` tells each word's. Source: Apple's Vision documentation.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from typing import Any

LANGUAGE = "pt-BR"
ACCURATE = 0
"""VNRequestTextRecognitionLevelAccurate."""


def words(vision: Any, foundation: Any, quartz: Any, picture: bytes) -> list[list[Any]]:
    """The words on ``picture``, with the given Vision, Foundation and Quartz modules.

    Raises:
        RuntimeError: not a picture, or Vision refused it.
    """
    data = foundation.NSData.dataWithBytes_length_(picture, len(picture))
    source = quartz.CGImageSourceCreateWithData(data, None)
    image = quartz.CGImageSourceCreateImageAtIndex(source, 0, None) if source is not None else None
    if image is None:
        raise RuntimeError("not a picture")
    size = quartz.CGImageGetWidth(image), quartz.CGImageGetHeight(image)
    request = vision.VNRecognizeTextRequest.alloc().init()
    request.setRecognitionLevel_(ACCURATE)
    request.setRecognitionLanguages_([LANGUAGE])
    request.setUsesLanguageCorrection_(False)  # a corrected figure or drug name would be a silent change
    handler = vision.VNImageRequestHandler.alloc().initWithCGImage_options_(image, {})
    done, _error = handler.performRequests_error_([request], None)
    if not done:
        raise RuntimeError("Vision refused the picture")
    return [word for line in request.results() or [] for word in _words_of(line, size)]


def _words_of(line: Any, size: tuple[int, int]) -> list[list[Any]]:
    candidates = line.topCandidates_(1)
    if not candidates:
        return []
    best = candidates[0]
    found = []
    for match in re.finditer(r"\S+", str(best.string())):
        box, _error = best.boundingBoxForRange_error_((match.start(), len(match[0])), None)
        where = (box if box is not None else line).boundingBox()
        left, width = where.origin.x * size[0], where.size.width * size[0]
        height = where.size.height * size[1]
        top = (1.0 - where.origin.y) * size[1] - height
        found.append([match[0], left, top, width, height, min(max(float(best.confidence()), 0.0), 1.0)])
    return found


def main() -> None:
    """Read what standard input has."""
    vision, foundation, quartz = (importlib.import_module(name) for name in ("Vision", "Foundation", "Quartz"))
    sys.stdout.write(json.dumps(words(vision, foundation, quartz, sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
