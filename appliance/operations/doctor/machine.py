"""The machine and its programs: memory, open files, models, audio tools, fast arithmetic."""

from __future__ import annotations

import plistlib
import resource
from typing import Final

from appliance.operations.doctor.model import Check, Finding, Words
from appliance.operations.doctor.patient import Patient
from appliance.operations.packs.shelf import Shelf

MEMORY_SHARE: Final = 0.85
"""More than this for models leaves too little for the API, the record and the system."""
AVAILABLE_SHARE: Final = 0.05
FILES_PER_CONNECTION: Final = 1.25
"""A connection is one descriptor; the record, engines and links need some hundreds besides."""
CORE_PLIST: Final = "Library/LaunchDaemons/br.prontuario.core.plist"
_MODELS: Final = {"speech_to_text": Words("fala", "speech"), "chat_model": Words("notas e conversa", "notes and chat")}
_GIB: Final = 1 << 30

MEMORY: Final = Check("memory", "machine", pt="Memória para os modelos", en="Memory for the models")
_MEMORY_WELL = MEMORY.ok("{wanted} de {total} GiB são dos modelos.", "{wanted} of {total} GiB are for models.")
_MEMORY_SHARED = MEMORY.ok("60 % de {total} GiB são dos modelos.", "60 % of {total} GiB are for models.", "default")
_LOWER: Final = (
    "Baixe memory.ai_bytes em prontuario.toml, ou tire a linha para usar 60 % da máquina.",
    "Lower memory.ai_bytes in prontuario.toml, or remove the line to use 60 % of the machine.",
)
_TIGHT = MEMORY.warns(
    "tight",
    ("{wanted} de {total} GiB são dos modelos: sobra pouco para o resto.", _LOWER[0]),
    ("{wanted} of {total} GiB are for models: little is left for the rest.", _LOWER[1]),
)
_TOO_MUCH = MEMORY.fails(
    "too-much",
    ("{wanted} GiB são dos modelos, e a máquina só tem {total}.", _LOWER[0]),
    ("{wanted} GiB are for models, and the machine has {total} only.", _LOWER[1]),
)

FREE: Final = Check(
    "memory-free", "machine", pt="Memória livre", en="Free memory", runbook="engine-down", needs_config=False
)
_FREE_WELL = FREE.ok("{free} de {total} GiB estão disponíveis.", "{free} of {total} GiB are available.")
_SHORT = FREE.warns(
    "short",
    ("Só {free} de {total} GiB estão disponíveis: os modelos podem cair.",
     "Feche o que não é do Prontuário (Monitor de Atividade mostra o que ocupa); se for ele, baixe memory.ai_bytes."),
    ("Only {free} of {total} GiB are available: models may die.",
     "Close what is not Prontuário's (Activity Monitor shows what takes it); if it is, lower memory.ai_bytes."),
)  # fmt: skip

FILES: Final = Check("open-files", "machine", pt="Arquivos abertos", en="Open files")
_FILES_WELL = FILES.ok(
    "Um nó iniciado {where} pode abrir {limit} arquivos.", "A node started {where} may open {limit} files."
)
_FEW = FILES.warns(
    "few",
    ("Um nó iniciado {where} só pode abrir {limit} arquivos; {connections} conexões pedem {needed}.", "{step}"),
    ("A node started {where} may open {limit} files only; {connections} connections need {needed}.", "{step}"),
)

MODELS: Final = Check("models", "machine", pt="Modelos", en="Models", runbook="engine-down")
_MODELS_WELL = MODELS.ok("Há pacotes de modelos instalados.", "Model packs are installed.")
_DOUBTED = MODELS.fails(
    "doubted",
    ("O pacote {pack} atende e não merece confiança ({trouble}).",
     "Veja prontuario models verify {pack}; depois prontuario models rollback {capability}, ou importe-o de novo."),
    ("The pack {pack} serves and is not to be believed ({trouble}).",
     "See prontuario models verify {pack}; then prontuario models rollback {capability}, or import it anew."),
)  # fmt: skip
_DEMONSTRATION = MODELS.warns(
    "demonstration",
    ("Um modelo de demonstração faz {what}: só entende a consulta de exemplo.",
     "Importe um pacote assinado: prontuario models import, depois prontuario models activate (docs/model-packs.md)."),
    ("A demonstration model serves {what}: it understands only the sample consult.",
     "Take a signed pack in: prontuario models import, then prontuario models activate (docs/model-packs.md)."),
)  # fmt: skip

AUDIO: Final = Check("audio", "machine", pt="Áudio dos iPhones", en="iPhones' audio", needs_config=False)
_AUDIO_WELL = AUDIO.ok(
    "{name} decodifica AAC; WAV, FLAC, MP3 e Opus não precisam de programa.",
    "{name} decodes AAC; WAV, FLAC, MP3 and Opus need no program.",
)
_DEAF = AUDIO.warns(
    "deaf",
    (
        "Nada aqui decodifica AAC/M4A, o que os iPhones gravam.",
        "No macOS, afconvert faz parte do sistema: confira PATH. No Debian: apt install ffmpeg",
    ),
    (
        "Nothing here decodes AAC/M4A, which iPhones record.",
        "On macOS, afconvert belongs to the system: check PATH. On Debian: apt install ffmpeg",
    ),
)

VOICE: Final = Check("voice", "machine", pt="Leitura em voz alta", en="Reading aloud", needs_config=False)
_VOICE_WELL = VOICE.ok("{name} lê textos em voz alta.", "{name} reads texts aloud.")
_MUTE = VOICE.warns(
    "mute",
    (
        "Não há sintetizador de voz: as notas não são lidas em voz alta.",
        "No macOS, say faz parte do sistema: confira PATH. No Debian: apt install espeak-ng",
    ),
    (
        "There is no speech synthesiser: notes are not read aloud.",
        "On macOS, say belongs to the system: check PATH. On Debian: apt install espeak-ng",
    ),
)

ARITHMETIC: Final = Check("arithmetic", "machine", pt="Cálculo rápido", en="Fast arithmetic", needs_config=False)
_ARITHMETIC_WELL = ARITHMETIC.ok("Usa-se {name}.", "{name} is used.")
_SYSTEMS_OWN = ARITHMETIC.ok("Usa-se a biblioteca do próprio sistema.", "The system's own library is used.", "system")
_SLOW = ARITHMETIC.warns(
    "slow",
    ("Falta o OpenBLAS: os modelos rodam 10 a 100 vezes mais devagar.", "No Debian: apt install libopenblas0-pthread"),
    ("OpenBLAS is missing: models run 10 to 100 times slower.", "On Debian: apt install libopenblas0-pthread"),
)


@MEMORY
def memory(patient: Patient) -> Finding:
    """The models' budget fits the machine."""
    total, wanted = patient.machine.memory_bytes(), patient.config.memory.ai_bytes
    shown = {"wanted": f"{wanted / _GIB:.1f}", "total": f"{total / _GIB:.1f}"}
    if wanted > total:
        return _TOO_MUCH(**shown)
    if wanted > total * MEMORY_SHARE:
        return _TIGHT(**shown)
    return (_MEMORY_WELL if wanted else _MEMORY_SHARED)(**shown)


@FREE
def memory_free(patient: Patient) -> Finding:
    """The system is not about to end processes for want of memory."""
    total, free = patient.machine.memory_bytes(), patient.machine.available_bytes()
    verdict = _SHORT if free < total * AVAILABLE_SHARE else _FREE_WELL
    return verdict(free=f"{free / _GIB:.1f}", total=f"{total / _GIB:.1f}")


@FILES
def open_files(patient: Patient) -> Finding:
    """A node may open as many files as its connections need: by launchd's job where it is installed, else by this shell."""
    connections = patient.config.api.max_connections
    needed = int(connections * FILES_PER_CONNECTION)
    job = patient.machine.root / CORE_PLIST
    if job.exists():
        limits = plistlib.loads(job.read_bytes()).get("SoftResourceLimits", {})
        limit, where = int(limits.get("NumberOfFiles", 256)), Words("pelo launchd", "by launchd")
        step = Words("Rode: sudo prontuario launchd render --out / e sudo prontuario launchd load",
                     "Run: sudo prontuario launchd render --out / and sudo prontuario launchd load")  # fmt: skip
    else:
        limit, where = resource.getrlimit(resource.RLIMIT_NOFILE)[0], Words("deste terminal", "from this shell")
        step = Words("Neste terminal, antes de prontuario up: ulimit -n 65536",
                     "In this shell, before prontuario up: ulimit -n 65536")  # fmt: skip
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return _FILES_WELL(where=where, limit=limit)
    return _FEW(where=where, limit=limit, connections=connections, needed=needed, step=step)


@MODELS
def models(patient: Patient) -> Finding:
    """Real model packs are installed, and none of those that serve is to be doubted."""
    for row in Shelf(patient.paths.models, patient.paths.pack_keys).rows():
        if row.active and row.trouble:
            return _DOUBTED(pack=row.pack, trouble=row.trouble, capability=row.capability)
    lacking = [shown for name, shown in _MODELS.items() if not (patient.paths.models / name / "active").exists()]
    if lacking:
        return _DEMONSTRATION(
            what=Words(" e ".join(one.pt for one in lacking), " and ".join(one.en for one in lacking))
        )
    return _MODELS_WELL()


@AUDIO
def audio(patient: Patient) -> Finding:
    """Something can decode what an iPhone records (AAC in M4A)."""
    name = _first(patient, ("afconvert", "ffmpeg") if patient.machine.platform == "darwin" else ("ffmpeg",))
    return _DEAF() if name is None else _AUDIO_WELL(name=name)


@VOICE
def voice(patient: Patient) -> Finding:
    """Something can read a text aloud."""
    name = _first(patient, ("say", "espeak-ng") if patient.machine.platform == "darwin" else ("espeak-ng",))
    return _MUTE() if name is None else _VOICE_WELL(name=name)


@ARITHMETIC
def arithmetic(patient: Patient) -> Finding:
    """On Linux the models need OpenBLAS to be of any use."""
    if patient.machine.platform != "linux":
        return _SYSTEMS_OWN()
    library = patient.machine.openblas()
    return _SLOW() if library is None else _ARITHMETIC_WELL(name=library.name)


def _first(patient: Patient, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if patient.machine.program(name) is not None), None)
