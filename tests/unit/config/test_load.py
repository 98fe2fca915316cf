from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from appliance.config import Config, ConfigError, Paths, load_config
from appliance.config.load import decode


def load(folder: Path, text: str) -> Config:
    path = folder / "prontuario.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    told = str(caught.value)
    assert told.startswith(str(folder / "prontuario.toml"))
    return told.removeprefix(str(folder / "prontuario.toml"))


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path / "prontuario.toml") == Config()
    assert load(tmp_path, "") == Config()


def test_what_is_written_counts_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[node]\nname = "mac-a"\n\n[api]\nport = 9443\nnames = ["a", "b"]\n\n'
        '[capabilities]\nchat_model = ["x", "y"]\n\n[plugins.echo]\nloud = true\n',
    )
    assert config.node.name == "mac-a"
    assert (config.api.port, config.api.names, config.api.host) == (9443, ("a", "b"), "127.0.0.1")
    assert config.capabilities == {"chat_model": ("x", "y")}
    assert config.plugins == {"echo": {"loud": True}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[api]\nprot = 1\n", ":2: unknown key 'api.prot'; did you mean 'port'?"),
        ("\n\n[apy]\nport = 1\n", ":3: unknown key 'apy'; did you mean 'api'?"),
        ("[node]\nname = 'x'\n# a comment\nfase = 'ha'\n", ":4: unknown key 'node.fase'; did you mean 'phase'?"),
        ("api.prot = 1\n", ":1: unknown key 'api.prot'; did you mean 'port'?"),
        ("[store]\nlightstream = false\n", ":2: unknown key 'store.lightstream'; did you mean 'litestream'?"),
        ('[api]\nport = "8443"\n', ":2: api.port: Expected `int`, got `str`"),
        ("[api]\nport = 1.5\n", ":2: api.port: Expected `int`, got `float`"),
        ("[cluster]\nmode = 'pair'\n", ":2: cluster.mode: Invalid enum value 'pair'"),
        ("[api]\nnames = ['a', 3]\n", ":2: api.names: Expected `str`, got `int`"),
        ("[capabilities]\nchat_model = 'x'\n", ":1: capabilities: Expected `array`, got `str`"),
        ("api = 3\n", ":1: api: Expected `object`, got `int`"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert complaint(tmp_path, text) == expected


def test_a_key_unlike_any_other_lists_the_known_ones(tmp_path: Path) -> None:
    told = complaint(tmp_path, "[admin]\nzzz = 1\n")
    assert told == ":2: unknown key 'admin.zzz'; known keys: host, port"


@pytest.mark.parametrize(
    ("text", "line"), [("[api\nport = 1", 1), ("a = 1\na = 2", 2), ("[api]\n\nport = ", 3), ("\n= 3", 2)]
)
def test_text_that_is_no_toml_is_told_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert complaint(tmp_path, text).startswith(f":{line}: this is not valid TOML: ")


def test_text_that_is_not_utf8_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "prontuario.toml"
    path.write_bytes(b'[node]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(path)


def test_a_folder_in_its_place_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "prontuario.toml").mkdir()
    with pytest.raises(ConfigError, match="can't be read"):
        load_config(tmp_path / "prontuario.toml")


class EchoConfig(msgspec.Struct, forbid_unknown_fields=True):
    volume: int = 3
    colour: str = "red"


def test_a_plugins_table_is_told_with_its_place_too(tmp_path: Path) -> None:
    path = tmp_path / "prontuario.toml"
    text = "[node]\nname = 'x'\n\n[plugins.echo]\nvolum = 4\n"
    config = load(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        decode(config.plugins["echo"], EchoConfig, path=path, text=text, prefix=("plugins", "echo"))
    assert str(caught.value) == f"{path}:5: unknown key 'plugins.echo.volum'; did you mean 'volume'?"
    wrong = text.replace("volum = 4", "volume = 'loud'")
    with pytest.raises(ConfigError) as caught:
        decode({"volume": "loud"}, EchoConfig, path=path, text=wrong, prefix=("plugins", "echo"))
    assert str(caught.value) == f"{path}:5: plugins.echo.volume: Expected `int`, got `str`"


def test_every_path_lies_below_home(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    named = [name for name, value in vars(Paths).items() if isinstance(value, property)]
    assert len(named) > 8
    for name in named:
        assert getattr(paths, name).is_relative_to(tmp_path), name


def test_every_default_is_of_its_own_type() -> None:
    assert msgspec.convert(msgspec.to_builtins(Config()), Config) == Config()
