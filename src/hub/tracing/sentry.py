"""Unexpected errors to Sentry: what broke and where, never what was said."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.types import Event, Hint

import hub
from hub.core import tracing
from hub.core.redaction import scrub

#: Those whose errors are not the hub's: most of all Sentry's own, which would be told for ever.
_OTHERS = ("sentry_sdk", "urllib3", "opentelemetry", "hub.tracing")
#: What is kept of an event, of an exception in it, and of a frame of its stack. All else is dropped.
_EVENT = (
    "contexts",
    "environment",
    "event_id",
    "exception",
    "level",
    "logger",
    "platform",
    "release",
    "sdk",
    "tags",
    "timestamp",
)
_EXCEPTION = ("type", "module", "mechanism", "stacktrace")
_FRAME = ("filename", "function", "module", "lineno", "in_app", "context_line")
_CONTEXTS = ("trace", "runtime")


class SentryReporter:
    """Sends errors from a thread of its own, which drops what a slow Sentry does not take.

    Raises:
        ValueError: the DSN is none.
    """

    def __init__(self, dsn: str, *, environment: str) -> None:
        self._client = sentry_sdk.Client(
            dsn=dsn,
            environment=environment,
            release=f"companion-hub@{hub.__version__}",
            server_name="",
            include_local_variables=False,
            include_source_context=True,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_breadcrumb=lambda _crumb, _hint: None,
            before_send=_only_known,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[DedupeIntegration()],  # others look into frameworks, libraries and log lines
            spotlight=False,
            enable_metrics=False,
            traces_sample_rate=None,
            auto_session_tracking=False,
            send_client_reports=False,
            enable_logs=False,
            shutdown_timeout=0,
        )
        sentry_sdk.get_global_scope().set_client(self._client)
        self._hook_before = threading.excepthook
        threading.excepthook = self._report_of_thread

    def report(self, error: BaseException, line: str, module: str, ids: Mapping[str, str]) -> None:
        """Report the error of a log line."""
        if module.startswith(_OTHERS):
            return
        with sentry_sdk.new_scope() as scope:
            for name, value in ids.items():
                scope.set_tag(name, value)
            if (step := tracing.current()) is not None:
                scope.set_context("trace", {"trace_id": step.trace_id, "span_id": step.span_id})
            if line:
                scope.set_tag("line", line)
            scope.set_tag("logger", module)
            scope.capture_exception(error)

    def close(self, timeout: float) -> None:
        """Send what is left for so many seconds."""
        threading.excepthook = self._hook_before
        self._client.close(timeout=timeout)

    def _report_of_thread(self, broken: threading.ExceptHookArgs) -> None:
        if broken.exc_value is not None and broken.exc_type is not SystemExit:
            self.report(broken.exc_value, "a thread broke", "threading", {})
        self._hook_before(broken)


def _only_known(event: Event, _hint: Hint) -> Event | None:
    """Keep what is known to hold nothing of anybody: types, places in the code, ids.

    What an exception says is dropped, since it may hold what somebody wrote; the log has it, under the ids.
    """
    kept: dict[str, object] = {name: value for name, value in event.items() if name in _EVENT}
    kept["exception"] = {"values": [_exception(each) for each in _values(event)]}
    contexts = event.get("contexts") or {}
    kept["contexts"] = {name: contexts[name] for name in _CONTEXTS if name in contexts}
    kept["tags"] = {name: scrub(str(value)) for name, value in dict(event.get("tags") or {}).items()}
    return kept  # type: ignore[return-value]  # the same keys, chosen


def _values(event: Event) -> list[dict[str, object]]:
    return list((event.get("exception") or {}).get("values") or [])


def _exception(given: dict[str, object]) -> dict[str, object]:
    kept = {name: given[name] for name in _EXCEPTION if name in given}
    stack = given.get("stacktrace")
    frames = stack.get("frames") if isinstance(stack, dict) else None
    if frames:
        kept["stacktrace"] = {
            "frames": [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]
        }
    return kept
