"""What can go wrong with dictations and notes, as sentences that tell a clinician what was kept and what to do."""

from __future__ import annotations

from appliance.plugin_api.errors import ProntuarioError, catalogue, define

CHUNK_CONFLICT = define(
    "dictation.chunk_conflict",
    409,
    pt=(
        "O trecho {sequence} já foi guardado com outro conteúdo.",
        "O primeiro conteúdo vale. Abra outro ditado se for preciso.",
    ),
    en=(
        "Chunk {sequence} is already stored with other content.",
        "The first content stands. Open another dictation if needed.",
    ),
)
CHUNK_DAMAGED = define(
    "dictation.chunk_damaged",
    422,
    pt=("O trecho {sequence} chegou diferente do que foi anunciado.", "Envie este trecho de novo."),
    en=("Chunk {sequence} arrived different from what was announced.", "Send this chunk again."),
)
CHUNK_EMPTY = define(
    "dictation.chunk_empty",
    422,
    pt=("O trecho {sequence} está vazio.", "Envie o trecho com o áudio."),
    en=("Chunk {sequence} is empty.", "Send the chunk with its audio."),
)
CHUNK_TOO_BIG = define(
    "dictation.chunk_too_big",
    413,
    pt=("O trecho {sequence} passa do limite de {limit_mib} MiB.", "Divida o áudio em trechos menores."),
    en=("Chunk {sequence} is larger than the limit of {limit_mib} MiB.", "Split the audio into smaller chunks."),
)
CHUNK_BEYOND = define(
    "dictation.chunk_beyond",
    409,
    pt=("O ditado foi declarado com {total} trechos.", "Confira a numeração: ela começa em 0."),
    en=("The dictation was declared with {total} chunks.", "Check the numbering: it starts at 0."),
)
GAP = define(
    "dictation.gap",
    409,
    pt=("Faltam trechos de áudio: {missing}.", "Reenvie os trechos que faltam e conclua de novo."),
    en=("Audio chunks are missing: {missing}.", "Send the missing chunks, then complete again."),
)
NOT_OPEN = define(
    "dictation.not_open",
    409,
    pt=("Este ditado já foi concluído.", "Nada se perdeu. Abra outro ditado para continuar."),
    en=("This dictation is already complete.", "Nothing was lost. Open another dictation to go on."),
)
NOT_YOURS = define(
    "dictation.not_yours",
    403,
    pt=("Este ditado é de outra pessoa.", "Só quem abriu o ditado pode enviar áudio para ele."),
    en=("This dictation belongs to somebody else.", "Only the person who opened it may send audio to it."),
)
HASH_MISMATCH = define(
    "dictation.hash_mismatch",
    422,
    pt=(
        "O áudio inteiro não confere com o código declarado.",
        "Os trechos foram guardados. Confira a ordem e os trechos.",
    ),
    en=("The whole audio does not match the declared hash.", "The chunks were kept. Check their order and content."),
)
NOT_RETRYABLE = define(
    "dictation.not_retryable",
    409,
    pt=("Não há o que repetir: o ditado está em “{state}”.", "Acompanhe o andamento do ditado."),
    en=("There is nothing to repeat: the dictation is “{state}”.", "Follow the dictation's progress."),
)
NO_TRANSCRIPT = define(
    "transcript.not_ready",
    409,
    pt=("A transcrição ainda não está pronta.", "Aguarde; o andamento aparece no próprio ditado."),
    en=("The transcript is not ready yet.", "Wait; the dictation shows its progress."),
)
NO_SPEECH = define(
    "transcript.no_speech",
    422,
    pt=("Não ouvimos fala neste áudio.", "O áudio foi guardado. Confira o microfone e grave de novo."),
    en=("We heard no speech in this audio.", "The audio was kept. Check the microphone and record again."),
)
SUPERSEDED = define(
    "transcript.superseded",
    409,
    pt=("Outra transcrição deste ditado já começou.", "Nada a fazer."),
    en=("Another transcription of this dictation has started.", "Nothing to do."),
)
VERSION_REQUIRED = define(
    "note.version_required",
    428,
    pt=("Falta dizer qual versão da nota você leu.", "Envie If-Match com a versão atual."),
    en=("It is missing which version of the note you read.", "Send If-Match with the current version."),
)
VERSION_CHANGED = define(
    "note.version_changed",
    412,
    pt=("A nota mudou: a versão atual é a {version}.", "Leia a versão atual e repita a mudança."),
    en=("The note has changed: the current version is {version}.", "Read the current version and repeat the change."),
)
UNRESOLVED = define(
    "note.unresolved",
    409,
    pt=(
        "Há frases sem apoio no áudio: {sentences}.",
        "Corrija, apague ou confirme cada uma delas e revise de novo.",
    ),
    en=(
        "Some sentences are not supported by the audio: {sentences}.",
        "Correct, delete or confirm each of them, then review again.",
    ),
)
EMPTY_NOTE = define(
    "note.empty",
    422,
    pt=("A nota está vazia.", "Escreva ao menos uma frase antes de revisar."),
    en=("The note is empty.", "Write at least one sentence before the review."),
)
NOT_REVIEWED = define(
    "note.not_reviewed",
    409,
    pt=("Quem assina precisa antes revisar esta versão da nota.", "Revise a nota e assine em seguida."),
    en=("Whoever signs must first review this version of the note.", "Review the note, then sign it."),
)
SIGNED = define(
    "note.signed",
    409,
    pt=("A nota está assinada e não pode ser alterada.", "Faça um adendo (emenda) com o motivo."),
    en=("The note is signed and cannot be changed.", "Write an amendment and give its reason."),
)
UNSIGNED = define(
    "note.unsigned",
    409,
    pt=("A nota ainda não foi assinada.", "Só notas assinadas podem sair daqui. Revise e assine."),
    en=("The note is not signed yet.", "Only signed notes may leave. Review and sign it."),
)
ALREADY_AMENDED = define(
    "note.already_amended",
    409,
    pt=("Esta nota já tem uma emenda.", "Emende a nota mais recente."),
    en=("This note already has an amendment.", "Amend the most recent note."),
)
BAD_SIGNATURE = define(
    "note.bad_signature",
    422,
    pt=("A assinatura não confere com a nota.", "Leia o formulário de assinatura atual e assine de novo."),
    en=("The signature does not fit the note.", "Read the current signing form and sign again."),
)
UNKNOWN_SEGMENT = define(
    "note.unknown_segment",
    422,
    pt=("A frase cita o segmento {number}, que não existe.", "Cite apenas segmentos da transcrição."),
    en=("The sentence cites segment {number}, which does not exist.", "Cite only segments of the transcript."),
)


def by_code(code: str) -> ProntuarioError:
    """The error that a stored code stands for; an unknown code becomes ``internal``."""
    kinds = catalogue()
    return (kinds.get(code) or kinds["internal"])()
