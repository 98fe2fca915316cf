"""Structured logs that never carry patient data.

The rule is an allow-list: only the field names below may travel, with values that are identifiers, numbers or short
codes. Everything else is replaced by ``[redacted]``: a log call with a transcript in it stays harmless. Exceptions are
logged by type and place, never by message (a message may quote the data that broke it).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from appliance.telemetry.log_files import LogFile, Losses, Terminal

ALLOWED_FIELDS: Final = frozenset(
    {
        "advice",
        "attempt",
        "audio_s",
        "budget_bytes",
        "bytes",
        "capability",
        "check",
        "code",
        "component",
        "count",
        "deadline_s",
        "demonstration",
        "device_id",
        "dictation_id",
        "duration_ms",
        "engine",
        "epoch",
        "error",
        "error_at",
        "error_trace",
        "event",
        "exit_code",
        "footprint_bytes",
        "host",
        "incident",
        "job",
        "job_id",
        "kind",
        "lane",
        "level",
        "logger",
        "method",
        "migration",
        "mode",
        "model",
        "model_sha256",
        "next_step",
        "node",
        "note_id",
        "path",
        "phase",
        "pid",
        "plugin",
        "port",
        "progress",
        "queue",
        "reason_code",
        "resource_id",
        "resource_type",
        "restarts",
        "role",
        "route",
        "segments",
        "sequence",
        "session_id",
        "signal",
        "size",
        "status",
        "step",
        "timestamp",
        "txid",
        "url",
        "user_id",
        "version",
    }
)
_MAX_VALUE: Final = 240
_MAX_TRACE: Final = 6000
LOSSES: Final = Losses()
"""What this process's log files could not take."""
PLUGIN_LOGGERS: Final = "prontuario.plugins."
"""A plugin logs fixed texts through ``logging.getLogger("prontuario.plugins.<name>")``."""


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep allowed fields with short scalar values; blank the rest."""
    for key, value in list(event.items()):
        scalar = value is None or isinstance(value, bool | int | float | str)
        if key not in ALLOWED_FIELDS or not scalar:
            event[key] = "[redacted]"
        elif isinstance(value, str) and len(value) > (limit := _MAX_TRACE if key == "error_trace" else _MAX_VALUE):
            event[key] = value[:limit] + "…"
    return event


def describe_exception(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace ``exc_info`` by the exception's type, the innermost place and the whole way there; never its message.

    A library's innermost place says little (uvloop raises for every closed handle in one and the same line).
    """
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()[1]
    elif isinstance(info, tuple):
        info = info[1]
    if isinstance(info, BaseException):
        frames = traceback.extract_tb(info.__traceback__)
        event["error"] = type(info).__qualname__
        if frames:
            event["error_at"] = _place(frames[-1])
            event["error_trace"] = " > ".join(_way(info))
    return event


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"


def _way(error: BaseException) -> list[str]:
    """Places from the outermost to the innermost, the newest exception first; then the one it came from, and so on."""
    way: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        way += [_place(frame) for frame in traceback.extract_tb(current.__traceback__)]
        way.append(type(current).__qualname__)
        inner = current.exceptions[0] if isinstance(current, BaseExceptionGroup) else None
        current = inner or current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return way


def configure(
    *, level: str, file: Path | None, max_bytes: int = 64 << 20, keep: int = 5, terminal_level: str | None = None
) -> None:
    """Send our logs to ``file`` as JSON lines (rotated by size) and to stderr for people (from ``terminal_level`` up).

    Of dependencies' loggers only warnings are kept, and of those only name and level: their texts may quote data.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_exception,
        redact,
    ]
    handlers: list[logging.Handler] = []
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        rotating = LogFile(file, max_bytes=max_bytes, keep=keep, losses=LOSSES)
        rotating.setFormatter(_formatter(shared, structlog.processors.JSONRenderer(ensure_ascii=False)))
        handlers.append(rotating)
    terminal = Terminal(sys.stderr)
    terminal.setFormatter(_formatter(shared, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)))
    terminal.setLevel((terminal_level or level).upper())
    handlers.append(terminal)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("prontuario").setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _foreign(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A record that did not come through ``get_logger``, whatever name its logger chose (Quart names its own after us)."""
    record = event.get("_record")
    if record is not None:
        # Plugins can't import this module; what they log is their template, its arguments stay out.
        plain = record.name.startswith(PLUGIN_LOGGERS) and isinstance(record.msg, str)
        event["event"] = record.msg[:_MAX_VALUE] if plain else f"{record.name} reported {record.levelname.lower()}"
        event.pop("positional_args", None)
    return event


def _formatter(shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_foreign, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def get_logger(component: str) -> structlog.stdlib.BoundLogger:
    """The logger of a component; fixed event texts only: ``log.info("engine ready", engine="whisper")``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"prontuario.{component}", component=component)
    return logger
