"""Whether identity may be burnt into the pixels: what the file says, else what is known of its kind.

Source: DICOM PS3.3 C.7.6.1.1 (Burned In Annotation); PS3.15 E.3.1 names the kinds that usually have it. Nothing here reads the
pixels: silence is no promise.
"""

from __future__ import annotations

from typing import Any, Final

from appliance.plugin_api.images import Caution
from plugins.medical_images.reading.dicom_header import text

_LIKELY_MODALITIES: Final = frozenset({"US", "SC", "OT", "ES", "GM", "XC", "DOC", "ECG", "OP", "RF", "XA"})
_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_CONVERTED: Final = frozenset({"DF", "DI", "DV", "SD", "SI", "WSD"})
"""Digitised film or video, scanned documents, screens (Conversion Type, C.8.6.1)."""


def cautions(data: Any) -> tuple[Caution, ...]:
    """``burned_in_declared``, ``burned_in_likely`` or nothing."""
    said = text(data, "BurnedInAnnotation").upper()
    if said == "YES":
        return ("burned_in_declared",)
    if said == "NO":
        return ()
    likely = (
        text(data, "Modality").upper() in _LIKELY_MODALITIES
        or text(data, "ConversionType").upper() in _CONVERTED
        or text(data, "SOPClassUID").startswith(_SECONDARY_CAPTURE)
    )
    return ("burned_in_likely",) if likely else ()
