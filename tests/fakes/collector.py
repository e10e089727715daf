"""A real HTTP server that takes traces by OTLP, as a collector does, and keeps their steps.

``async with Collector() as fake``: ``fake.url`` is what ``HUB_OTEL_ENDPOINT`` is set to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, status


@dataclass(frozen=True)
class Step:
    """One step; ids are hexadecimal, times in nanoseconds since 1970."""

    name: str
    trace_id: str
    id: str
    parent_id: str
    kind: int
    began: int
    ended: int
    facts: dict[str, str | int]
    events: list[str]
    links: list[str]
    failed: bool
    service: dict[str, str | int]


class Collector(FakeServer):
    """The server; see the module."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.answer: Script = Script(status=200, framing="length", content_type="application/x-protobuf")
        self.steps: list[Step] = []

    @property
    def url(self) -> str:
        """The base address."""
        return self.origin

    async def respond(self, request: Request) -> Script:
        if request.path != "/v1/traces":
            return status(404)
        if self.answer.status == 200:
            self.steps += _steps(request.raw)
            await self.changed()
        return self.answer

    def trace(self, trace_id: str) -> list[Step]:
        """Return the steps of a trace that have come so far."""
        return [each for each in self.steps if each.trace_id == trace_id]

    async def step(self, name: str, *, within: float = 20, **facts: str | int) -> Step:
        """Wait for a step of this name and with these facts, whose dots are written as ``__``."""
        wanted = {key.replace("__", "."): value for key, value in facts.items()}.items()

        def found() -> list[Step]:
            return [each for each in self.steps if each.name == name and wanted <= each.facts.items()]

        await self.wait_for(lambda: bool(found()), within=within)
        return found()[0]


def _steps(raw: bytes) -> list[Step]:
    told = ExportTraceServiceRequest.FromString(raw)
    return [
        _step(span, _facts(resource.resource.attributes))
        for resource in told.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _step(span: Any, service: dict[str, str | int]) -> Step:
    return Step(
        name=span.name,
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        facts=_facts(span.attributes),
        events=[each.name for each in span.events],
        links=[each.trace_id.hex() for each in span.links],
        failed=span.status.code == 2,
        service=service,
    )


def _facts(attributes: Any) -> dict[str, str | int]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}
