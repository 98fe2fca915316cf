"""The questions, in order: when one is asked, what is suggested, and what an answer has to be. Pure; nothing is changed."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.checks import (
    NONE,
    BadAnswerError,
    Check,
    Draft,
    Text,
    choice,
    endpoint,
    existing_file,
    existing_folder,
    holder_names,
    line,
    node_name,
    optional,
    optional_user,
    other_address,
    own_address,
    own_interface,
    own_networks,
    share_count,
    user_name,
    virtual_address,
    whole_path,
)  # fmt: skip
from appliance.daemon.setup.machine import Machine
from appliance.security.policy import ROLES


@dataclass(frozen=True, slots=True)
class Question:
    """``check`` gives the answer's value or raises ``BadAnswerError``; ``asked`` tells whether it matters at all."""

    key: str
    text: Text
    check: Check
    suggest: Callable[[Draft, Machine], str] = lambda _draft, _machine: ""
    asked: Callable[[Draft], bool] = lambda _draft: True


def _first(draft: Draft) -> bool:
    return draft.get("part") == "first"


def _pair(draft: Draft) -> bool:
    return _first(draft) and draft.get("phase") == "pair"


def _host_name(_draft: Draft, _machine: Machine) -> str:
    letters = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().partition(".")[0].lower()).strip("-")[:32].strip("-")
    return letters or "prontuario"


def _suggested_interface(_draft: Draft, machine: Machine) -> str:
    return machine.networks[0].interface if machine.networks else ""


def _suggested_address(draft: Draft, machine: Machine) -> str:
    own = own_networks(draft, machine)
    return own[0].ip if own else ""


def _always(text: str) -> Callable[[Draft, Machine], str]:
    return lambda _draft, _machine: text


QUESTIONS: Final = (
    Question(
        "part",
        (
            "É o primeiro Mac (first) ou o segundo de um par (second)?",
            "The first Mac (first), or the second of a pair (second)?",
        ),
        choice("first", "second"),
        _always("first"),
    ),
    Question(
        "first",
        ("Onde o primeiro Mac espera (ele mostra)", "Where the first Mac waits (it shows it)"),
        endpoint,
        asked=lambda draft: draft.get("part") == "second",
    ),
    Question("hospital", ("Nome do hospital", "The hospital's name"), line, asked=_first),
    Question(
        "name",
        ("Nome deste Mac (certificados e registros)", "This Mac's name (certificates and logs)"),
        node_name,
        _host_name,
        _first,
    ),
    Question(
        "phase",
        ("Um só Mac agora (single) ou já o par (pair)?", "One Mac for now (single), or the pair (pair)?"),
        choice("single", "pair"),
        _always("single"),
        _first,
    ),
    Question(
        "interface",
        ("Interface da rede do hospital", "Network interface to the hospital"),
        own_interface,
        _suggested_interface,
        _first,
    ),
    Question(
        "address", ("Endereço fixo deste Mac", "This Mac's fixed address"), own_address, _suggested_address, _first
    ),
    Question(
        "peer_address",
        ("Endereço do segundo Mac", "The second Mac's address"),
        other_address("peer_address"),
        asked=_pair,
    ),
    Question(
        "witness_address",
        (
            f"Endereço do terceiro votante ({NONE}: nenhum, e então sem troca automática)",
            f"The third voter's address ({NONE}: none, and then no automatic takeover)",
        ),
        optional(other_address("witness_address")),
        asked=_pair,
    ),
    Question(
        "vip",
        ("IP virtual, livre, que os telefones usam", "Virtual IP, free, that phones use"),
        virtual_address,
        asked=_pair,
    ),
    Question(
        "link_address",
        (
            f"Endereço deste Mac no cabo direto ({NONE}: não há)",
            f"This Mac's address on the direct cable ({NONE}: none)",
        ),
        optional(other_address("link_address")),
        _always(NONE),
        _pair,
    ),
    Question(
        "peer_link_address",
        ("Endereço do segundo Mac no cabo direto", "The second Mac's address on the direct cable"),
        other_address("peer_link_address"),
        asked=lambda draft: _pair(draft) and bool(draft.get("link_address")),
    ),
    Question(
        "admin",
        ("Usuário da pessoa que administra", "User name of the administrator"),
        user_name,
        _always("admin"),
        _first,
    ),
    Question(
        "holders",
        (
            "Quem guarda uma folha da chave cada um (nomes, com vírgulas)",
            "Who keeps a page of the key each (names, with commas)",
        ),
        holder_names,
        _always("Direção, TI, Cofre"),
        _first,
    ),
    Question(
        "needed",
        ("Quantas folhas devolvem a chave", "How many pages give the key back"),
        share_count,
        _always("2"),
        _first,
    ),
    Question(
        "papers",
        ("Pasta para o que se imprime", "Folder for what is printed"),
        whole_path,
        lambda _draft, _machine: str(Path("~").expanduser() / "prontuario-papeis"),
    ),
    Question(
        "pack",
        (f"Pasta de um pacote de modelos ({NONE}: agora não)", f"Folder of a model pack ({NONE}: not now)"),
        optional(existing_folder),
        _always(NONE),
    ),
    Question(
        "pack_key",
        ("Chave pública de quem assinou o pacote", "Public key of who signed the pack"),
        existing_file,
        asked=lambda draft: bool(draft.get("pack")),
    ),
    Question(
        "phone_user",
        (f"Usuário do primeiro telefone ({NONE}: agora não)", f"User of the first phone ({NONE}: not now)"),
        optional_user,
        lambda draft, _machine: str(draft.get("admin", "")),
        _first,
    ),
    Question(
        "phone_role",
        ("Perfil dessa pessoa", "That person's role"),
        choice(*sorted(ROLES)),
        lambda draft, _machine: "admin" if draft.get("phone_user") == draft.get("admin") else "physician",
        lambda draft: _first(draft) and bool(draft.get("phone_user")),
    ),
    Question(
        "profile",
        ("Perfil do nó", "The node's profile"),
        choice("production", "development"),
        lambda _draft, machine: "production" if machine.is_mac else "development",
        lambda _draft: False,
    ),
)


def checked(given: Mapping[str, Any], machine: Machine) -> tuple[Answers, dict[str, Text]]:
    """``given`` and, for what it lacks, what is suggested; and what is wrong, by key."""
    draft: dict[str, Any] = {}
    wrong: dict[str, Text] = {}
    for question in QUESTIONS:
        hidden = not question.asked(draft)
        if hidden and question.key not in given and question.key != "profile":
            continue
        text = written(given[question.key]) if question.key in given else question.suggest(draft, machine)
        try:
            draft[question.key] = question.check(text, draft, machine)
        except BadAnswerError as error:
            wrong[question.key] = error.text
    return msgspec.convert(draft, Answers), wrong


def written(value: Any) -> str:
    """An answer as it would be typed."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value).strip()
