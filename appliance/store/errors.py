"""What can go wrong with the store, as errors that a person can act on."""

from __future__ import annotations

from appliance.plugin_api.errors import define

FULL = define(
    "store.full",
    507,
    pt=("O disco do prontuário está cheio; nada foi gravado.", "Chame a TI para liberar espaço e envie de novo."),
    en=("The record's disk is full; nothing was written.", "Ask IT to free space, then send again."),
)
FAILED = define(
    "store.failed",
    503,
    pt=("O prontuário não conseguiu gravar.", "Nada foi gravado. Tente de novo; se repetir, chame a TI."),
    en=("The record could not be written.", "Nothing was written. Try again; if it repeats, call IT."),
)
UNCONFIRMED = define(
    "store.unconfirmed",
    503,
    pt=("A gravação ainda não foi confirmada.", "Repita com a mesma Idempotency-Key: nada será duplicado."),
    en=("The write is not confirmed yet.", "Repeat it with the same Idempotency-Key: nothing will be doubled."),
)
BUSY = define(
    "store.busy",
    503,
    pt=("O prontuário está ocupado; nada foi gravado.", "Tente de novo em instantes."),
    en=("The record is busy; nothing was written.", "Try again in a moment."),
)
SLOW_READ = define(
    "store.slow_read",
    503,
    pt=("A consulta ao prontuário demorou demais e foi interrompida.", "Refine a busca e tente de novo."),
    en=("Reading the record took too long and was broken off.", "Narrow the search and try again."),
)
CLOSED = define(
    "store.closed",
    503,
    pt=("O prontuário está sendo encerrado; nada foi gravado.", "Tente de novo em instantes."),
    en=("The record is closing down; nothing was written.", "Try again in a moment."),
)
AFFECTED_SQLITE = define(
    "store.affected_sqlite",
    500,
    pt=(
        "O SQLite {version} pode corromper o prontuário (falha WAL-reset, 3.7.0 a 3.51.2).",
        "Instale pysqlite3 0.6.1.",
    ),
    en=("SQLite {version} can corrupt the record (WAL-reset bug, 3.7.0 to 3.51.2).", "Install pysqlite3 0.6.1."),
)
NEWER_DATABASE = define(
    "store.newer_database",
    500,
    pt=("O banco é de uma versão mais nova (migração {migration}).", "Instale a versão mais nova do Prontuário."),
    en=("The database is from a newer version (migration {migration}).", "Install the newer Prontuário."),
)
MIGRATION_CHANGED = define(
    "store.migration_changed",
    500,
    pt=("A migração {migration} não é a que foi aplicada a este banco.", "Reinstale a versão original."),
    en=("Migration {migration} is not the one that this database was made with.", "Reinstall the original version."),
)
MIGRATION_FAILED = define(
    "store.migration_failed",
    500,
    pt=("A migração {migration} falhou; o banco ficou como estava.", "Volte à versão anterior e informe o suporte."),
    en=("Migration {migration} failed; the database is as it was.", "Go back to the previous version and report this."),
)
LITESTREAM_MISSING = define(
    "store.litestream_missing",
    500,
    pt=("O programa litestream não foi encontrado.", "Reinstale o Prontuário."),
    en=("The litestream program was not found.", "Install Prontuário again."),
)
LITESTREAM_RUNNING = define(
    "store.litestream_running",
    500,
    pt=("Outro litestream (pid {pid}) já cuida deste banco.", "Encerre-o ou pare o outro nó deste computador."),
    en=(
        "Another litestream (pid {pid}) already serves this database.",
        "End it, or stop the other node on this machine.",
    ),
)
BLOB_DAMAGED = define(
    "blob.damaged",
    500,
    pt=("O arquivo {address} está danificado.", "Chame a TI: ele precisa ser restaurado da cópia."),
    en=("The file {address} is damaged.", "Call IT: it has to be restored from the copy."),
)
BLOB_MISSING = define(
    "blob.missing",
    404,
    pt=("O arquivo {address} não existe mais.", "Se ele não foi apagado de propósito, chame a TI."),
    en=("The file {address} is gone.", "Unless it was erased on purpose, call IT."),
)
JOB_UNKNOWN = define(
    "job.unknown",
    404,
    pt=("Não há tarefa parada com este identificador.", "Atualize a lista de tarefas."),
    en=("There is no stopped job with this identifier.", "Refresh the list of jobs."),
)
KEY_REUSED = define(
    "idempotency.reused",
    422,
    pt=("Esta Idempotency-Key já foi usada para outro pedido.", "Gere uma chave nova para cada pedido."),
    en=("This Idempotency-Key was already used for another request.", "Make a new key for each request."),
)
