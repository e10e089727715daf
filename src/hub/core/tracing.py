"""Traces: the steps of one piece of work, from the request through its jobs to the servers that are asked.

Off unless a tracer is installed, which :mod:`hub.tracing` does; then nothing here does anything. A step tells
how long what took and how it ended, by names and facts from closed lists: never what was said, drawn or sent.

    with tracing.span("chat", kind="client", facts={"gen_ai.request.model": name}) as asked:
        ...
        asked.note("first token")
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client", "consumer"]
#: All that may be told of a step, most of it by OpenTelemetry's own names.
Fact = Literal[
    "db.system.name",
    "error.type",
    "gen_ai.operation.name",
    "gen_ai.output.type",
    "gen_ai.request.max_tokens",
    "gen_ai.request.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "hub.image.height",
    "hub.image.provider",
    "hub.image.width",
    "hub.job.attempt",
    "hub.job.id",
    "hub.job.kind",
    "hub.request.id",
    "hub.webhook.event",
]
Facts = Mapping[Fact, str | int]


class Span(Protocol):
    """One step. A trace's id has 32 hexadecimal digits; ``traceparent`` is the step's place by W3C's form."""

    @property
    def trace_id(self) -> str: ...

    @property
    def span_id(self) -> str: ...

    @property
    def traceparent(self) -> str: ...

    @property
    def is_recording(self) -> bool:
        """Whether it is under way and kept: most are not where few are sampled."""

    def name(self, name: str) -> None:
        """Give it a better name."""

    def tell(self, facts: Facts) -> None:
        """Add facts."""

    def note(self, event: str) -> None:
        """Note that something has happened just now."""

    def fail(self, reason: str) -> None:
        """Say that it failed; the reason is a word: a code, or the name of a class."""

    def end(self, *, at: int | None = None) -> None:
        """End it now, or at a time in nanoseconds since 1970."""


class Tracer(Protocol):
    """Begins steps, and says whom they may be told to."""

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
        """Begin a step of a parent (one of this process, or a traceparent), or a new trace.

        ``link`` is the traceparent of another trace that belongs to it. What is no traceparent counts as
        none. ``at`` is in nanoseconds since 1970, if it has begun before.
        """

    def may_tell(self, host: str) -> bool:
        """Tell whether requests to a host may carry the traceparent."""


class _Nothing:
    """The step of a trace that nobody keeps."""

    trace_id = span_id = traceparent = ""
    is_recording = False

    @property
    def span(self) -> Span:
        """Itself, where :class:`_Within` has a step."""
        return self

    def name(self, name: str) -> None: ...

    def tell(self, facts: Facts) -> None: ...

    def note(self, event: str) -> None: ...

    def fail(self, reason: str) -> None: ...

    def end(self, *, at: int | None = None) -> None: ...

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None: ...


class _Within:
    """Makes a step the current one, and ends it."""

    __slots__ = ("_token", "span")

    def __init__(self, span: Span) -> None:
        self.span = span

    def __enter__(self) -> Span:
        self._token = _current.set(self.span)
        return self.span

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        _current.reset(self._token)
        end(self.span, error)


#: A step of nothing, for where nothing is traced.
NOTHING = _Nothing()
_NO_FACTS: Facts = {}
_tracer: Tracer | None = None
_current: ContextVar[Span | None] = ContextVar("span", default=None)


def install(tracer: Tracer | None) -> None:
    """Have this process traced from now on, or no longer."""
    global _tracer  # noqa: PLW0603 - one a process, as its log
    _tracer = tracer


def is_on() -> bool:
    """Tell whether anything is traced."""
    return _tracer is not None


def current() -> Span | None:
    """Return the step that is under way here; it may have ended already where it left a task behind."""
    return _current.get() if _tracer is not None else None


def traceparent() -> str | None:
    """Return what ties work that is asked for here to the trace; None where there is none."""
    span = current()
    return span.traceparent if span is not None else None


def traceparent_for(host: str) -> str | None:
    """Return the same for a request to a host; None for one that is not to be told."""
    given = traceparent()
    return given if given is not None and _tracer is not None and _tracer.may_tell(host) else None


def now() -> int:
    """Return the time in nanoseconds since 1970."""
    return time.time_ns()


def root(
    name: str,
    *,
    kind: Kind,
    facts: Facts = _NO_FACTS,
    parent: str | None = None,
    link: str | None = None,
    at: int | None = None,
) -> _Within | _Nothing:
    """Begin the first step of something in this process, whatever is under way here; current within ``with``.

    Args:
        name: one of few names.
        kind: what it is to others.
        facts: what is known of it.
        parent: the traceparent that it goes on from; None begins a trace.
        link: another trace's that belongs to it.
        at: nanoseconds since 1970, if it has begun before.
    """
    if _tracer is None:
        return NOTHING
    return _Within(_tracer.begin(name, kind=kind, facts=facts, parent=parent, link=link, at=at))


def span(name: str, *, kind: Kind = "internal", facts: Facts = _NO_FACTS) -> _Within | _Nothing:
    """Begin a step of what is under way here; it is the current one within ``with``."""
    step = leaf(name, kind=kind, facts=facts)
    return step if isinstance(step, _Nothing) else _Within(step)


def leaf(name: str, *, kind: Kind = "internal", facts: Facts = _NO_FACTS) -> Span:
    """Begin a step that has none of its own; give it to :func:`end`."""
    parent = current()
    if _tracer is None or parent is None or not parent.is_recording:
        return NOTHING
    return _tracer.begin(name, kind=kind, facts=facts, parent=parent, link=None, at=None)


def past(name: str, *, parent: Span | str | None, began: int, ended: int, facts: Facts = _NO_FACTS) -> None:
    """Add a step that is over already; times are in nanoseconds since 1970."""
    if _tracer is not None and parent:
        step = _tracer.begin(name, kind="internal", facts=facts, parent=parent, link=None, at=began)
        step.end(at=max(began, ended))


def end(step: Span, error: BaseException | None = None) -> None:
    """End a step, as failed if this error ended it; being cancelled is no failure."""
    if isinstance(error, Exception):
        step.fail(reason_of(error))
    step.end()


def fail(reason: str) -> None:
    """Say of the step under way here that it failed, though nothing is raised."""
    step = current()
    if step is not None:
        step.fail(reason)


def note(event: str) -> None:
    """Note in the step under way here that something has happened."""
    step = current()
    if step is not None:
        step.note(event)


def reason_of(error: BaseException) -> str:
    """Return the word for an error: its code if it has one, else its class; never what it says."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) else type(error).__name__


@contextmanager
def within(step: Span) -> Iterator[None]:
    """Make a step the current one for a while, without ending it."""
    if isinstance(step, _Nothing):
        yield
        return
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)
