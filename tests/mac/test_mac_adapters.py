"""What only a Mac can show: the real programs and calls behind our adapters. Run by ``make mac-acceptance``.

On other systems this folder is not collected; there the same adapters are tested against the fakes in tests/fakes.
"""

import asyncio
import os
import socket
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.care.audio import BYTES_PER_SECOND, decode
from appliance.care.audio_decoders import AfconvertDecoder
from appliance.daemon.control import peer_uid
from appliance.plugin_api.testing import check_text_to_speech
from appliance.security.protectors import KeychainProtector
from plugins.speech_out.config import VoiceConfig
from plugins.speech_out.programs import AvSpeechProgram, Program, SayProgram
from plugins.speech_out.provider import Voice

SAMPLE = Path(str(files("appliance.daemon") / "sample" / "consult.flac"))


async def pcm(source: Path) -> bytes:
    return b"".join([block async for block in decode(source, max_hours=1, decoders=[AfconvertDecoder()])])


def test_afconvert_decodes_what_an_iphone_records(tmp_path: Path) -> None:
    recording = tmp_path / "memo.m4a"
    subprocess.run(["afconvert", "-f", "m4af", "-d", "aac", str(SAMPLE), str(recording)], check=True)
    seconds = len(asyncio.run(pcm(recording))) / BYTES_PER_SECOND
    assert 48.0 < seconds < 49.5


def test_a_keychain_keeps_the_key_encryption_key(tmp_path: Path) -> None:
    keychain = str(tmp_path / "test.keychain-db")
    subprocess.run(["security", "create-keychain", "-p", "", keychain], check=True)
    try:
        protector = KeychainProtector("prontuario-acceptance", keychain)
        key, parameters = protector.make()
        assert protector.key(parameters) == key
        assert len(key) == 32
    finally:
        subprocess.run(["security", "delete-keychain", keychain], check=True)


def test_the_operator_s_socket_knows_its_peer() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_uid(ours) == os.getuid()


def test_mlx_runs_on_the_gpu() -> None:
    mx = pytest.importorskip("mlx.core")
    assert mx.default_device().type == mx.DeviceType.gpu


@pytest.mark.parametrize("program", [AvSpeechProgram(), SayProgram()], ids=lambda program: program.name)
def test_the_mac_s_voices_keep_the_contract(program: Program) -> None:
    missing = program.missing()
    if missing is not None and program.name == "avspeech":
        pytest.skip(missing.message)
    assert missing is None
    asyncio.run(check_text_to_speech(Voice([program], VoiceConfig())))
