"""A real HTTP server that takes reports as Sentry does: ``fake.dsn`` is what ``HUB_SENTRY_DSN`` is set to."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, status


class FakeSentry(FakeServer):
    """The server; see the module."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.events: list[dict[str, Any]] = []
        self.raw: list[bytes] = []

    @property
    def dsn(self) -> str:
        """The project's address, with its key."""
        return self.origin.replace("http://", "http://publickey@") + "/7"

    async def respond(self, request: Request) -> Script:
        if request.path != "/api/7/envelope/":
            return status(404)
        packed = request.headers.get("content-encoding") == "gzip"
        raw = gzip.decompress(request.raw) if packed else request.raw
        self.raw.append(raw)
        lines = raw.split(b"\n")  # a head, then a head and a body for each item
        for head, body in zip(lines[1::2], lines[2::2], strict=False):
            if json.loads(head).get("type") == "event":
                self.events.append(json.loads(body))
        await self.changed()
        return status(200, {"id": "0"})

    async def event(self, *, within: float = 20, **tags: str) -> dict[str, Any]:
        """Wait for an event with these tags."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.events if tags.items() <= each["tags"].items()]

        await self.wait_for(lambda: bool(found()), within=within)
        return found()[0]
