"""Why something is not so, or can't be done now: a stable word, and the same in both languages.

Each is a clause without a full stop, so that it stands alone in a status and after a colon in an error's sentence.
"""

from __future__ import annotations

from typing import Final

import msgspec

from appliance.plugin_api.errors import ErrorKind, ProntuarioError

CLAUSES: Final[dict[str, tuple[str, str]]] = {
    # why an order can't be carried out
    "nobody_leads": ("ninguém atende", "nobody leads"),
    "leads": ("{node} atende", "{node} leads"),
    "answers": ("{node} responde", "{node} answers"),
    "out_of_sync": ("{node} não está em dia", "{node} is not in sync"),
    "not_leading_here": ("quem atende é {node}; peça a ele", "{node} leads; ask it"),
    "drill_waits": ("um simulado já espera o fim de uma consulta", "a drill waits for a consult to end"),
    "drill_under_way": ("um simulado está em andamento", "a drill is under way"),
    "drill_given_up": ("não chegou a começar; a linha do tempo diz por quê", "it did not begin; the timeline says why"),
    # what an order may cost
    "not_initialised": ("o par ainda não foi iniciado", "the pair has not been initialised"),
    "not_in_sync": (
        "{node} não tem tudo o que foi confirmado",
        "{node} does not hold everything that was acknowledged",
    ),
    "history_missing": ("faltam dados no disco de {node}", "data are missing on {node}'s disk"),
    "not_drained": (
        "falta ou está danificado um arquivo do que {node} recebeu",
        "a file of what {node} received is missing or damaged",
    ),
    "no_third_voter": (
        "não há terceiro votante, e {other} pode estar atendendo",
        "there is no third voter, and {other} may be serving",
    ),
    "only_here": (
        "o que só {node} tem não estará no registro até ele voltar",
        "what only {node} holds is not in the record until it returns",
    ),
    # why a node can't take over by itself
    "voters_silent": ("a maioria dos votantes não responde", "most voters do not answer"),
    "marked_lost": ("{node} foi dado como perdido", "{node} was declared lost"),
    "away": ("{node} não responde", "{node} does not answer"),
    "hole": (
        "falta aqui um pedaço do que {node} ainda não tem; a cópia recomeça inteira",
        "a piece that {node} still lacks is missing here; the copy begins again, whole",
    ),
    "other_content": (
        "{node} guarda outro conteúdo com o mesmo nome; a cópia recomeça inteira",
        "{node} holds other contents under the same name; the copy begins again, whole",
    ),
    "disk_full": ("o disco de {node} está cheio", "{node}'s disk is full"),
    "disk_failed": ("o disco de {node} não grava", "{node}'s disk does not write"),
    "program_missing": ("falta um programa em {node}", "a program is missing on {node}"),
    "refused": ("{node} recusa a cópia ({error})", "{node} refuses the copy ({error})"),
    "not_following": (
        "{node} ainda não acompanha a época {epoch}",
        "{node} does not follow epoch {epoch} yet",
    ),
    "behind": ("transações por chegar a {node}: {count}", "transactions still to reach {node}: {count}"),
    "finishing": (
        "{node} tem todas as transações; faltam áudios e imagens, ou a marca de que está em dia",
        "{node} has every transaction; audio and images are missing, or the mark that it is in sync",
    ),
    "models_pending": (
        "{node} pode assumir, mas os modelos dele ainda estão sendo conferidos ou copiados",
        "{node} may take over, but its models are still being checked or copied",
    ),
}
_SICK: Final = {
    "store.full": "disk_full",
    "store.failed": "disk_failed",
    "store.litestream_missing": "program_missing",
}


class Reason(msgspec.Struct, frozen=True):
    """``code`` never changes; ``since``: from when on (FHIR instant), where that is known."""

    code: str
    pt: str
    en: str
    since: str | None = None


def reason(code: str, /, *, since: str | None = None, **words: object) -> Reason:
    """The reason ``code``, with ``words`` put in.

    Raises:
        KeyError: there is no such code, or a word is missing.
    """
    pt, en = (clause.format(**words) for clause in CLAUSES[code])
    return Reason(code, pt, en, since or None)


def sickness(node: str, code: str, *, since: str | None = None) -> Reason:
    """What ails ``node``, from the code of the error that told of it."""
    known = _SICK.get(code)
    return reason(known, since=since, node=node) if known else reason("refused", since=since, node=node, error=code)


def refusal(kind: ErrorKind, why: Reason, *, field: str | None = None, **details: object) -> ProntuarioError:
    """An error of ``kind``, whose sentences name ``{reason_pt}`` and ``{reason}``; ``reason_code`` travels along."""
    reasons = {"reason_code": why.code, "reason_pt": why.pt, "reason": why.en}
    return ProntuarioError(kind, field=field, details={**reasons, **details})
