"""docs/install.md for a pair, as its people go through it: questions answered at a keyboard, two Macs, the third voter, a phone.

Each Mac is of paper (``ScratchMac``) in a network of its own, with the page's addresses; every node, voter and keyboard is real.
Then the first Mac burns, and ``setup --again pair`` puts a new one in its place as runbooks/node-died.md says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from appliance.daemon.pair.namespaces import Namespaces, build, interface, why_no_namespaces
from appliance.daemon.setup.pair_steps import VOTER_FOLDER
from appliance.daemon.setup.questions import QUESTIONS
from tests.fakes.mac_ground import ScratchMac
from tests.system.install_page import PAGES, ROOT, Reader, Told, blocks, commands, make_package
from tests.system.keyboard import Keyboard
from tests.system.pair import eventually

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("pair"),
    pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces())),
]
PAGE: Final = PAGES["install.md"]
ADDRESSES: Final = {"mac1": "10.0.0.11", "mac2": "10.0.0.12", "voter": "10.0.0.13", "phone": "10.0.0.50"}
VIP: Final = "10.0.0.10"
ANSWERS: Final[dict[str, Any]] = {
    **tomllib.loads(blocks(PAGE, "toml answers")[0]), "phase": "pair", "peer_address": ADDRESSES["mac2"],
    "witness_address": ADDRESSES["voter"], "vip": VIP,
}  # fmt: skip
TRYING: Final = " --profile development"
"""The one thing that differs from the page: no keychain is on this machine."""
PHONE = """
import json, sys, httpx, ssl
from appliance.daemon.enrolment import make_key_and_csr
code, ca, api = sys.argv[1:]
body = {"code": code, "csr": make_key_and_csr("iphone")[1].decode(), "device_name": "iPhone"}
with httpx.Client(base_url=api, verify=ssl.create_default_context(cafile=ca), timeout=60) as phone:
    answer = phone.post("/api/enrolment", json=body, headers={"Idempotency-Key": "first-phone-" + "k" * 16})
print(answer.status_code)
"""


@dataclass
class Hospital:
    """Its network, and who sits at which Mac."""

    folder: Path
    lan: Namespaces
    package: Path
    readers: dict[str, Reader] = field(default_factory=dict)
    voter: subprocess.Popen[bytes] | None = None

    def unpack(self, place: str, name: str) -> Reader:
        """A new Mac at a place of the network; nothing is installed on it."""
        mac = ScratchMac.make(self.folder / name)
        reader = Reader(self.folder, mac, self.package)

        def prontuario(words: list[str]) -> Told:
            done = subprocess.run(
                self.argv(place, words), env=self.environment(mac), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=400, check=False,
            )  # fmt: skip
            return done.stdout + done.stderr, done.returncode

        reader.prontuario = prontuario
        self.readers[place] = reader
        return reader

    def environment(self, mac: ScratchMac) -> dict[str, str]:
        return (
            os.environ
            | {"MAC_BOOK": str(mac.book), "HOME": str(mac.root.parent), "NO_COLOR": "1"}
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        )

    def argv(self, place: str, words: list[str]) -> list[str]:
        own = str(self.readers[place].mac.root.parent)
        return self.lan.command(place, [sys.executable, "-m", "tests.system.mac_shell", own, *words])

    def keyboard(self, place: str, line: str) -> Keyboard:
        """A line of the page, typed at a Mac's keyboard; it may ask."""
        sudo, program, *words = shlex.split(line)
        assert (sudo, program) == ("sudo", "prontuario")
        return Keyboard(self.argv(place, words), env=self.environment(self.readers[place].mac), cwd=ROOT)

    def burn(self, place: str) -> None:
        """Every process there ends at once, and its addresses are gone with the machine."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.lan.name(place)], capture_output=True, text=True, check=True
        )
        for pid in map(int, listed.stdout.split()):
            os.kill(pid, 9)
        subprocess.run(
            [*self.lan.command(place), "ip", "address", "flush", "dev", interface("en"), "scope", "global"], check=True
        )
        own = f"{ADDRESSES[place]}/24"
        subprocess.run([*self.lan.command(place), "ip", "address", "add", own, "dev", interface("en")], check=True)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    # A lab's name: the next lab removes what this process could not.
    name = f"ptlab-{os.getpid()}-page"
    one: Hospital | None = None
    lan = build(name, list(ADDRESSES), {"en": {place: (f"{address}/24",) for place, address in ADDRESSES.items()}})
    try:
        one = Hospital(tmp_path, lan, make_package(tmp_path))
        yield one
    finally:
        lan.remove()
        if one is not None and one.voter is not None:
            one.voter.wait()


def plain(word: str) -> str:
    """The page's one plain line with ``word`` in it."""
    [line] = [line for line in commands(PAGE, "sh") if word in line]
    return line


def install(reader: Reader) -> None:
    for line in commands(PAGE)[:3]:
        reader.follow(line)


def answer_all(keyboard: Keyboard, given: dict[str, Any]) -> None:
    """Every question that is asked, in its order: what the page answers, else Enter."""
    draft = dict(given)
    for question in QUESTIONS:
        if question.asked(draft):
            value = draft.get(question.key, "")
            keyboard.answer(question.text[0], ", ".join(value) if isinstance(value, list) else str(value))
            draft.setdefault(question.key, "")
    keyboard.answer("Está certo?", "s")


def test_the_page_leads_two_macs_to_a_pair_and_a_new_one_into_a_burnt_one_s_place(hospital: Hospital) -> None:
    first, second = hospital.unpack("mac1", "mac-1"), hospital.unpack("mac2", "mac-2")
    install(first)
    install(second)
    papers = hospital.folder / "papers"
    given = ANSWERS | {"part": "first", "papers": str(papers)}
    with hospital.keyboard("mac1", commands(PAGE, "sh")[0] + TRYING) as one:
        answer_all(one, given)
        start_third_voter(hospital, papers, one)
        shown = one.until(r"(sudo prontuario setup --part second \S+ \S+ --code) (\S+)")
        assert shown[1] == plain("--part second").rpartition(" ")[0], "the page shows what the Mac shows"
        with hospital.keyboard("mac2", shown[0]) as two:
            answer_all(two, {"part": "second"})
            one.until("O segundo Mac entrou no par")
            code = one.until(r"Código: (\S+)")[1]
            assert phone_comes_in(hospital, code) == "201", "at the pair's address"
            one.answer("Enter quando o telefone")
            one.answer("foram impressas", "s")
            assert (one.end(), two.end()) == (0, 0), one.screen + two.screen
    assert not list(papers.glob("folha-?-de-3.pdf")), "handed out, and erased"
    assert (papers / "folha-de-emergencia.pdf").exists()
    serving = {"a": first, "b": second}[json.loads(second.follow("sudo prontuario cluster status --json"))["leader"]]
    until_status(serving, *WHOLE)
    serving.follow("sudo prontuario cluster drill")
    replace_burnt(hospital, second)


def start_third_voter(hospital: Hospital, papers: Path, one: Keyboard) -> None:
    """The folder is carried to its machine, and its script run there."""
    one.until("Terceiro votante")
    carried = hospital.folder / "small-machine" / VOTER_FOLDER
    shutil.copytree(papers / VOTER_FOLDER, carried)
    with (hospital.folder / "voter.log").open("w") as log:
        hospital.voter = subprocess.Popen(
            hospital.lan.command("voter", ["./etcd.sh"]), cwd=carried, stdout=log, stderr=log
        )


def phone_comes_in(hospital: Hospital, code: str) -> str:
    ca = hospital.readers["mac1"].mac.home / "ca.pem"
    argv = [sys.executable, "-c", PHONE, code, str(ca), f"https://{VIP}:8443"]
    done = subprocess.run(
        hospital.lan.command("phone", argv), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout.strip() or done.stderr


def until_status(reader: Reader, *wanted: str) -> None:
    """Wait until ``cluster status`` says all that."""
    try:
        eventually(lambda: all(one in reader.follow("sudo prontuario cluster status") for one in wanted), "said")
    except pytest.fail.Exception:
        pytest.fail(f"never {wanted}:\n{reader.said[-1]}")


WHOLE: Final = ("par completo", "3 of 3")


def replace_burnt(hospital: Hospital, left: Reader) -> None:
    """docs/runbooks/node-died.md, step 5, whose middle is the page's ``setup --again pair``."""
    hospital.burn("mac1")
    until_status(left, "a não responde", "2 of 3")
    told = left.follow("sudo -u _prontuario prontuario cluster readmit a")
    kept = re.search(r"prontuario cluster rejoin \S+ \S+", told)
    assert kept, told
    new = hospital.unpack("mac1", "mac-3")
    install(new)
    with hospital.keyboard("mac2", plain("--again pair")) as inviting:
        shown = inviting.until(r"--first (\S+) --code (\S+)")
        with hospital.keyboard("mac1", commands(PAGE, "sh")[0]) as joining:
            joining.until("Enter aceita")
            answer_all(joining, {"part": "second", "first": shown[1]})
            joining.answer("Código que o primeiro Mac mostra", shown[2])
            assert inviting.end() == 0, inviting.screen
            # It may well say that the node did not get ready: its voter is refused until it has rejoined.
            assert joining.end() in {0, 26}, joining.screen
    new.follow("sudo prontuario launchd unload")
    new.follow(f"sudo -u _prontuario {kept[0]}")
    new.follow("sudo prontuario launchd load")
    until_status(left, *WHOLE)
    assert json.loads(new.follow("sudo prontuario cluster status --json")), "the new one tells it too"
