"""From stored values to grey: rescale, window or look-up table, then 8 bits. Source: DICOM PS3.3 C.11.1 and C.11.2.

It works on stripes of rows, so that a picture of many megapixels never stands in memory as floating point.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from plugins.medical_images.reading.dicom_header import Shape, text

Array = np.ndarray[Any, np.dtype[Any]]
_STRIPE_PIXELS: Final = 1 << 20
_SAMPLED: Final = 1 << 18
_LOW, _HIGH = 0.5, 99.5
"""Percentiles of the guessed window: a bright marker or a dark border shall not take all the greys."""
_PLAIN_BITS: Final = 8


class Window(msgspec.Struct, frozen=True):
    """Which values become grey. ``function`` is DICOM's (0028,1056); ``guessed``: the file says nothing."""

    centre: float
    width: float
    function: str = "LINEAR"
    guessed: bool = False


class Grey:
    """Turns one frame's stored values into 8-bit grey."""

    def __init__(self, data: Dataset, shape: Shape, frame: int) -> None:
        self._data, self._shape = data, shape
        transformation = _group(data, frame, "PixelValueTransformationSequence")
        self._slope = _decimal(transformation, "RescaleSlope", 1.0)
        self._intercept = _decimal(transformation, "RescaleIntercept", 0.0)
        self._look_up = bool(data.get("ModalityLUTSequence"))
        self._voi = _group(data, frame, "FrameVOILUTSequence")
        self._signed = text(data, "PixelRepresentation") == "1"

    def eight_bits(self, stored: Array) -> tuple[Array, bool]:
        """``stored`` (rows, columns) as uint8, dark to bright as it is meant to be seen; and whether the window was guessed."""
        table = bool(self._voi.get("VOILUTSequence")) and not text(self._voi, "WindowCenter")
        window = None if table else self.window(stored)
        grey = np.empty(stored.shape, np.uint8)
        rows = max(1, _STRIPE_PIXELS // stored.shape[1])
        for start in range(0, stored.shape[0], rows):
            values = self._values(stored[start : start + rows])
            if window is None:
                grey[start : start + rows] = self._through_table(values)
            else:
                grey[start : start + rows] = windowed(values, window)
        if self._shape.photometric == "MONOCHROME1":
            np.subtract(255, grey, out=grey)
        return grey, window is not None and window.guessed

    def window(self, stored: Array) -> Window:
        """The file's first window, else the full range of 8 bits, else a guess over what is there."""
        centre, width = text(self._voi, "WindowCenter"), text(self._voi, "WindowWidth")
        if centre and width and float(width) >= 1:
            return Window(float(centre), float(width), text(self._voi, "VOILUTFunction").upper() or "LINEAR")
        plain = self._slope == 1 and self._intercept == 0 and not self._look_up and not self._signed
        if plain and self._shape.bits <= _PLAIN_BITS:
            span = float((1 << self._shape.bits) - 1)
            return Window(span / 2, span, "LINEAR_EXACT")
        return self._guess(stored)

    def _guess(self, stored: Array) -> Window:
        step = max(1, int((stored.size / _SAMPLED) ** 0.5))
        sample = stored[::step, ::step]
        padding = text(self._data, "PixelPaddingValue")
        if padding:
            sample = sample[sample != int(padding)]
        values = self._values(sample.reshape(1, -1))
        values = values[np.isfinite(values)]
        if values.size == 0:
            return Window(0.5, 1.0, "LINEAR_EXACT", guessed=True)
        low, high = (float(value) for value in np.percentile(values, (_LOW, _HIGH)))
        return Window((low + high) / 2, max(high - low, 1e-6), "LINEAR_EXACT", guessed=True)

    def _values(self, stored: Array) -> Array:
        """Modality values in float32 (float64 where the stored ones are wider than 16 bits)."""
        if self._look_up:
            looked_up: Array = apply_modality_lut(stored, self._data).astype(np.float32)
            return looked_up
        wide = stored.dtype.itemsize > 2  # noqa: PLR2004  bytes
        values: Any = self._without_foreign_bits(stored).astype(np.float64 if wide else np.float32)
        if self._slope != 1:
            values *= self._slope
        if self._intercept:
            values += self._intercept
        made: Array = values
        return made

    def _without_foreign_bits(self, stored: Array) -> Array:
        """Old files keep overlays in the bits above ``BitsStored``."""
        spare = stored.dtype.itemsize * 8 - self._shape.bits
        if spare <= 0 or stored.dtype.kind not in "ui" or self._shape.bits < _PLAIN_BITS:
            return stored
        return (stored << spare) >> spare

    def _through_table(self, values: Array) -> Array:
        whole = values.astype(np.int64 if values.dtype == np.float64 else np.int32)
        found = apply_voi(whole, self._voi)
        bits = int(self._voi.VOILUTSequence[0].LUTDescriptor[2])
        grey: Array = (found.astype(np.float32) * (255.0 / ((1 << bits) - 1))).clip(0, 255).round().astype(np.uint8)
        return grey


def windowed(values: Array, window: Window) -> Array:
    """``values`` as uint8 through a window (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if window.function == "SIGMOID":
        with np.errstate(over="ignore"):
            grey = 1.0 / (1.0 + np.exp(-4.0 * (values - window.centre) / window.width))
    elif window.function == "LINEAR_EXACT" or window.width <= 1:
        grey = (values - window.centre) / window.width + 0.5
    else:
        grey = (values - (window.centre - 0.5)) / (window.width - 1) + 0.5
    scaled = np.nan_to_num(grey.clip(0, 1) * 255, nan=0.0)
    rounded: Array = np.rint(scaled).astype(np.uint8)
    return rounded


def _group(data: Dataset, frame: int, sequence: str) -> Dataset:
    """Where the frame's values of this functional group stand: its own, the shared ones, or the data set itself."""
    frames = data.get("PerFrameFunctionalGroupsSequence") or []
    shared = data.get("SharedFunctionalGroupsSequence") or []
    for groups in ([frames[frame]] if frame < len(frames) else []), shared:
        for group in groups:
            found = group.get(sequence)
            if found:
                first: Dataset = found[0]
                return first
    return data


def _decimal(data: Dataset, keyword: str, missing: float) -> float:
    found = text(data, keyword)
    return float(found) if found else missing
