"""The core's half: ``image_reader`` over the reader's child, and ``image_analyser`` over that and the model's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineStatus
from appliance.plugin_api.errors import UNAVAILABLE
from appliance.plugin_api.images import Caution, ImageAnalysis, ImageFacts, ImageOptions, LabelSet, PatientClaim
from plugins.medical_images.describing import PictureDescriber
from plugins.medical_images.errors import LABEL, LABEL_SET
from plugins.medical_images.looking import Looking
from plugins.medical_images.messages import ModelFacts
from plugins.medical_images.reader import Reader

READS: Final = "image_reader"
ANALYSES: Final = "image_analyser"
_RETRY_AFTER_S: Final = 5.0


class PictureReader:
    """An ``ImageReader``."""

    def __init__(self, engine: EngineHandle) -> None:
        self._engine = engine
        self._reader = Reader(engine)

    def model(self) -> ModelInfo:
        ready = self._engine.status is EngineStatus.READY
        return ModelInfo("image-reader", "", READS, demonstration=False, ready=ready)

    async def inspect(self, image: Path, claim: PatientClaim | None, call: CallOptions) -> ImageFacts:
        """See ``ImageReader.inspect``."""
        return await self._reader.facts(image, claim, call)

    async def png(self, image: Path, frame: int, longest_side: int, call: CallOptions) -> bytes:
        """See ``ImageReader.png``."""
        return await self._reader.png(image, frame, longest_side, None, call)


class PictureAnalyser:
    """An ``ImageAnalyser``; without an engine (no pack is active) it is never ready.

    ``frames_at_most`` and ``in_flight`` as in the plugin's configuration; ``describer`` says in words what is seen, if asked to.
    """

    def __init__(
        self,
        reader: EngineHandle,
        model: EngineHandle | None,
        *,
        folder: Path,
        demonstration: bool,
        frames_at_most: int,
        in_flight: int,
        describer: PictureDescriber | None = None,
    ) -> None:
        self._reader, self._model, self._describer = Reader(reader), model, describer
        self._name, self._demonstration = folder.name, demonstration
        self._frames_at_most, self._in_flight = frames_at_most, in_flight

    def model(self) -> ModelInfo:
        engine = self._model
        loaded = None if engine is None else engine.loaded
        return ModelInfo(
            id=loaded.model_id if loaded else self._name,
            sha256=loaded.model_sha256 if loaded else "",
            capability=ANALYSES,
            demonstration=self._demonstration,
            ready=engine is not None and loaded is not None and engine.status is EngineStatus.READY,
            installed=engine is not None,
        )

    def label_sets(self) -> tuple[LabelSet, ...]:
        """See ``ImageAnalyser.label_sets``."""
        facts = self._facts()
        return facts.label_sets if facts is not None else ()

    async def analyse(self, image: Path, options: ImageOptions, call: CallOptions) -> ImageAnalysis:
        """See ``ImageAnalyser.analyse``."""
        seen = await self._reader.facts(image, options.claim, call)
        engine, known = self._known()
        label_set = _chosen(known, options.label_set, seen.modality)
        frames = options.frames or spread(seen.frames, self._frames_at_most)
        looking = Looking(self._reader, engine, known, image=image, call=call, in_flight=self._in_flight)
        findings = await looking.findings(label_set, frames)
        drawn = options.heat_map or findings[0].label
        finding = next((one for one in findings if one.label == drawn), None)
        if finding is None:
            raise LABEL(field="heat_map", name=drawn)
        heat_map = await looking.heat_map(label_set, finding)
        words, writer = await self._described(image, finding.frame, options, call)
        model = self.model()
        return ImageAnalysis(
            facts=seen,
            label_set=label_set,
            findings=findings,
            frames=frames,
            cautions=_cautions(seen, frames, label_set),
            heat_map=heat_map,
            description=words,
            described_by=writer,
            model_id=model.id,
            model_sha256=model.sha256,
        )

    async def _described(self, image: Path, frame: int, options: ImageOptions, call: CallOptions) -> tuple[str, str]:
        """The words, and whose they are; nothing where they were not asked for or nobody can."""
        if self._describer is None or not options.description:
            return "", ""
        words, writer = await self._describer.describe(image, frame, options.language, call), self._describer.model()
        return words, f"{writer.id} {writer.sha256}" if words else ""

    def _facts(self) -> ModelFacts | None:
        loaded = None if self._model is None else self._model.loaded
        return None if loaded is None else msgspec.convert(loaded.info, ModelFacts)

    def _known(self) -> tuple[EngineHandle, ModelFacts]:
        facts = self._facts()
        if self._model is None or facts is None:
            raise UNAVAILABLE(what="medical_images", retry_after=_RETRY_AFTER_S)
        return self._model, facts


def spread(frames: int, most: int) -> tuple[int, ...]:
    """At most ``most`` frame numbers, evenly over all of them, the first and the last among them."""
    if frames <= most:
        return tuple(range(frames))
    if most == 1:
        return (frames // 2,)
    return tuple(round(place * (frames - 1) / (most - 1)) for place in range(most))


def _chosen(known: ModelFacts, wanted: str, modality: str) -> LabelSet:
    name = wanted or known.by_modality.get(modality, "") or known.label_sets[0].name
    for label_set in known.label_sets:
        if label_set.name == name:
            return label_set
    raise LABEL_SET(field="label_set", name=name)


def _cautions(seen: ImageFacts, frames: tuple[int, ...], label_set: LabelSet) -> tuple[Caution, ...]:
    more: list[Caution] = []
    if len(frames) < seen.frames:
        more.append("frames_left_out")
    if not label_set.calibrated:
        more.append("not_calibrated")
    return (*seen.cautions, *more)
