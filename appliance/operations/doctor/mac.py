"""What macOS itself has to be told: encryption, sleep, Time Machine, signatures, the packet filter.

Each asks one program of the system and reads what it prints. The formats are those of the manual pages and of macOS 14 and
15; tests replay them, and no Mac has confirmed them yet (docs/doctor.md).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Patient
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.litestream_config import program as litestream_program

SLEEP_MUST: Final = {"sleep": "0", "autorestart": "1"}
SLEEP_SHOULD: Final = {"disksleep": "0", "standby": "0", "powernap": "0", "womp": "1"}
"""As packaging/scripts/power_settings.sh sets them; a name that this Mac does not show does not exist on it."""
ANCHOR: Final = "br.prontuario"
ANCHOR_FILE: Final = "etc/pf.anchors/br.prontuario"
SCRIPTS: Final = "/Library/Prontuario/current/scripts"
_SETTING: Final = re.compile(r"^\s(\w+)\s+(\d+)\b", re.MULTILINE)
_PERCENT: Final = re.compile(r"Percent completed = ([\d.]+)")

VAULT: Final = Check("filevault", "macos", pt="FileVault", en="FileVault", runbook="power-failed", mac=True)
_VAULT_WELL = VAULT.ok(
    "O disco é cifrado. Depois de uma queda de energia alguém precisa desbloqueá-lo neste Mac.",
    "The disk is encrypted. After a power cut somebody has to unlock it at this Mac.",
)
_VAULT_OFF = VAULT.warns(
    "off",
    ("O FileVault está desligado: quem levar este Mac lê o disco.",
     "Rode: sudo fdesetup enable, e guarde a chave de recuperação em papel, fora desta sala."),
    ("FileVault is off: who takes this Mac away reads its disk.",
     "Run: sudo fdesetup enable, and keep the recovery key on paper, outside this room."),
)  # fmt: skip
_VAULT_WORKING = VAULT.warns(
    "working",
    (
        "O FileVault ainda cifra (ou decifra) o disco: {percent} %.",
        "Deixe o Mac ligado e rode prontuario doctor amanhã.",
    ),
    (
        "FileVault is still encrypting (or decrypting): {percent} %.",
        "Leave the Mac on and run prontuario doctor tomorrow.",
    ),
)

SLEEP: Final = Check(
    "sleep", "macos", pt="Repouso e religamento", en="Sleep and restart", runbook="power-failed", mac=True
)
_SLEEP_WELL = SLEEP.ok(
    "Nunca dorme, e liga sozinho quando a energia volta.", "Never sleeps, and starts by itself when the power is back."
)
_POWER_STEP: Final = (f"Rode: sudo sh {SCRIPTS}/power_settings.sh", f"Run: sudo sh {SCRIPTS}/power_settings.sh")
_SLEEPS = SLEEP.fails(
    "wrong", ("Está {found}: este Mac dorme, ou fica desligado depois de uma queda de energia.", _POWER_STEP[0]),
    ("It is {found}: this Mac sleeps, or stays off after a power cut.", _POWER_STEP[1]),
)  # fmt: skip
_DOZES = SLEEP.warns(
    "lax", ("Está {found}; devia ser {wanted}.", _POWER_STEP[0]), ("It is {found}; should be {wanted}.", _POWER_STEP[1])
)

TIME_MACHINE: Final = Check("time-machine", "macos", pt="Time Machine", en="Time Machine", mac=True)
_EXCLUDED = TIME_MACHINE.ok("O Time Machine não copia o prontuário.", "Time Machine does not copy the record.")
_INCLUDED = TIME_MACHINE.fails(
    "included",
    ("O Time Machine copia {path}: dados de pacientes e chaves vão parar num disco que ninguém escolheu para isso.",
     f"Rode: sudo sh {SCRIPTS}/time_machine.sh '{{home}}', e apague o que já foi copiado."),
    ("Time Machine copies {path}: patients' data and keys go to a disk that nobody has chosen for them.",
     f"Run: sudo sh {SCRIPTS}/time_machine.sh '{{home}}', and delete what was copied."),
)  # fmt: skip

SIGNED: Final = Check("signatures", "macos", pt="Assinatura dos programas", en="The programs' signatures", mac=True)
_SIGNED_WELL = SIGNED.ok("{count} programas estão como foram assinados.", "{count} programs are as they were signed.")
_ALTERED = SIGNED.fails(
    "altered",
    (
        "{path} não está como foi assinado ({said}).",
        "Reinstale o Prontuário. Se repetir, alguém muda arquivos deste Mac: chame o suporte.",
    ),
    (
        "{path} is not as it was signed ({said}).",
        "Install Prontuário again. If it repeats, somebody changes files of this Mac: call support.",
    ),
)

FIREWALL: Final = Check("firewall", "macos", pt="Filtro de pacotes", en="Packet filter", mac=True)
_FIREWALL_WELL = FIREWALL.ok("Está ligado, com {count} regras nossas.", "It is on, with {count} rules of ours.")
_LOAD: Final = ("Rode: sudo prontuario launchd render --out / e sudo prontuario launchd load",
                "Run: sudo prontuario launchd render --out / and sudo prontuario launchd load")  # fmt: skip
_NO_FIREWALL = FIREWALL.warns(
    "missing", ("As regras não estão instaladas: toda porta aberta deste Mac é alcançável.", _LOAD[0]),
    ("The rules are not installed: every open port of this Mac can be reached.", _LOAD[1]),
)  # fmt: skip
_FIREWALL_OFF = FIREWALL.fails(
    "off", ("O filtro de pacotes está desligado.", _LOAD[0]), ("The packet filter is off.", _LOAD[1])
)
_NO_RULES = FIREWALL.fails(
    "empty", ("O filtro está ligado sem as nossas regras.", _LOAD[0]), ("The filter is on without our rules.", _LOAD[1])
)
_UNASKED = FIREWALL.skips(
    "unasked",
    ("Só um administrador pode perguntar isto ao macOS.", "Rode: sudo prontuario doctor"),
    ("Only an administrator may ask macOS this.", "Run: sudo prontuario doctor"),
)


@VAULT
def filevault(patient: Patient) -> Finding:
    """``fdesetup status`` says ``FileVault is On.``; the record's index and the free space lie on that disk too."""
    said = patient.machine.ask("fdesetup", "status")
    text = said.out if said is not None else ""
    if found := _PERCENT.search(text):
        return _VAULT_WORKING(percent=found[1])
    return _VAULT_WELL() if "FileVault is On." in text else _VAULT_OFF()


@SLEEP
def sleep(patient: Patient) -> Finding:
    """``pmset -g custom`` shows what packaging/scripts/power_settings.sh sets, in every section (mains, battery, UPS)."""
    said = patient.machine.ask("pmset", "-g", "custom")
    shown = _SETTING.findall(said.out) if said is not None else []
    settings: dict[str, set[str]] = {}
    for name, value in shown:
        settings.setdefault(name, set()).add(value)
    if wrong := _differing(settings, SLEEP_MUST):
        return _SLEEPS(found=", ".join(wrong))
    if "sleep" not in settings:
        return _SLEEPS(found="sleep ?")
    if lax := _differing(settings, SLEEP_SHOULD):
        return _DOZES(found=", ".join(lax), wanted=", ".join(f"{name} {value}" for name, value in SLEEP_SHOULD.items()))
    return _SLEEP_WELL()


def _differing(settings: dict[str, set[str]], wanted: dict[str, str]) -> list[str]:
    return [
        f"{name} {found}" for name, value in wanted.items() for found in sorted(settings.get(name, set()) - {value})
    ]


@TIME_MACHINE
def time_machine(patient: Patient) -> Finding:
    """``tmutil isexcluded`` prints ``[Excluded]`` or ``[Included]`` before each path."""
    home = patient.paths.home
    said = patient.machine.ask("tmutil", "isexcluded", str(home))
    excluded = said is not None and not said.status and said.out.lstrip().startswith("[Excluded]")
    return _EXCLUDED() if excluded else _INCLUDED(path=home, home=home)


@SIGNED
def signatures(patient: Patient) -> Finding:
    """``codesign --verify --strict`` accepts every program that we start."""
    programs = list(_programs(patient))
    for path in programs:
        said = patient.machine.ask("codesign", "--verify", "--strict", str(path))
        if said is None or said.status:
            lines = said.err.strip().splitlines() if said is not None else []
            return _ALTERED(path=path, said=lines[0].rpartition(": ")[2] if lines else "codesign ?")
    return _SIGNED_WELL(count=len(programs))


def _programs(patient: Patient) -> Iterator[Path]:
    yield Path(sys.executable).resolve()
    try:
        yield litestream_program(patient.machine.python_prefix, patient.machine.search_path)
    except ProntuarioError:
        return  # that is the check litestream's matter
    if (etcd := patient.machine.program("etcd")) is not None:
        yield Path(etcd)


@FIREWALL
def firewall(patient: Patient) -> Finding:
    """``pfctl -s info`` says ``Status: Enabled``, the main rules call our anchor, and it has rules; it answers root only."""
    if not (patient.machine.root / ANCHOR_FILE).exists():
        return _NO_FIREWALL()
    state = patient.machine.ask("pfctl", "-s", "info")
    if state is None or "Status:" not in state.out:
        return _UNASKED()
    if "Status: Enabled" not in state.out:
        return _FIREWALL_OFF()
    main = patient.machine.ask("pfctl", "-s", "rules")
    if main is None or f'anchor "{ANCHOR}"' not in main.out:
        # macOS's own rules hold, as while a second Mac joins: what lies in our anchor filters nothing.
        return _NO_RULES()
    rules = patient.machine.ask("pfctl", "-a", ANCHOR, "-s", "rules")
    lines = [line for line in rules.out.splitlines() if line.startswith(("pass", "block"))] if rules is not None else []
    return _FIREWALL_WELL(count=len(lines)) if lines else _NO_RULES()
