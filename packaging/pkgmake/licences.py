"""The licences of everything inside: collected, written down, and GPL refused.

A licence is read from ``License-Expression`` (PEP 639), else ``License``, else the classifiers. LGPL passes (libraries that are
loaded, and can be replaced); GPL and AGPL don't, nor does a package that says nothing, unless a person has reviewed what we
ship of it (``policy.toml``).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import Final

from pkgmake.errors import BuildError
from pkgmake.policy import Policy
from pkgmake.wheels import Wheel, dist_info, metadata

_LESSER: Final = re.compile(r"\bL-?GPL[-\w.+]*|GNU (?:Lesser|Library)[^;|]*", re.IGNORECASE)
_STRONG: Final = re.compile(r"A?GPL|GNU (?:Affero )?General Public", re.IGNORECASE)
_TEXT: Final = re.compile(r"licen[cs]|copying|notice|copyright", re.IGNORECASE)
_LONGEST_NAME: Final = 100
_NONE_SAID: Final = {"", "unknown", "none"}


@dataclass(frozen=True, slots=True)
class Licensed:
    """One part of the package with its licence: an SPDX expression or the author's own words; ``texts`` by file name."""

    name: str
    version: str
    licence: str
    texts: Mapping[str, bytes]
    sha256: str
    home: str
    purl: str
    reviewed: str = ""


def of_wheel(wheel: Wheel, policy: Policy) -> Licensed:
    """What a wheel says about its licence.

    Raises:
        BuildError: GPL, or nothing said, or no text of it; each unless reviewed.
    """
    with zipfile.ZipFile(wheel.path) as zipped:
        told = metadata(zipped)
        texts = _texts(zipped)
    name, version = wheel.pin.name, wheel.pin.version
    review = policy.licences.get(name)
    licence = review.expression if review else stated(told)
    _refuse(name, licence, reviewed=review is not None)
    if not texts:
        texts = standard_texts(name, licence, policy)
    home = str(told.get("Home-page") or _project_url(told))
    reason = review.reason if review else ""
    return Licensed(name, version, licence, texts, wheel.sha256, home, f"pkg:pypi/{name}@{version}", reason)


def stated(told: Message) -> str:
    """The licence as the metadata says it; empty when it does not. All its words count, so that GPL in one of them is seen."""
    expression = str(told.get("License-Expression") or "").strip()
    if expression:
        return expression
    short = str(told.get("License") or "").strip().splitlines()
    classifiers = [
        str(value).rpartition(" :: ")[2]
        for value in told.get_all("Classifier", [])
        if str(value).startswith("License ::") and not str(value).endswith(":: OSI Approved")
    ]
    said = [line for line in short[:1] if line.lower() not in _NONE_SAID and len(line) <= _LONGEST_NAME]
    return "; ".join(dict.fromkeys([*said, *classifiers]))


def is_strong_copyleft(licence: str) -> bool:
    """Whether GPL or AGPL is named, the lesser one aside."""
    return _STRONG.search(_LESSER.sub("", licence)) is not None


def _refuse(name: str, licence: str, *, reviewed: bool) -> None:
    step = "Leave the package out, or have its licence reviewed and written into packaging/policy.toml."
    if not licence:
        raise BuildError(f"{name} does not say under which licence it is.", step)
    if is_strong_copyleft(licence) and not reviewed:
        raise BuildError(f"{name} is under the GPL ({licence}): it can't be part of the package.", step)


def _texts(zipped: zipfile.ZipFile) -> dict[str, bytes]:
    info = dist_info(zipped)
    found = {}
    for name in sorted(zipped.namelist()):
        path = PurePosixPath(name)
        if name.endswith("/") or path.parts[0] != info:
            continue
        if path.parts[1] == "licenses" or _TEXT.search(path.name):
            found["-".join(path.parts[1:])] = zipped.read(name)
    return found


def standard_texts(name: str, licence: str, policy: Policy) -> dict[str, bytes]:
    """For what carries no text: the standard ones of the licences that it names.

    Raises:
        BuildError: none is known.
    """
    known = {spdx: text for spdx, text in policy.texts.items() if re.search(rf"\b{re.escape(spdx)}\b", licence)}
    if not known:
        raise BuildError(
            f"{name} carries no licence text, and none is known for {licence!r}.",
            "Write the reviewed SPDX expression, and if need be its text, into packaging/policy.toml.",
        )
    return {f"{spdx}.txt": text.encode() for spdx, text in sorted(known.items())}


def _project_url(told: Message) -> str:
    urls = [str(value).partition(",")[2].strip() for value in told.get_all("Project-URL", [])]
    return urls[0] if urls else ""


def write_texts(parts: Iterable[Licensed], folder: Path) -> None:
    """Write each part's texts into a folder of its own, and ``README.txt`` that lists parts, versions and licences."""
    lines = ["What is inside, and under which licence. The texts lie in the folders beside this file.", ""]
    for part in sorted(parts, key=lambda one: one.name):
        own = folder / f"{part.name}-{part.version}"
        own.mkdir(parents=True)
        for name, text in part.texts.items():
            (own / name).write_bytes(text)
        lines.append(f"{part.name} {part.version}: {part.licence}")
        if part.reviewed:
            lines.append(f"    reviewed: {part.reviewed}")
    (folder / "README.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
