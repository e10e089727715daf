"""Turning on what the settings ask for, and turning it off in time."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from hub.core import reporting, tracing
from hub.core.errors import StartError
from hub.core.logging import get_logger
from hub.core.settings import Settings
from hub.tracing.hosts import may_tell

logger = get_logger(__name__)

#: Seconds that what is left may take to be sent when the process stops.
LAST_WORDS = 1.0
#: The standard's own variable for the address of traces alone, which is taken as it is.
TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@contextmanager
def observed(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Trace this process and report its errors, as far as the settings say so.

    At the end what is left is sent, for at most ``LAST_WORDS`` seconds.

    Raises:
        StartError: something is asked for whose extra is not installed.
    """
    with ExitStack() as stack:
        if settings.sentry_dsn is not None:
            _require("sentry_sdk", extra="sentry", variable="HUB_SENTRY_DSN")
            _report_errors(settings, settings.sentry_dsn, stack)
        if (endpoint := traces_endpoint(settings, environ)) is not None:
            _require(
                "opentelemetry.sdk.trace",
                "opentelemetry.exporter.otlp.proto.http",
                extra="otel",
                variable="HUB_OTEL_ENDPOINT",
            )
            _trace(settings, endpoint, stack)
        try:
            yield
        except StartError:
            raise
        except Exception as error:
            reporting.report("critical", {"event": "the process broke", "logger": "hub", "exc_info": error})
            raise


def traces_endpoint(settings: Settings, environ: Mapping[str, str]) -> str | None:
    """Return the address that traces are sent to; None if they are off."""
    if (
        environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    ):
        return None
    if own := environ.get(TRACES_ENDPOINT, "").strip():
        return own
    if settings.otel_endpoint is None:
        return None
    return f"{settings.otel_endpoint.removesuffix('/v1/traces')}/v1/traces"  # many write it down whole


def _require(*modules: str, extra: str, variable: str) -> None:
    try:
        missing = any(importlib.util.find_spec(each) is None for each in modules)
    except ModuleNotFoundError:  # a package that the module would be in
        missing = True
    if missing:
        raise StartError(
            f"{variable} is set, but the extra '{extra}' is not installed."
            f" Install it with: pip install 'companion-hub[{extra}]', or leave the setting out."
        )


def _trace(settings: Settings, endpoint: str, stack: ExitStack) -> None:
    from hub.tracing.otel import OtelTracer  # noqa: PLC0415 - only an extra brings what it imports

    tracer = OtelTracer(
        endpoint,
        service=settings.otel_service_name,
        environment=settings.env,
        sample_rate=settings.otel_sample_rate,
        tells=lambda host: may_tell(host, settings.otel_propagate),
    )
    stack.callback(_in_time, "traces", tracer.close)
    tracing.install(tracer)
    stack.callback(tracing.install, None)
    logger.info("traces are sent")


def _report_errors(settings: Settings, dsn: str, stack: ExitStack) -> None:
    from hub.tracing.sentry import SentryReporter  # noqa: PLC0415 - only an extra brings what it imports

    try:
        reporter = SentryReporter(dsn, environment=settings.env)
    except ValueError:
        raise StartError(
            "HUB_SENTRY_DSN is no DSN of Sentry: copy it from the project's settings there."
        ) from None
    stack.callback(_in_time, "errors", lambda: reporter.close(LAST_WORDS))
    reporting.install(reporter.report)
    stack.callback(reporting.install, None)
    logger.info("unexpected errors are reported to Sentry")


def _in_time(what: str, close: Callable[[], None]) -> None:
    """Close it, but leave it where it hangs: its threads are daemons, which keep no process."""
    thread = threading.Thread(target=close, name=f"hub-last-{what}", daemon=True)
    thread.start()
    thread.join(LAST_WORDS)
    if thread.is_alive():
        logger.warning("the last of it was not sent in time", what=what)
