"""launchd's view of the node: the files of its jobs, and whether each job runs."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Final

from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Patient, Said

FOLDER: Final = "Library/LaunchDaemons"
PATTERN: Final = "br.prontuario.*.plist"
ENDS_AT_ONCE: Final = frozenset({"br.prontuario.firewall"})
"""Jobs that do their work and end, so that ``not running`` is their rest."""
_OTHERS_MAY_WRITE: Final = 0o022
_STATE: Final = re.compile(r"^\tstate = (.+)$", re.MULTILINE)
_LAST_EXIT: Final = re.compile(r"^\tlast exit code = (-?\d+)", re.MULTILINE)
_RENDER: Final = ("Rode: sudo prontuario launchd render --out / e sudo prontuario launchd load",
                  "Run: sudo prontuario launchd render --out / and sudo prontuario launchd load")  # fmt: skip

FILES: Final = Check("launchd-files", "macos", pt="Arquivos do launchd", en="launchd's files", mac=True)
_FILES_WELL = FILES.ok("{count} serviços estão instalados.", "{count} jobs are installed.")
_NO_FILES = FILES.warns(
    "missing",
    ("Nenhum serviço está instalado em {folder}: o nó não volta sozinho depois de uma queda de energia.", _RENDER[0]),
    ("No job is installed in {folder}: the node does not come back by itself after a power cut.", _RENDER[1]),
)
_REFUSED = FILES.fails(
    "refused",
    (
        "{name} não é só de root: o launchd o recusa, e outros poderiam mudá-lo.",
        "Rode: sudo chown root:wheel '{path}' && sudo chmod 644 '{path}'",
    ),
    (
        "{name} is not root's alone: launchd refuses it, and others could change it.",
        "Run: sudo chown root:wheel '{path}' && sudo chmod 644 '{path}'",
    ),
)

JOBS: Final = Check("launchd-jobs", "macos", pt="Serviços do launchd", en="launchd's jobs", mac=True)
_JOBS_WELL = JOBS.ok("{count} serviços estão como devem.", "{count} jobs are as they should be.")
_NO_JOBS = JOBS.ok("Nenhum serviço está instalado.", "No job is installed.", "none")
_NOT_LOADED = JOBS.fails(
    "unloaded",
    ("O launchd não conhece {label}.", "Rode: sudo prontuario launchd load"),
    ("launchd does not know {label}.", "Run: sudo prontuario launchd load"),
)
_NOT_RUNNING = JOBS.fails(
    "down",
    (
        "{label} não está rodando ({state}; terminou com {code}).",
        "Veja {log}; depois: sudo launchctl kickstart -k system/{label}",
    ),
    (
        "{label} does not run ({state}; it ended with {code}).",
        "See {log}; then: sudo launchctl kickstart -k system/{label}",
    ),
)


@FILES
def launchd_files(patient: Patient) -> Finding:
    """Every plist of ours is root's and nobody else may write it; launchd ignores any other."""
    files = _files(patient)
    if not files:
        return _NO_FILES(folder=patient.machine.root / FOLDER)
    for path in files:
        facts = path.stat()
        if facts.st_uid != patient.machine.root_user or stat.S_IMODE(facts.st_mode) & _OTHERS_MAY_WRITE:
            return _REFUSED(name=path.name, path=path)
    return _FILES_WELL(count=len(files))


@JOBS
def launchd_jobs(patient: Patient) -> Finding:
    """``launchctl print system/LABEL`` says ``state = running``; for a job that ends at once, ``last exit code = 0``."""
    files = _files(patient)
    for path in files:
        label = path.name.removesuffix(".plist")
        said = patient.machine.ask("launchctl", "print", f"system/{label}")
        if said is None or said.status:
            return _NOT_LOADED(label=label)
        if not _as_it_should_be(label, said):
            log = Path("/var/log/prontuario") / f"{label.rpartition('.')[2]}.log"
            return _NOT_RUNNING(label=label, state=_first(_STATE, said), code=_first(_LAST_EXIT, said), log=log)
    return _JOBS_WELL(count=len(files)) if files else _NO_JOBS()


def _as_it_should_be(label: str, said: Said) -> bool:
    return _first(_LAST_EXIT, said) == "0" if label in ENDS_AT_ONCE else _first(_STATE, said) == "running"


def _first(pattern: re.Pattern[str], said: Said) -> str:
    found = pattern.search(said.out)
    return found[1] if found else "?"


def _files(patient: Patient) -> list[Path]:
    return sorted((patient.machine.root / FOLDER).glob(PATTERN))
