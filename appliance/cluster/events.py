"""The timeline: what happened to the pair, in words that somebody understands at three in the morning."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.model import Event

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "promoted": ("{node} assumiu o serviço.", "{node} took over the service."),
    "lease_lost": (
        "{node} perdeu o direito de gravar e parou de confirmar.",
        "{node} lost the right to write and stopped acknowledging.",
    ),
    "following": ("{node} voltou a acompanhar o outro nó.", "{node} follows the other node again."),
    "set_aside": (
        "{node} guardou à parte o seu banco antigo; as diferenças vão para revisão.",
        "{node} kept its old database apart; differences go to review.",
    ),
    "handed_over": ("{node} entregou o serviço.", "{node} handed the service over."),
    "handover": ("{node} começou a passagem planejada para {other}.", "{node} began the planned handover to {other}."),
    "stopping": ("{node} está sendo desligado e entrega o serviço.", "{node} is being stopped and hands over."),
    "sick": (
        "{node} não consegue mais gravar em disco e entrega o serviço a {other}.",
        "{node} can no longer write to its disk and hands over to {other}.",
    ),
    "handover_failed": (
        "A passagem não terminou a tempo; {node} continua no serviço.",
        "The handover did not finish in time; {node} goes on serving.",
    ),
    "handover_refused": (
        "A passagem foi recusada: {other} não está em dia.",
        "The handover was refused: {other} is not up to date.",
    ),
    "promotion_failed": (
        "{node} não conseguiu assumir; faltam dados ou o disco falhou.",
        "{node} could not take over: data are missing or its disk failed.",
    ),
    "promoted_with_loss": (
        "{other} mandou {node} assumir, aceitando perda: procure em revisão o que só o outro nó tinha.",
        "{other} ordered {node} to take over and accepted loss: look in review for what only the other node had.",
    ),
    "renewing": (
        "A cópia para {other} não pode mais ser completada; {node} recomeça com uma cópia inteira.",
        "The copy to {other} can no longer be completed; {node} begins again with a whole copy.",
    ),
    "counted_lost": ("{other} foi dado como perdido.", "{other} was declared lost."),
    "sick_alone": (
        "{node} não consegue gravar e não há quem assuma: libere espaço em disco.",
        "{node} cannot write and nobody can take over: free disk space.",
    ),
    "not_initialised": ("O par ainda não foi iniciado.", "The pair has not been initialised."),
    "marked_lost": (
        "{node} foi dado como perdido e não assume sozinho.",
        "{node} was declared lost and won't lead by itself.",
    ),
    "not_in_sync": (
        "Ninguém atende e {node} não tem tudo: ligue o outro nó, ou decida promover {node}.",
        "Nobody serves and {node} does not hold everything: start the other node, or decide to promote {node}.",
    ),
    "history_missing": (
        "Ninguém atende e faltam dados no disco de {node}: ligue o outro nó.",
        "Nobody serves and data are missing on {node}'s disk: start the other node.",
    ),
    "not_drained": (
        "Ninguém atende e falta ou está danificado um arquivo em {node}: ligue o outro nó, ou promova {node} aceitando perda.",
        "Nobody serves and {node} lacks a file or has a damaged one: start the other node, or promote {node} and accept loss.",
    ),
    "no_third_voter": (
        "Ninguém atende e não há terceiro votante: confirme que o outro nó está desligado e promova {node}.",
        "Nobody serves and there is no third voter: make sure the other node is off, then promote {node}.",
    ),
    "voters_silent": (
        "A maioria dos votantes não responde: confira a rede e os votantes.",
        "Most voters do not answer: check the network and the voters.",
    ),
}
PROMPTS: Final = frozenset(
    {
        "sick_alone", "not_initialised", "marked_lost", "not_in_sync", "history_missing", "no_third_voter", "sick",
        "not_drained",
        "voters_silent",
    }
)  # fmt: skip
"""Kinds that ask the operator to do or decide something."""
_KEEP: Final = 500
_ON_DISK: Final = 4 * _KEEP


def in_words(kind: str, node: str, other: str = "", epoch: int = 0) -> tuple[str, str]:
    """What ``kind`` means (pt, en). Raises ``KeyError``: there are no words for it."""
    words = {"node": node, "other": other or "?", "epoch": epoch}
    pt, en = (sentence.format(**words) for sentence in SENTENCES[kind])
    return pt, en


class Timeline:
    """The latest events, kept in a file of JSON lines that survives a restart. ``path`` None: only in memory."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._events: deque[Event] = deque(maxlen=_KEEP)
        self._lines = 0
        if path is not None and path.exists():
            for line in path.read_bytes().splitlines():
                self._lines += 1
                try:
                    self._events.append(msgspec.json.decode(line, type=Event))
                except msgspec.MsgspecError:
                    continue  # a line that a crash cut short

    def tell(self, kind: str, *, at: str, node: str, other: str = "", epoch: int = 0) -> Event:
        """Add what happened, now in words."""
        pt, en = in_words(kind, node, other, epoch)
        return self.add(Event(at, node, kind, pt, en, epoch))

    def add(self, event: Event) -> Event:
        """Add what somebody else has put into words."""
        self._events.append(event)
        if self._path is not None:
            self._write(self._path, event)
        return event

    def latest(self, count: int = 50) -> tuple[Event, ...]:
        """Newest last."""
        return tuple(self._events)[-count:]

    def _write(self, path: Path, event: Event) -> None:
        if self._lines >= _ON_DISK:
            shorter = path.with_suffix(".new")
            shorter.write_bytes(b"".join(msgspec.json.encode(kept) + b"\n" for kept in self._events))
            shorter.replace(path)
            self._lines = len(self._events)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self._lines += 1
