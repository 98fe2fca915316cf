"""What every image reader and analyser must keep. Raises AssertionError with the reason."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Final

from appliance.plugin_api.capabilities import ImageAnalyser, ImageReader
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.images import ImageAnalysis, ImageFacts, ImageOptions

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_REFUSED: Final[Mapping[str, bytes]] = {
    "image.unsupported": b"PK\x03\x04" + bytes(600),
    "image.damaged": b"\xff\xd8\xff\xe0" + bytes(600),
}


def _require(condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


async def check_image_reader(reader: ImageReader, picture: Path, call: CallOptions) -> ImageFacts:
    """The contract of ``ImageReader``; ``picture`` is a file that it reads.

    Returns:
        The facts of ``picture``, for assertions of your own.
    """
    _require(isinstance(reader, ImageReader), "the reader has the methods of ImageReader")
    model = reader.model()
    _require(model.capability == "image_reader" and model.id, "model() names itself and its capability")
    facts = await reader.inspect(picture, None, call)
    _require(min(facts.width, facts.height, facts.frames) >= 1, "a picture has a size and a frame")
    _require(facts.identity == "unchecked", "without a claim nothing is said of identity")
    _require(facts == await reader.inspect(picture, None, call), "the same file has the same facts")
    shown = await reader.png(picture, facts.frames - 1, 16, call)
    _require(shown.startswith(_PNG), "the last frame is shown as a PNG")
    await _require_refusal("image.frame", reader.png(picture, facts.frames, 16, call))
    with tempfile.TemporaryDirectory() as folder:
        for code, data in _REFUSED.items():
            path = Path(folder) / "picture"
            path.write_bytes(data)
            await _require_refusal(code, reader.inspect(path, None, call))
    _require(facts == await reader.inspect(picture, None, call), "a refused file leaves the reader as it was")
    return facts


async def check_image_analyser(analyser: ImageAnalyser, picture: Path, call: CallOptions) -> ImageAnalysis:
    """The contract of ``ImageAnalyser``; its model is ready, ``picture`` is a file that it reads.

    Returns:
        The analysis of ``picture``, for assertions of your own.
    """
    _require(isinstance(analyser, ImageAnalyser), "the analyser has the methods of ImageAnalyser")
    model = analyser.model()
    _require(model.capability == "image_analyser" and model.ready, "model() names its capability and is ready")
    names = [one.name for one in analyser.label_sets()]
    _require(names and len(set(names)) == len(names), "there are label sets, each with a name of its own")
    found = await analyser.analyse(picture, ImageOptions(label_set=names[-1]), call)
    _require(found.label_set.name == names[-1], "the label set that was asked for is used")
    labels = [one.label for one in found.findings]
    _require(len(labels) == len(set(labels)) == found.label_set.labels, "every label of the set has one score")
    scores = [one.score for one in found.findings]
    _require(scores == sorted(scores, reverse=True), "findings come highest first")
    _require(all(0.0 <= score <= 1.0 for score in scores), "a score lies between 0 and 1")
    _require(all(one.frame in found.frames for one in found.findings), "a finding's frame was looked at")
    _require(found.model_sha256 == model.sha256, "the analysis names the model that made it")
    told = found.label_set.calibrated or "not_calibrated" in found.cautions
    _require(told, "scores that are no probabilities are told to be none")
    _require(found.heat_map is None or found.heat_map.png.startswith(_PNG), "a heat map is a PNG")
    await _require_refusal("image.label_set", analyser.analyse(picture, ImageOptions(label_set="no such set"), call))
    return found


async def _require_refusal(code: str, asked: Awaitable[object]) -> None:
    try:
        await asked
    except ProntuarioError as error:
        _require(error.kind.code == code, f"{code} is told, not {error.kind.code}")
    else:
        raise AssertionError(f"{code} is refused")
