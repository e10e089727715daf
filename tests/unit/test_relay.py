"""Ringing for jobs while the database is away."""

from __future__ import annotations

import pytest

from hub.jobs import queue
from hub.jobs.relay import Relay


async def test_what_cannot_be_asked_now_is_left_to_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rings has done their work: it must not seem to have failed."""

    async def away(*_: object, **__: object) -> list[object]:
        raise ConnectionError

    monkeypatch.setattr(queue, "next_after", away)
    await Relay(None, cap=None).ring_next("lane", kind="reply", user_id=None)
