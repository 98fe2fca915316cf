"""What a check is: a stable id, what it may find, and for each finding the cause and the next step in both languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import msgspec

from appliance.operations.doctor.patient import Patient
from appliance.plugin_api.errors import ProntuarioError

Status = Literal["ok", "warning", "failed", "skipped"]
DEADLINE_S: Final = 8.0
"""A check that has not answered by then is told as such; all run side by side, so doctor as a whole takes little more."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check's answer. ``id`` and ``verdict`` never change their meaning; ``seconds`` is how long it took.

    ``status``: ``ok``; ``warning``: works, but somebody should see to it; ``failed``: must be mended; ``skipped``: could
    not or need not be examined, and ``cause`` says why: never a pass. ``step`` is empty only where there is nothing to do.
    """

    id: str
    verdict: str
    status: Status
    group: str
    title_pt: str
    title_en: str
    cause_pt: str
    cause_en: str
    step_pt: str = ""
    step_en: str = ""
    runbook: str = ""
    """A page of ``docs/runbooks``."""
    seconds: float = 0.0


class Words(NamedTuple):
    """A detail that differs by language."""

    pt: str
    en: str


def words_of(error: ProntuarioError) -> Words:
    """An error's sentence, without its full stop: a verdict ends the sentence."""
    return Words(error.sentence("pt").rstrip("."), error.sentence("en").rstrip("."))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something that a check may find. Called with the details that its sentences name, it makes the finding.

    ``pt`` and ``en`` are (cause, next step). Details are numbers, names and paths of the machine: never a patient's data,
    never a secret.
    """

    check: Check
    name: str
    status: Status
    pt: tuple[str, str]
    en: tuple[str, str]

    def __call__(self, **details: object) -> Finding:
        """The finding. Raises ``KeyError`` when a detail that a sentence names is missing."""
        check = self.check
        told = [_fill(text, details, 0) for text in self.pt] + [_fill(text, details, 1) for text in self.en]
        return Finding(
            id=check.id, verdict=self.name, status=self.status, group=check.group, title_pt=check.pt, title_en=check.en,
            cause_pt=told[0], step_pt=told[1], cause_en=told[2], step_en=told[3],
            runbook=check.runbook if self.status in {"warning", "failed"} else "",
        )  # fmt: skip


Examine = Callable[[Patient], Finding]


@dataclass(eq=False, slots=True)
class Check:
    """Declared once near the function that examines; ``@CHECK`` binds that function.

    ``needs_config``: it means something only if ``prontuario.toml`` could be read. ``mac``: it examines macOS itself.
    """

    id: str
    group: str
    pt: str
    en: str
    runbook: str = ""
    deadline_s: float = DEADLINE_S
    needs_config: bool = True
    mac: bool = False
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    _examine: Examine | None = None

    def __call__(self, examine: Examine) -> Examine:
        """Bind what examines."""
        self._examine = examine
        return examine

    def examine(self, patient: Patient) -> Finding:
        """Look now. May raise what its parts raise; ``run.run_checks`` turns that into a finding."""
        assert self._examine is not None, self.id  # noqa: S101  a test examines every check
        if self.mac and patient.machine.platform != "darwin":
            return ELSEWHERE(self, platform=patient.machine.platform)
        return self._examine(patient)

    def ok(self, pt: str, en: str, name: str = "well") -> Verdict:
        """Nothing to do."""
        return self._add(name, "ok", (pt, ""), (en, ""))

    def warns(self, name: str, pt: tuple[str, str], en: tuple[str, str]) -> Verdict:
        """It works, but somebody should see to it."""
        return self._add(name, "warning", pt, en)

    def fails(self, name: str, pt: tuple[str, str], en: tuple[str, str]) -> Verdict:
        """It must be mended: doctor ends with status 5."""
        return self._add(name, "failed", pt, en)

    def skips(self, name: str, pt: tuple[str, str], en: tuple[str, str]) -> Verdict:
        """It could not, or need not, be examined."""
        return self._add(name, "skipped", pt, en)

    def _add(self, name: str, status: Status, pt: tuple[str, str], en: tuple[str, str]) -> Verdict:
        if name in self.verdicts:
            raise ValueError(f"{self.id} has two verdicts {name!r}")
        self.verdicts[name] = Verdict(self, name, status, pt, en)
        return self.verdicts[name]


@dataclass(frozen=True, slots=True)
class CommonVerdict:
    """A verdict that any check may give."""

    name: str
    status: Status
    pt: tuple[str, str]
    en: tuple[str, str]

    def __call__(self, check: Check, **details: object) -> Finding:
        """The finding of ``check``."""
        return Verdict(check, self.name, self.status, self.pt, self.en)(**details)


LATE: Final = CommonVerdict(
    "late", "failed",
    ("Esta verificação não terminou em {seconds} s: algo nesta máquina está travado.",
     "Rode prontuario doctor de novo; se repetir, reinicie o Mac e informe o suporte."),
    ("This check did not end within {seconds} s: something on this machine hangs.",
     "Run prontuario doctor again; if it repeats, restart the Mac and tell support."),
)  # fmt: skip
BROKEN: Final = CommonVerdict(
    "broken", "failed",
    ("A própria verificação falhou ({error}).", "Informe o suporte."),
    ("The check itself failed ({error}).", "Tell support."),
)  # fmt: skip
HIDDEN: Final = CommonVerdict(
    "hidden", "skipped",
    ("Esta conta não pode olhar isto; só um administrador pode.", "Rode: sudo prontuario doctor"),
    ("This account may not look at it; only an administrator may.", "Run: sudo prontuario doctor"),
)  # fmt: skip
ELSEWHERE: Final = CommonVerdict(
    "elsewhere", "skipped",
    ("Não se aplica aqui: só se examina no macOS, não em {platform}.", ""),
    ("Does not apply here: examined on macOS only, not on {platform}.", ""),
)  # fmt: skip
ALONE: Final = CommonVerdict(
    "alone", "skipped",
    ("Este nó trabalha sozinho: não há par configurado.", ""),
    ("This node works alone: no pair is configured.", ""),
)  # fmt: skip
STOPPED: Final = CommonVerdict(
    "stopped", "skipped",
    ("O nó não está rodando, ou não responde, e isto não pôde ser perguntado.", "Resolva primeiro o que a verificação node diz."),
    ("The node does not run, or does not answer, so this could not be asked.", "First see to what the check node says."),
)  # fmt: skip
UNREAD: Final = CommonVerdict(
    "unread", "skipped",
    ("Depende de prontuario.toml, que não pôde ser lido.", "Corrija primeiro o que a verificação configuration diz."),
    ("Depends on prontuario.toml, which could not be read.", "First correct what the check configuration says."),
)  # fmt: skip
UNTOLD: Final = CommonVerdict(
    "untold", "skipped",
    ("O outro nó não disse isto.", "Resolva primeiro o que a verificação peer diz."),
    ("The other node did not tell this.", "First see to what the check peer says."),
)  # fmt: skip
COMMON: Final = (LATE, BROKEN, HIDDEN, ELSEWHERE, ALONE, STOPPED, UNREAD, UNTOLD)


def _fill(text: str, details: Mapping[str, object], language: int) -> str:
    chosen = {key: value[language] if isinstance(value, Words) else value for key, value in details.items()}
    return text.format_map(chosen)
