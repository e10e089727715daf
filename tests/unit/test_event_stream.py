"""Streams of events outlive a database that is away for a moment."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.domain.chat import queries
from hub.domain.chat.schemas import Response
from hub.live.bus import Bus
from hub.process import Process
from hub.web import event_stream, following
from hub.web.connections import OpenConnections

RESPONSE = Response(
    id=uuid.UUID(int=1),
    conversation_id=uuid.UUID(int=2),
    status="cancelled",
    output_text="So far",
    message_id=None,
    attempt=1,
    error=None,
    usage=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    completed_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize(("offset", "kinds"), [(0, 2), (3, 2), (9, 2)])
async def test_it_goes_on_where_the_database_comes_back(
    monkeypatch: pytest.MonkeyPatch, offset: int, kinds: int
) -> None:
    looks = 0

    async def read_response(_response_id: uuid.UUID) -> Response:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ConnectionRefusedError
        return RESPONSE

    monkeypatch.setattr(queries, "read_response", read_response)
    monkeypatch.setattr(following, "DATABASE_PAUSE", 0.0)
    process = cast("Process", SimpleNamespace(bus=Bus("postgresql://nowhere"), is_stopping=False))
    stream = event_stream.EventStream(process, RESPONSE, offset=offset, token_id=uuid.UUID(int=3))
    told: list[Any] = [each async for each in stream.events(OpenConnections())]
    events = b"".join(told).split(b"\n\n")[:-1]
    assert len(events) == kinds
    assert events[0].startswith(b"event: response.in_progress")
    assert b'"output_text":"So far"' in events[0]
    assert events[1].startswith(b"event: response.cancelled")
