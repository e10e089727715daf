"""Traces by OpenTelemetry's SDK, sent in batches by OTLP over HTTP from a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from os import environ

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import hub
from hub.core.logging import get_logger
from hub.core.redaction import scrub
from hub.core.tracing import Facts, Kind, Span

logger = get_logger(__name__)

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
}
#: Characters of one fact: all of them are short words and ids.
_LONGEST = 200
_w3c = TraceContextTextMapPropagator()


class OtelTracer:
    """A ``Tracer`` that sends to a collector; the standard's OTEL_* variables say the rest.

    Args:
        endpoint: the address for traces, path and all.
        service: the service's name.
        environment: where it runs: development, production.
        sample_rate: the share of new traces that is kept, 0 to 1; OTEL_TRACES_SAMPLER is stronger.
        tells: says whether a host may be told of a trace.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        service: str,
        environment: str,
        sample_rate: float,
        tells: Callable[[str], bool],
    ) -> None:
        for name in ("opentelemetry", "urllib3"):  # they would tell of every batch that fails
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.may_tell = tells
        self._exporter = _Exporter(OTLPSpanExporter(endpoint=endpoint))
        self._provider = TracerProvider(
            sampler=None if environ.get("OTEL_TRACES_SAMPLER") else ParentBasedTraceIdRatio(sample_rate),
            resource=_resource(service, environment),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("companion-hub", hub.__version__)

    def begin(
        self,
        name: str,
        *,
        kind: Kind,
        facts: Facts,
        parent: Span | str | None,
        link: str | None,
        at: int | None,
    ) -> Span:
        """Begin a step; see ``Tracer.begin``."""
        linked = trace.get_current_span(_context_of(link)).get_span_context() if link else None
        return _OtelSpan(
            self._tracer.start_span(
                name,
                context=parent.context if isinstance(parent, _OtelSpan) else _context_of(parent),
                kind=_KINDS[kind],
                attributes=_attributes(facts),
                links=[Link(linked)] if linked is not None and linked.is_valid else None,
                start_time=at,
                record_exception=False,  # its text may hold what somebody said
                set_status_on_exception=False,
            )
        )

    def close(self) -> None:
        """Send what is left; may take as long as the collector does."""
        self._exporter.is_closing = True
        self._provider.shutdown()


class _OtelSpan:
    """A ``Span`` of OpenTelemetry's."""

    __slots__ = ("_span", "span_id", "trace_id", "traceparent")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        place = span.get_span_context()
        self.trace_id = format(place.trace_id, "032x")
        self.span_id = format(place.span_id, "016x")
        self.traceparent = f"00-{self.trace_id}-{self.span_id}-{place.trace_flags & 1:02x}"

    @property
    def is_recording(self) -> bool:
        return self._span.is_recording()

    @property
    def context(self) -> Context:
        """What a step of this one begins with."""
        return trace.set_span_in_context(self._span, Context())

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def tell(self, facts: Facts) -> None:
        self._span.set_attributes(_attributes(facts))

    def note(self, event: str) -> None:
        self._span.add_event(event)

    def fail(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason[:_LONGEST])
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, *, at: int | None = None) -> None:
        self._span.end(end_time=at)


class _Exporter(SpanExporter):
    """Another exporter, which says once that the collector is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False
        self.is_closing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away and not (self._is_away or self.is_closing):
            logger.warning("traces cannot be sent, look at HUB_OTEL_ENDPOINT; they are dropped")
        elif self._is_away and not is_away:
            logger.info("traces are sent again")
        self._is_away = is_away
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _context_of(parent: object) -> Context:
    """Read a traceparent; what is none gives the context of a new trace, whatever is under way here."""
    return _w3c.extract({"traceparent": parent}, Context()) if isinstance(parent, str) else Context()


def _attributes(facts: Facts) -> dict[str, str | int]:
    return {
        name: scrub(value)[:_LONGEST] if isinstance(value, str) else value for name, value in facts.items()
    }


def _resource(service: str, environment: str) -> Resource:
    own = Resource({"deployment.environment.name": environment, "service.version": hub.__version__})
    named = own.merge(OTELResourceDetector().detect()).merge(Resource({"service.name": service}))
    return Resource.create().merge(named)
