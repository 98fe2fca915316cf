"""Pages and copies: what is asked for, what is refused before anything is written.

The whole way is walked in tests/system/test_install_page.py.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from appliance.daemon.setup.home_steps import SEALED
from appliance.daemon.setup.recovering import alone, read_share_lines, recover_home, spool_in
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.recovery import seal, split, to_rows
from tests.unit.daemon.setup.grounds import Listener

MASTER = bytes(range(32))
SHARES = split(MASTER, 2, 3)
CONFIG = """\
# what a person wrote

[node]
name = "a"
phase = "ha"

[cluster]
mode = "paired"
vip_addresses = ["10.0.0.10"]

[power]
kind = "nut"
"""


def text_of(number: int) -> str:
    return " ".join(word for row in to_rows(SHARES[number]) for word in row)


def test_pages_are_asked_for_until_there_are_enough() -> None:
    typed = [text_of(0), text_of(0), text_of(1)[:-1] + "x", text_of(2).upper()]
    heard = Listener()
    found = read_share_lines(None, lambda _prompt: typed.pop(0), heard.say, "pt")
    assert {share.number for share in found} == {1, 3}
    assert "linha / row 5" in heard.text
    assert typed == []


def test_pages_are_read_from_a_file() -> None:
    found = read_share_lines([text_of(0), "", text_of(2)], input, print, "pt")
    assert [share.number for share in found] == [1, 3]


def test_a_pair_s_configuration_becomes_that_of_one_mac() -> None:
    left = tomllib.loads(alone(CONFIG))
    assert left == {"node": {"name": "a"}, "power": {"kind": "nut"}}
    last = CONFIG.partition("[power]")[0]
    assert tomllib.loads(alone(last)) == {"node": {"name": "a"}}
    assert alone(alone(CONFIG)) == alone(CONFIG)
    assert "# what a person wrote" in alone(CONFIG)


def test_the_newest_epoch_of_a_copy_is_taken(tmp_path: Path) -> None:
    assert spool_in(tmp_path) is None
    (tmp_path / "data" / "spool").mkdir(parents=True)
    assert spool_in(tmp_path) == tmp_path / "data" / "spool"
    for epoch in ("00000009", "00000010", "fence"):
        (tmp_path / "data" / "replica" / epoch).mkdir(parents=True)
    assert spool_in(tmp_path) == tmp_path / "data" / "replica" / "00000010"
    (tmp_path / "data" / "replica" / "00000010.failed-1763773200000000000").mkdir()
    assert spool_in(tmp_path) == tmp_path / "data" / "replica" / "00000010", "what failed lacks all that came since"


async def test_nothing_is_written_before_pages_and_copy_were_proved(tmp_path: Path) -> None:
    home, backup, heard = tmp_path / "home", tmp_path / "backup", Listener()
    (home / "setup").mkdir(parents=True)
    backup.mkdir()
    with pytest.raises(ProntuarioError, match=r"setup\.no_copy.*recovery\.sealed"):
        await recover_home(home, backup, SHARES, heard.say, "pt")
    (backup / SEALED).write_bytes(seal(bytes(32), {"prontuario.toml": b""}))
    with pytest.raises(ProntuarioError, match=r"setup\.no_copy.*spool"):
        await recover_home(home, backup, SHARES, heard.say, "pt")
    (backup / "spool").mkdir()
    with pytest.raises(ProntuarioError, match=r"recovery\.shares"):
        await recover_home(home, backup, SHARES[:1], heard.say, "pt")
    with pytest.raises(ProntuarioError, match=r"recovery\.seal"):
        await recover_home(home, backup, SHARES, heard.say, "pt")
    assert list((home / "setup").iterdir()) == []
    (home / "prontuario.toml").touch()
    with pytest.raises(ProntuarioError, match=r"setup\.home_taken"):
        await recover_home(home, backup, SHARES, heard.say, "pt")
