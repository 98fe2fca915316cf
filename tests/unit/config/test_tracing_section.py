"""``[tracing]``: off unless it is switched on with a place to send to; a mistake stops the start with its section."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import ConfigError, load_config
from appliance.config.model import Tracing


def written(folder: Path, text: str) -> Tracing:
    (folder / "prontuario.toml").write_text(text)
    return load_config(folder / "prontuario.toml").tracing


def test_nothing_is_traced_unless_somebody_says_so(tmp_path: Path) -> None:
    assert not written(tmp_path, "").enabled
    assert not written(tmp_path, '[tracing]\nendpoint = "nonsense"\n').enabled


@pytest.mark.parametrize(
    "url", ["http://10.0.0.5:4318/v1/traces", "https://traces.hospital.local/", "http://[fd00::1]:4318/"]
)
def test_a_place_switches_it_on(tmp_path: Path, url: str) -> None:
    assert written(tmp_path, f'[tracing]\nenabled = true\nendpoint = "{url}"\n').endpoint == url


@pytest.mark.parametrize(
    "url", ["", "10.0.0.5:4318", "grpc://10.0.0.5", "http://", "http://x:99999/", "http://x:no/", "http://["]
)
def test_without_one_the_start_is_stopped_with_a_sentence(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"prontuario\.toml:1: tracing: .*needs tracing\.endpoint, such as http"):
        written(tmp_path, f'[tracing]\nenabled = true\nendpoint = "{url}"\n')


@pytest.mark.parametrize(
    "line",
    ["sample_ratio = 1.5", "sample_ratio = -0.1", "queue_spans = 0", "every_s = 0", "timeout_s = 0", "flush_s = 99"],
)
def test_figures_out_of_range_are_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=line.split(" ", maxsplit=1)[0]):
        written(tmp_path, f"[tracing]\n{line}\n")
