"""Telling somebody outside of errors that nobody expected, if the operator wants that.

Off unless :mod:`hub.tracing` installs a reporter. What the log tells with a traceback is reported; business
facts, which have none, are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

#: Called with the error, the log's line (empty where it is a library's), the module that logs, and the ids
#: bound to the line.
Reporter = Callable[[BaseException, str, str, Mapping[str, str]], None]

_IDS = ("request_id", "job_id", "trace_id", "attempt", "task")
#: Whose lines are constant. Those of libraries may repeat the error, and what somebody said in it.
_OWN = ("hub", "actors")
_reporter: Reporter | None = None


def install(reporter: Reporter | None) -> None:
    """Have errors reported from now on, or no longer."""
    global _reporter  # noqa: PLW0603 - one a process, as its log
    _reporter = reporter


def report(level: str, event: Mapping[str, object]) -> None:
    """Report the error of a log line, if it has one.

    Args:
        level: the line's level.
        event: the line as it was logged, before anything is made of its ``exc_info``.
    """
    if _reporter is None or level not in ("error", "critical"):
        return
    error = _error_in(event.get("exc_info"))
    if error is not None:
        ids = {name: str(event[name]) for name in _IDS if event.get(name) is not None}
        module = str(event.get("logger", ""))
        line = str(event.get("event", "")) if module.split(".", maxsplit=1)[0] in _OWN else ""
        _reporter(error, line, module, ids)


def _error_in(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None
