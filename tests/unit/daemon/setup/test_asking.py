"""Questions: what is suggested, what is refused at once, going back, and a file of answers."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.daemon.setup.answers import read_answers
from appliance.daemon.setup.asking import ask_all, summary
from appliance.daemon.setup.machine import Network, networks_here
from appliance.daemon.setup.questions import QUESTIONS, checked
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.setup.grounds import GIVEN, LAN, PAIR, Listener, linux

SINGLE = ["", "Santa Casa", "mac-1", "", "", "", "", "", "", "/papers", "", "", ""]
"""Enter takes what is suggested."""


def test_enter_takes_what_is_suggested() -> None:
    person = Listener([*SINGLE, "s"])
    answers = ask_all({}, linux(), person.say, person.ask, "pt")
    assert (answers.part, answers.phase, answers.interface, answers.address) == ("first", "single", "en0", "10.0.0.11")
    assert (answers.holders, answers.needed) == (("Direção", "TI", "Cofre"), 2)
    assert (answers.admin, answers.phone_user, answers.phone_role) == ("admin", "admin", "admin")
    assert answers.pack == ""
    assert answers.profile == "development"
    assert "Santa Casa" in person.text
    assert person.typed == []


def test_a_wrong_answer_is_told_at_once_and_asked_again() -> None:
    typed = "|H|Mac 1!|mac-1||en9|en0|10.0.0.99||||4|2|papers|/p||||s"
    person = Listener(typed.split("|"))
    answers = ask_all({}, linux(), person.say, person.ask, "en")
    assert (answers.name, answers.interface, answers.papers) == ("mac-1", "en0", "/p")
    told = [line for line in person.heard if line.startswith("  ! ")]
    assert len(told) == 5
    assert "this Mac has: en0, en1, lo0" in told[1]
    assert "10.0.0.11" in told[2]
    assert "2 to 3" in told[3]


def test_one_can_go_back_also_over_what_was_not_asked() -> None:
    person = Listener(["", "Errado", "<", "Santa Casa", *SINGLE[2:], "<", "<", "-", "s"])
    answers = ask_all({}, linux(), person.say, person.ask, "pt")
    assert answers.hospital == "Santa Casa"
    assert answers.phone_user == ""
    assert person.heard.count("Interface da rede do hospital") == 1


def test_whoever_does_not_agree_in_the_end_changes_nothing() -> None:
    person = Listener([*SINGLE, "n"])
    with pytest.raises(ProntuarioError, match=r"setup\.stopped"):
        ask_all({}, linux(), person.say, person.ask, "pt")


def test_a_pair_is_asked_for_its_addresses_and_the_second_mac_for_the_first_only() -> None:
    pair = ["", "H", "a", "pair", "", "", "10.0.0.12", "10.0.0.13", "10.0.0.10", "-", "", "", "", "/p", "-", "-", "s"]
    person = Listener(list(pair))
    answers = ask_all({}, linux(), person.say, person.ask, "pt")
    assert (answers.peer_address, answers.witness_address, answers.vip) == ("10.0.0.12", "10.0.0.13", "10.0.0.10")
    assert answers.link_address == ""
    second = Listener(["second", "10.0.0.11:8446", "/p", "-", "s"])
    joined = ask_all({}, linux(), second.say, second.ask, "pt")
    assert (joined.part, joined.first, joined.hospital) == ("second", "10.0.0.11:8446", "")
    assert not any("hospital" in line.lower() for line in second.heard)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"vip": "10.0.1.10"}, "vip"), ({"vip": "10.0.0.11"}, "vip"), ({"vip": "10.0.0.255"}, "vip"), ({"vip": "x"}, "vip"),
        ({"peer_address": "10.0.0.11"}, "peer_address"), ({"peer_address": "224.0.0.1"}, "peer_address"),
        ({"witness_address": "10.0.0.12"}, "witness_address"), ({"address": "10.0.0.12"}, "address"),
        ({"needed": 1}, "needed"), ({"needed": 4}, "needed"), ({"holders": ["um"]}, "holders"), ({"holders": ["a", "a"]}, "holders"),
        ({"name": "-a"}, "name"), ({"admin": "a b"}, "admin"), ({"papers": "here"}, "papers"), ({"pack": "/none/at/all"}, "pack"),
        ({"hospital": "x" * 121}, "hospital"), ({"hospital": "a\nb"}, "hospital"), ({"phone_user": "a" }, "phone_user"),
        ({"part": "second", "first": "here"}, "first"), ({"part": "second", "first": "10.0.0.11:0"}, "first"),
        ({"link_address": "192.168.77.11"}, "peer_link_address"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused(changed: dict[str, object], wrong: str) -> None:
    _answers, told = checked({**GIVEN, **PAIR, "papers": "/p", **changed}, linux())
    assert wrong in told
    assert all(len(sentence) == 2 and all(sentence) for sentence in told.values())


def test_every_question_has_both_languages_and_an_answer_of_its_own() -> None:
    assert all(len(question.text) == 2 and question.text[0] != question.text[1] for question in QUESTIONS)
    assert len({question.key for question in QUESTIONS}) == len(QUESTIONS)
    answers, wrong = checked({**GIVEN, **PAIR, "papers": "/p"}, linux())
    assert wrong == {}
    lines = summary(answers, "en")
    assert any("10.0.0.10" in line for line in lines)
    assert not any("profile" in line for line in lines)


@given(st.text(max_size=40))
def test_no_answer_breaks_a_check(text: str) -> None:
    for question in QUESTIONS:
        checked(
            {**GIVEN, **PAIR, "papers": "/p", question.key: text} if question.key != "part" else {"part": text}, linux()
        )


def test_a_file_of_answers_is_read_and_its_form_is_told(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text('hospital = "H"\nneeded = 3\nholders = ["a", "b", "c"]\n')
    assert read_answers(file)["needed"] == 3
    for text, told in (
        ("hospitall = 1", "hospitall"),
        ("needed = 'x'", "needed"),
        ("= 1", "line 1"),
        ("\xff", "utf-8"),
    ):
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(ProntuarioError, match=told):
            read_answers(file)


def test_this_machine_s_networks_are_found_with_their_prefix() -> None:
    found = networks_here()
    assert any(one.address.is_loopback and one.address.network.prefixlen == 8 for one in found)
    assert [one.address.is_loopback for one in found] == sorted(one.address.is_loopback for one in found)


def test_an_ipv6_hospital_is_served_too() -> None:
    six = Network("en0", ipaddress.ip_interface("fd00::11/64"))
    pair = {"phase": "pair", "peer_address": "fd00::12", "witness_address": "-", "vip": "fd00::10"}
    answers, wrong = checked({**GIVEN, **pair, "papers": "/p"}, linux(six, *LAN[2:]))
    assert wrong == {}
    assert (answers.address, answers.witness_address) == ("fd00::11", "")
