"""Where a node keeps its reports: ``<id>.pdf``, ``<id>.json`` and a folder of attachments, in the home, not in the record.

A standby makes reports too, and a report must be readable when the record is not.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.drills.errors import REPORT_UNKNOWN
from appliance.operations.drills.model import Summary, summary_of
from appliance.operations.drills.signing import SignedReport, encode, sealed
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.telemetry.logs import get_logger

log = get_logger("drills")
KEEP: Final = 400
"""Reports of each drill: more than a year of the daily one."""
_ID: Final = re.compile(r"[a-z0-9-]{1,80}")


class Shelf:
    """Every method blocks for a little: call them on a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Summary] | None = None

    def keep(self, signed: SignedReport, pdf: bytes, files: dict[str, bytes]) -> Path:
        """Keep a report and what it names; where its PDF lies. ``pdf`` is the one that was signed.

        Raises:
            OSError: the disk is full, or fails.
        """
        report = signed.facts
        make_folder(self._folder.absolute())
        if files:
            make_folder((self._folder / report.id).absolute())
        for name, content in files.items():
            write_file(self._folder / report.id / name, content)
        path = self._folder / f"{report.id}.pdf"
        write_file(path, sealed(pdf, signed))
        write_file(self._folder / f"{report.id}.json", encode(signed))
        self.history()
        assert self._known is not None  # noqa: S101  just read
        self._known[report.id] = summary_of(report)
        self._thin(report.drill)
        return path

    def history(self) -> list[Summary]:
        """Every report in one line, newest first; one that can't be read is left out, and told in the log."""
        if self._known is None:
            found = (self._read(path) for path in sorted(self._folder.glob("*-*.json")))
            self._known = {one.facts.id: summary_of(one.facts) for one in found if one is not None}
        return sorted(self._known.values(), key=lambda one: one.ended_at, reverse=True)

    def pdf(self, report_id: str) -> bytes:
        """A report's PDF with its signature inside.

        Raises:
            ProntuarioError: ``drill.no_report``.
        """
        try:
            return self._place(report_id, ".pdf").read_bytes()
        except OSError as error:
            raise REPORT_UNKNOWN(id=report_id) from error

    def _place(self, report_id: str, ending: str) -> Path:
        if not _ID.fullmatch(report_id):
            raise REPORT_UNKNOWN(id="?")
        return self._folder / f"{report_id}{ending}"

    def _thin(self, drill: str) -> None:
        old = [one for one in self.history() if one.drill == drill][KEEP:]
        for one in old:
            for ending in (".pdf", ".json"):
                self._place(one.id, ending).unlink(missing_ok=True)
            shutil.rmtree(self._folder / one.id, ignore_errors=True)
            assert self._known is not None  # noqa: S101  ``history`` read it
            del self._known[one.id]

    @staticmethod
    def _read(path: Path) -> SignedReport | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=SignedReport)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("a drill's report can't be read", path=path.name, error=type(error).__name__)
            return None
