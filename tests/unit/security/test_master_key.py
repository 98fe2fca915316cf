from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Config, Node, Paths, Security
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.master_key import open_vault, save_master_key
from appliance.security.protectors import (
    Cost,
    FileProtector,
    KeychainProtector,
    PassphraseProtector,
    Protector,
    ask_new_passphrase,
    ask_passphrase,
    protector_kind,
)
from tests.fakes import security_program

CHEAP = Cost(time=1, memory_kib=8, lanes=1)
Build = Callable[[Path], Protector]


def keychain(folder: Path) -> KeychainProtector:
    program = folder / "security"
    if not program.exists():
        program.write_text(f"#!{sys.executable}\n" + Path(str(security_program.__file__)).read_text())
        program.chmod(0o755)
    return KeychainProtector("br.prontuario.test", str(folder / "test.keychain"), str(program))


BUILDERS: dict[str, Build] = {
    "file": lambda folder: FileProtector(folder / "development.key"),
    "keychain": keychain,
    "passphrase": lambda _: PassphraseProtector(lambda: "uma longa frase", CHEAP),
}


@pytest.fixture(params=BUILDERS)
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDERS[request.param]


def test_every_protector_gives_the_same_key_again(build: Build, tmp_path: Path) -> None:
    key, parameters = build(tmp_path).make()
    assert len(key) == 32
    assert build(tmp_path).key(parameters) == key
    assert key.hex() not in json.dumps(parameters)


def test_every_protector_opens_the_vault_again(build: Build, tmp_path: Path, paths: Paths, config: Config) -> None:
    tmp_path.joinpath("keeper").mkdir()
    keeper = build(tmp_path / "keeper")
    sealed = open_vault(paths, config, protector=keeper).seal(b"x", b"y")
    assert open_vault(paths, config, protector=keeper).open(sealed, b"y") == b"x"
    kept = paths.secrets / "master.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.secrets.stat().st_mode) == 0o700


def test_a_protector_that_lost_its_key_says_so(build: Build, tmp_path: Path, paths: Paths, config: Config) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    open_vault(paths, config, protector=build(tmp_path / "one"))
    lost = build(tmp_path / "two")
    if isinstance(lost, PassphraseProtector):
        lost = PassphraseProtector(lambda: "outra frase", CHEAP)
    if isinstance(lost, KeychainProtector):
        (tmp_path / "one" / "test.keychain").unlink()
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        open_vault(paths, config, protector=lost)


def test_the_key_goes_to_the_keychain_by_standard_input_only(tmp_path: Path) -> None:
    """Arguments are visible to every process on the machine."""
    keeper = keychain(tmp_path)
    seen = tmp_path / "arguments"
    program = tmp_path / "security"
    program.write_text(program.read_text().replace("def main() -> int:\n", f"""def main() -> int:
    with open({str(seen)!r}, "a") as log:
        print(sys.argv, file=log)
"""))  # fmt: skip
    key, _ = keeper.make()
    assert key.hex() not in seen.read_text()
    assert len(seen.read_text().splitlines()) == 2


def test_a_keychain_that_hangs_up_or_lies(tmp_path: Path) -> None:
    with pytest.raises(ProntuarioError, match="does not answer"):
        KeychainProtector("s", "k", str(tmp_path / "missing")).make()
    with pytest.raises(ProntuarioError, match=r"refused \(44\)"):
        keychain(tmp_path).key({})
    keeper = keychain(tmp_path)
    keeper.make()
    (tmp_path / "test.keychain").write_text(json.dumps({"prontuario/br.prontuario.test": "short"}))
    with pytest.raises(ProntuarioError, match="damaged"):
        keeper.key({})


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"protector":"file","parameters":{},"wrapped":"AA=="}'])
def test_a_damaged_file_is_told_and_never_replaced(paths: Paths, config: Config, damage: bytes) -> None:
    open_vault(paths, config)
    kept = paths.secrets / "master.json"
    kept.write_bytes(damage)
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        open_vault(paths, config)
    assert kept.read_bytes() == damage


def test_every_flipped_byte_of_the_wrapped_key_is_noticed(paths: Paths, config: Config) -> None:
    open_vault(paths, config)
    kept = paths.secrets / "master.json"
    fields = json.loads(kept.read_text())
    for position in range(len(fields["wrapped"]) - 2):
        text = fields["wrapped"]
        other = "A" if text[position] != "A" else "B"
        kept.write_text(json.dumps({**fields, "wrapped": text[:position] + other + text[position + 1 :]}))
        with pytest.raises(ProntuarioError, match=r"vault\.locked"):
            open_vault(paths, config)


def test_the_protector_named_in_the_file_must_be_the_configured_one(paths: Paths, config: Config) -> None:
    open_vault(paths, config)
    changed = msgspec.structs.replace(config, security=Security(master_key="passphrase"))
    with pytest.raises(ProntuarioError, match="protected by file"):
        open_vault(paths, changed)


def test_changing_the_protector_keeps_the_master_key(paths: Paths, config: Config) -> None:
    first = PassphraseProtector(lambda: "primeira frase", CHEAP)
    second = PassphraseProtector(lambda: "segunda frase", CHEAP)
    paths.secrets.mkdir(parents=True)
    save_master_key(paths, first, b"k" * 32)
    sealed = open_vault(paths, config, protector=first).seal(b"x", b"y")
    save_master_key(paths, second, b"k" * 32)
    assert open_vault(paths, config, protector=second).open(sealed, b"y") == b"x"
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        open_vault(paths, config, protector=first)


@pytest.mark.parametrize(
    ("master_key", "profile", "platform", "kind"),
    [
        ("auto", "development", "linux", "file"),
        ("auto", "production", "linux", "passphrase"),
        ("auto", "development", "darwin", "keychain"),
        ("auto", "production", "darwin", "keychain"),
        ("passphrase", "development", "darwin", "passphrase"),
        ("file", "development", "darwin", "file"),
    ],
)
def test_what_auto_means(master_key: str, profile: str, platform: str, kind: str) -> None:
    config = msgspec.convert({"security": {"master_key": master_key}, "node": {"profile": profile}}, Config)
    assert protector_kind(config, platform) == kind


def test_a_production_node_refuses_the_development_file() -> None:
    config = Config(node=Node(profile="production"), security=Security(master_key="file"))
    with pytest.raises(ProntuarioError, match="for development"):
        protector_kind(config, "linux")


def test_the_passphrase_leaves_the_environment_once_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "uma frase")
    assert ask_passphrase() == "uma frase"
    assert "PRONTUARIO_PASSPHRASE" not in os.environ


def test_the_passphrase_through_a_file_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, "frase com acentuação\n".encode())
    os.close(writing)
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE_FD", str(reading))
    assert ask_passphrase() == "frase com acentuação"


@pytest.mark.parametrize("descriptor", ["9999", "abc"])
def test_a_bad_file_descriptor_is_told(monkeypatch: pytest.MonkeyPatch, descriptor: str) -> None:
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE_FD", descriptor)
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        ask_passphrase()


@pytest.mark.parametrize("passphrase", ["", "curta demais"[:11]])
def test_a_short_new_passphrase_is_refused(passphrase: str) -> None:
    with pytest.raises(ProntuarioError, match="at least 12"):
        PassphraseProtector(lambda: passphrase, CHEAP).make()


_ASKING = """
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.protectors import ask_new_passphrase
try:
    print("GOT", ask_new_passphrase())
except ProntuarioError as error:
    print("REFUSED", error)
"""


def on_a_terminal(*typed: str) -> str:
    """What ``ask_new_passphrase`` says in a process of its own, on whose terminal somebody types."""
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ASKING],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(terminal)
    assert process.stdout is not None
    for line in typed:
        prompt = b""
        while not prompt.endswith(b": "):
            read = process.stdout.read(1)
            assert read, prompt
            prompt += read
        os.write(keyboard, line.encode() + b"\n")
    rest, _ = process.communicate(timeout=60)
    os.close(keyboard)
    return rest.decode().strip()


def test_a_person_types_a_new_passphrase_twice() -> None:
    assert on_a_terminal("uma frase bem longa", "uma frase bem longa") == "GOT uma frase bem longa"
    assert "two passphrases differ" in on_a_terminal("uma frase bem longa", "uma frase bem lomga")


def test_nobody_to_ask() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASKING], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert "REFUSED vault.locked" in done.stdout
    assert "PRONTUARIO_PASSPHRASE" in done.stdout


def test_a_new_passphrase_from_the_environment_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "uma frase bem longa")
    assert ask_new_passphrase() == "uma frase bem longa"


@pytest.mark.parametrize("parameters", [{}, {"salt": "zz", "time": "1", "memory_kib": "8", "lanes": "1"},
                                        {"salt": "00" * 16, "time": "1", "memory_kib": "1", "lanes": "1"}])  # fmt: skip
def test_damaged_parameters_are_told(parameters: dict[str, str]) -> None:
    with pytest.raises(ProntuarioError, match=r"vault\.locked"):
        PassphraseProtector(lambda: "frase", CHEAP).key(parameters)
