"""What can go wrong with drills, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

DRILL_UNKNOWN = define(
    "drill.unknown",
    404,
    pt=("Não há ensaio {name}.", "Veja prontuario drill list."),
    en=("There is no drill {name}.", "See prontuario drill list."),
)
REPORT_UNKNOWN = define(
    "drill.no_report",
    404,
    pt=("Não há relatório {id} aqui.", "Veja prontuario drill history."),
    en=("There is no report {id} here.", "See prontuario drill history."),
)
DRILL_FAILED = define(
    "drill.failed",
    500,
    pt=("O ensaio falhou: {why_pt}", "Leia o relatório {id} e siga docs/runbooks/drill.md."),
    en=("The drill failed: {why}", "Read the report {id} and follow docs/runbooks/drill.md."),
)
DRILL_PUT_OFF = define(
    "drill.put_off",
    409,
    pt=(
        "O ensaio foi adiado {count} vezes porque havia consultas.",
        "Escolha um horário calmo: prontuario drill run {name}.",
    ),
    en=(
        "The drill was postponed {count} times because there were consults.",
        "Choose a quiet hour: prontuario drill run {name}.",
    ),
)
CONSULTS = define(
    "drill.consults",
    409,
    pt=("Há {count} consulta(s) em andamento; o ensaio não começou.", "Espere que terminem e peça de novo."),
    en=("There are {count} consults under way; the drill did not begin.", "Wait for them to end and ask again."),
)
NOT_A_REPORT = define(
    "drill.not_a_report",
    422,
    pt=("Este arquivo não é um relatório de ensaio.", "Peça o arquivo com prontuario drill report."),
    en=("This file is no drill report.", "Get the file with prontuario drill report."),
)
ENGINE_SILENT = define(
    "drill.engine_silent",
    503,
    pt=("O modelo {engine} não respondeu ao pedido de teste ({reason}).", "Siga docs/runbooks/engine-down.md."),
    en=("The engine {engine} did not answer the test request ({reason}).", "Follow docs/runbooks/engine-down.md."),
)
DOCTOR_FOUND = define(
    "drill.doctor_found",
    500,
    pt=("O doctor achou {count} problema(s): {checks}.", "Execute prontuario doctor e faça o que ele diz."),
    en=("The doctor found {count} problem(s): {checks}.", "Run prontuario doctor and do what it says."),
)
WRITES_LOST = define(
    "drill.writes_lost",
    500,
    pt=("Faltam {lost} de {watched} gravações confirmadas.", "Não apague nada e chame o suporte agora."),
    en=("{lost} of {watched} acknowledged writes are missing.", "Erase nothing and call support now."),
)
MIRROR_EMPTY = define(
    "drill.mirror_empty",
    500,
    pt=(
        "Na cópia fora deste Mac não há a pasta {folder}.",
        "Veja se o disco está montado e se o que leva a cópia (rsync, rclone) funciona: docs/drills.md.",
    ),
    en=(
        "The copy outside this Mac has no folder {folder}.",
        "See whether the disk is mounted and what carries the copy (rsync, rclone) works: docs/drills.md.",
    ),
)
NOBODY_TOOK_OVER = define(
    "drill.nobody_took_over",
    500,
    pt=("Ninguém assumiu no lugar de {node}.", "Siga docs/runbooks/read-only.md."),
    en=("Nobody took over from {node}.", "Follow docs/runbooks/read-only.md."),
)
NOTE_DIFFERS = define(
    "drill.note_differs",
    500,
    pt=("A nota do paciente sintético não foi lida igual em {where}.", "Não apague nada e chame o suporte."),
    en=("The synthetic patient's note did not read the same in {where}.", "Erase nothing and call support."),
)
