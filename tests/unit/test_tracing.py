"""Traces: off without a trace of them, whom they may be told to, and whose word is taken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from litestar.types import Receive, Scope, Send

from hub.core import reporting, tracing
from hub.core.errors import StartError
from hub.core.settings import Settings
from hub.jobs import store
from hub.jobs.contracts import JobKind, NewJob
from hub.providers.http.endpoint import Endpoint
from hub.tracing.hosts import may_tell
from hub.tracing.observing import observed, traces_endpoint
from hub.tracing.otel import OtelTracer
from hub.web.tracing import Traced
from tests.services.hub import PROJECT, base_environment

GIVEN_TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{GIVEN_TRACE}-b7ad6b7169203331-01"
NOWHERE = "http://127.0.0.1:1/v1/traces"

IDLE = """
import sys
import hub.cli, hub.serve
from hub.core.settings import Settings
from hub.tracing import observed
with observed(Settings(), {}):
    pass
print([each for each in sys.modules if each.split(".")[0] in ("opentelemetry", "sentry_sdk", "requests")])
"""


@pytest.fixture(scope="module")
def nowhere() -> OtelTracer:
    return OtelTracer(NOWHERE, service="hub", environment="test", sample_rate=1, tells=lambda _: True)


@pytest.fixture
def tracer(nowhere: OtelTracer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtelTracer]:
    monkeypatch.setattr(nowhere, "may_tell", lambda _: True)
    tracing.install(nowhere)
    yield nowhere
    tracing.install(None)


class TestOff:
    """Nothing of it is there unless it is asked for."""

    def test_nothing_is_imported(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", IDLE], env=base_environment(PROJECT), capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == "[]"

    def test_steps_are_nothing(self) -> None:
        with tracing.root("reply", kind="consumer", parent=GIVEN) as step:
            assert tracing.current() is None
            assert tracing.traceparent() is None
            step.note("first token")
        assert not step.is_recording

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE},
            {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE},
        ],
    )
    def test_the_standards_switches_turn_it_off(self, environ: dict[str, str]) -> None:
        given = Settings(otel_endpoint="http://collector:4318" if environ else None)
        assert traces_endpoint(given, environ) is None

    @pytest.mark.parametrize("base", ["http://collector:4318", "http://collector:4318/v1/traces"])
    def test_the_standards_address_for_traces_is_taken_as_it_is(self, base: str) -> None:
        given = Settings(otel_endpoint=base)
        assert traces_endpoint(given, {}) == "http://collector:4318/v1/traces"
        assert traces_endpoint(given, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOWHERE}) == NOWHERE


class TestMissingExtra:
    """Whoever asks for it without having it is told what to install."""

    @pytest.mark.parametrize(
        ("module", "settings", "extra"),
        [
            ("opentelemetry.sdk.trace", Settings(otel_endpoint="http://collector:4318"), "otel"),
            ("opentelemetry", Settings(otel_endpoint="http://collector:4318"), "otel"),
            ("sentry_sdk", Settings(sentry_dsn="https://key@sentry.example/1"), "sentry"),
        ],
    )
    def test_it_is_named(
        self, monkeypatch: pytest.MonkeyPatch, module: str, settings: Settings, extra: str
    ) -> None:
        for name in [each for each in sys.modules if each == module or each.startswith(f"{module}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)
        with (
            pytest.raises(StartError, match=rf"pip install 'companion-hub\[{extra}\]'"),
            observed(settings, {}),
        ):
            pass

    def test_what_is_no_dsn_is_refused(self) -> None:
        with (
            pytest.raises(StartError, match="HUB_SENTRY_DSN"),
            observed(Settings(sentry_dsn="https://sentry.example"), {}),
        ):
            pass


def test_a_stop_does_not_wait_for_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    released, left = threading.Event(), threading.Event()

    def hang(_tracer: OtelTracer) -> None:
        released.wait(20)
        left.set()

    monkeypatch.setattr(OtelTracer, "close", hang)
    monkeypatch.setattr("hub.tracing.observing.LAST_WORDS", 0.02)
    with observed(Settings(otel_endpoint="http://127.0.0.1:1"), {}):
        assert tracing.is_on()
    assert not tracing.is_on()
    assert not left.is_set()
    released.set()
    assert left.wait(20)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("192.168.1.5", True),
        ("::1", True),
        ("localhost", True),
        ("vllm", True),
        ("gpu.LAN", True),
        ("models.internal.", True),
        ("api.novita.ai", False),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:10.0.0.1", True),
        ("lan.example", False),
    ],
)
def test_only_servers_of_the_own_network_are_told(host: str, own: bool) -> None:  # noqa: FBT001 - a case
    assert may_tell(host, "local") is own
    assert may_tell(host, "all")
    assert not may_tell(host, "off")


class TestTraceparent:
    """How a trace goes from one process to the next."""

    def test_a_job_belongs_to_the_step_that_stores_it(self, tracer: OtelTracer) -> None:
        job = NewJob(
            id=_ID, kind=JobKind.REPLY, lane="a", user_id=None, subject_id=_ID, request_id="", attempt=0
        )
        assert store.insertion_values(job)[-1] is None
        with tracing.root("POST", kind="server") as step:
            assert store.insertion_values(job)[-1] == step.traceparent
        assert tracer is not None

    @pytest.mark.usefixtures("tracer")
    def test_a_step_goes_on_from_one_of_another_process(self) -> None:
        with tracing.root("reply", kind="consumer", parent=GIVEN) as step:
            assert step.trace_id == GIVEN_TRACE
            assert step.traceparent != GIVEN

    @pytest.mark.usefixtures("tracer")
    @pytest.mark.parametrize(
        "given", ["", "nonsense", f"ff{GIVEN[2:]}", f"00-{'0' * 32}-b7ad6b7169203331-01", GIVEN + "x" * 5000]
    )
    def test_what_is_no_traceparent_begins_a_trace(self, given: str) -> None:
        with tracing.root("reply", kind="consumer", parent=given) as step:
            assert step.trace_id not in (GIVEN_TRACE, "0" * 32)

    @pytest.mark.usefixtures("tracer")
    def test_what_is_not_sampled_stays_so_in_the_next_process(self) -> None:
        with tracing.root("reply", kind="consumer", parent=GIVEN[:-1] + "0") as step:
            assert not step.is_recording
            assert step.traceparent.endswith("-00")
            assert tracing.leaf("transaction") is tracing.NOTHING

    def test_a_server_is_told_by_header_if_it_may_be(self, tracer: OtelTracer) -> None:
        endpoint = Endpoint.parse("http://models.lan/v1", None, whose="its")
        with tracing.root("reply", kind="consumer") as step:
            assert dict(endpoint.headers(0))[b"traceparent"] == step.traceparent.encode()
            tracer.may_tell = lambda host: host != "models.lan"
            assert b"traceparent" not in dict(endpoint.headers(0))


async def _answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    seen.append(tracing.traceparent())
    await send({"type": "http.response.start", "status": 200, "headers": []})


seen: list[str | None] = []


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize(
    ("peer", "path", "joins"),
    [
        ("10.0.0.2", "/api/me", True),
        ("10.0.0.3", "/api/me", False),
        ("10.0.0.2", "/api/health", None),
        ("10.0.0.2", "/assets/0a1b/css/base.css", None),
    ],
)
async def test_only_a_trusted_proxy_is_believed(peer: str, path: str, joins: bool | None) -> None:  # noqa: FBT001 - a case
    seen.clear()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "client": (peer, 1),
        "headers": [(b"traceparent", GIVEN.encode())],
    }

    async def send(_message: object) -> None: ...

    await Traced(_answer, ["10.0.0.2"])(cast("Any", scope), cast("Any", None), cast("Any", send))
    (found,) = seen
    assert (None if found is None else GIVEN_TRACE in found) is joins


@pytest.mark.usefixtures("tracer")
async def test_being_cancelled_is_no_failure_and_an_error_is_told_by_its_class_only() -> None:
    failures: list[str] = []

    class Kept:
        trace_id = span_id = traceparent = "x"
        is_recording = True

        def fail(self, reason: str) -> None:
            failures.append(reason)

        def end(self, *, at: int | None = None) -> None: ...

    step = cast("tracing.Span", Kept())
    tracing.end(step, asyncio.CancelledError())
    tracing.end(step, ValueError("what somebody said"))
    assert failures == ["ValueError"]


class TestReporting:
    """What the log tells with a traceback is reported, and nothing else."""

    def test_only_lines_with_an_error_are(self) -> None:
        told: list[tuple[BaseException, str, dict[str, str]]] = []
        reporting.install(lambda error, line, _module, ids: told.append((error, line, dict(ids))))
        error = ValueError()
        try:
            reporting.report("error", {"event": "no traceback"})
            reporting.report("warning", {"event": "expected", "exc_info": error})
            own = {"event": "broke", "logger": "actors.images", "job_id": "7", "user_id": "8"}
            reporting.report("error", {**own, "exc_info": error})
            reporting.report(
                "error", {"event": "Task(ValueError('said'))", "logger": "asyncio", "exc_info": error}
            )
        finally:
            reporting.install(None)
        assert told == [(error, "broke", {"job_id": "7"}), (error, "", {})]


_ID = cast("Any", "an id")
