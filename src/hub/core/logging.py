"""Logs: one line for each fact, pretty for people, JSON for machines, and never a secret in it.

A module takes ``log = get_logger(__name__)``; ids are bound with ``structlog.contextvars`` and then stand
on every line of that request or job. Libraries that use the standard ``logging`` come out in the same form,
from warnings up: below that several of them write URLs with tickets, queries with arguments, or bodies.
"""

import json
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TextIO, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from hub.core import reporting, tracing
from hub.core.redaction import redact
from hub.core.settings import Settings

_OWN = ("hub", "actors")
# These set up loggers of their own, or may have before us.
_LIBRARIES = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "litestar",
    "dramatiq",
    "pika",
    "asyncpg",
    "httpx2",
    "httpcore2",
    "websockets",
)
_MULTI_LINE = frozenset({"exception", "stack"})


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; ``name`` (its ``__name__``) stands on each line as ``logger``.

    It may be made before :func:`configure_logging` is called, which is what a module does.
    """
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard output if not given).

    ``log_format`` "json" gives one JSON object a line; "pretty" lines for people, coloured on a terminal
    unless NO_COLOR is set; "auto" is json in production and pretty otherwise. Calling it again replaces
    what was set, except for loggers that have been used: they keep the first configuration for speed.
    """
    sink = _Sink(sys.stdout if stream is None else stream)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    processors = [*_enrich(), *_render(settings, sink)]
    structlog.configure(
        processors=[structlog.stdlib.add_logger_name, *processors],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Line(sink, *names),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(_SinkHandler(sink, processors), level)


def _enrich() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _note_trace,
        _report,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # Python's own form: no local variables
        _redact,
    ]


def _render(settings: Settings, sink: "_Sink") -> list[Processor]:
    if settings.log_format == "json" or (settings.log_format == "auto" and settings.env == "production"):
        return [_to_json]
    console = structlog.dev.ConsoleRenderer(
        colors=sink.terminal and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )
    return [_escape, console]


def _note_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    span = tracing.current()
    if span is not None:
        event["trace_id"] = span.trace_id
    return event


def _report(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    reporting.report(method, event)
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    redact(cast("dict[str, object]", event))
    return event


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep what somebody typed from steering the terminal or from looking like a second line."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            kept = "\n\t" if key in _MULTI_LINE else ""
            event[key] = "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in value)
    return event


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {key: event.pop(key, None) for key in ("timestamp", "level", "event")}
    line = {**first, **event}
    try:
        return orjson.dumps(line).decode()
    except TypeError:  # an integer beyond 64 bits or a lone surrogate: rare, and the line still counts
        return json.dumps(line, default=repr)


class _Sink:
    """Where lines go.

    A log that cannot be written (a full disk, a closed pipe) must not break the work it tells of.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._buffer = getattr(stream, "buffer", None)
        self._lock = threading.RLock()  # a signal handler may log while its thread is writing
        self.terminal = stream.isatty()

    def write(self, line: str) -> None:
        """Write one line and flush it."""
        with self._lock, suppress(OSError, ValueError, RuntimeError):
            if self._buffer is None:
                self._stream.write(line + "\n")
                self._stream.flush()
                return
            self._stream.flush()  # what print left there comes first
            self._buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
            self._buffer.flush()


class _Line:
    """What structlog hands a rendered line to: one for each module, all with the same sink."""

    def __init__(self, sink: _Sink, name: str = "") -> None:
        self.name = name
        self._sink = sink

    def write(self, line: str) -> None:
        self._sink.write(line)

    msg = log = debug = info = warn = warning = error = critical = fatal = exception = write


class _SinkHandler(logging.Handler):
    """Standard logging's records, in the same form to the same place."""

    def __init__(self, sink: _Sink, processors: list[Processor]) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_logger_name],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
            )
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.write(self.format(record))
        except Exception:  # noqa: BLE001 - what a library logs must never break it
            self.handleError(record)


def _route_standard_logging(handler: _SinkHandler, level: int) -> None:
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _SinkHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    for name in _OWN:
        logging.getLogger(name).setLevel(level)
