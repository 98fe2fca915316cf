"""What can be wrong with audio that somebody sent. Each sentence says what was kept and what to do."""

from __future__ import annotations

from appliance.plugin_api.errors import define

AUDIO_EMPTY = define(
    "audio.empty",
    422,
    pt=("O áudio está vazio.", "Grave de novo; se repetir, verifique o microfone."),
    en=("The audio is empty.", "Record again; if it repeats, check the microphone."),
)
AUDIO_TRUNCATED = define(
    "audio.truncated",
    422,
    pt=(
        "O áudio termina antes do fim declarado no arquivo.",
        "O trecho recebido foi guardado. Envie o arquivo inteiro.",
    ),
    en=("The audio ends before the end that the file declares.", "What arrived was kept. Send the whole file."),
)
AUDIO_DAMAGED = define(
    "audio.damaged",
    422,
    pt=(
        "Não conseguimos ler o áudio: o arquivo está danificado.",
        "O arquivo recebido foi guardado. Grave ou envie de novo.",
    ),
    en=("We could not read the audio: the file is damaged.", "The file was kept as it came. Record or send it again."),
)
AUDIO_UNSUPPORTED = define(
    "audio.unsupported",
    415,
    pt=("Este arquivo não é um áudio que conhecemos.", "Envie WAV, FLAC, MP3, M4A/AAC, OGG/Opus ou WebM."),
    en=("This file is not audio that we know.", "Send WAV, FLAC, MP3, M4A/AAC, OGG/Opus or WebM."),
)
AUDIO_TOO_LONG = define(
    "audio.too_long",
    413,
    pt=("O áudio passa do limite de {hours} horas.", "Divida o ditado em partes menores."),
    en=("The audio is longer than the limit of {hours} hours.", "Split the dictation into smaller parts."),
)
AUDIO_TOO_BIG = define(
    "audio.too_big",
    413,
    pt=("O áudio passa do limite de {limit_mib} MiB.", "Use um formato comprimido (M4A, Opus) ou divida o ditado."),
    en=(
        "The audio is larger than the limit of {limit_mib} MiB.",
        "Use a compressed format (M4A, Opus) or split the dictation.",
    ),
)
AUDIO_DECODER_MISSING = define(
    "audio.decoder_missing",
    503,
    pt=(
        "Este servidor não tem o programa que lê áudio {format}.",
        "O áudio foi guardado. Peça à TI que instale o ffmpeg.",
    ),
    en=("This server lacks the program that reads {format} audio.", "The audio was kept. Ask IT to install ffmpeg."),
)
AUDIO_DECODER_STALLED = define(
    "audio.decoder_stalled",
    422,
    pt=(
        "A leitura do áudio parou e foi interrompida.",
        "O arquivo foi guardado. Tente de novo ou envie em outro formato.",
    ),
    en=("Reading the audio got stuck and was stopped.", "The file was kept. Try again or send another format."),
)
