"""A real HTTP server that speaks the OpenAI chat completions, faults included.

``async with FakeLLM() as fake`` listens on a free port of 127.0.0.1. Each chat (a request for a stream)
takes the next script given to ``fake.script(...)``, else ``fake.default``; each analysis (a request for one
answer, ``stream: false``) takes ``fake.script_analysis(...)``'s, else ``fake.analysis``.
``python -m tests.fakes.llm`` runs it for a bench.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, answer, default_text, reply, status

Body = dict[str, object]


class FakeLLM(FakeServer):
    """The server; see the module."""

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(port, tls=tls)
        self.default: Callable[[Body], Script] = lambda body: reply(default_text(body))
        self.analysis: Callable[[Body], Script] = lambda _: answer("{}")  # says nothing new
        self.models: Script = status(200, {"object": "list", "data": [{"id": "fake", "object": "model"}]})
        self._scripts: deque[Script] = deque()
        self._analyses: deque[Script] = deque()

    @property
    def url(self) -> str:
        """The base address, ending in /v1."""
        return f"{self.origin}/v1"

    def script(self, *scripts: Script) -> None:
        """Answer the next chats with these, in order."""
        self._scripts.extend(scripts)

    def script_analysis(self, *scripts: Script) -> None:
        """Answer the next analyses with these, in order."""
        self._analyses.extend(scripts)

    @property
    def chats(self) -> list[Request]:
        """The requests for a stream, so far."""
        return [request for request in self.requests if _is_completion(request) and _streams(request)]

    @property
    def analyses(self) -> list[Request]:
        """The requests for an answer in one piece, so far."""
        return [request for request in self.requests if _is_completion(request) and not _streams(request)]

    async def wait_for_disconnects(self, count: int = 1, *, within: float = 5) -> None:
        """Wait until so many clients have left before their answer was whole."""
        await self.wait_for(lambda: self.disconnects >= count, within=within)

    async def wait_for_requests(self, count: int = 1, *, within: float = 5) -> None:
        """Wait until so many requests have come in."""
        await self.wait_for(lambda: len(self.requests) >= count, within=within)

    async def respond(self, request: Request) -> Script:
        """Answer with what was planned."""
        if request.path.endswith("/models"):
            return self.models
        if not _is_completion(request):
            return status(404, {"error": {"message": "no such path"}})
        if not _streams(request):
            return self._analyses.popleft() if self._analyses else self.analysis(request.body)
        return self._scripts.popleft() if self._scripts else self.default(request.body)


def _is_completion(request: Request) -> bool:
    return request.path.endswith("/chat/completions")


def _streams(request: Request) -> bool:
    return request.body.get("stream") is True


async def _run(port: int, first_delay: float, tokens_per_second: float, tokens: int) -> None:
    delay = 1 / tokens_per_second if tokens_per_second else 0
    pieces = [f" token{number}" for number in range(tokens)]
    script = reply(pieces, delay=delay, first=[first_delay] if first_delay else [])
    async with FakeLLM(port) as fake:
        if tokens:
            fake.default = lambda _: script
        print(fake.url, flush=True)  # noqa: T201 - the bench that started it reads this line
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed; print the base address first."""
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible chat server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first-delay", type=float, default=0, help="seconds before the first token")
    parser.add_argument("--tokens-per-second", type=float, default=0, help="0: as fast as it can")
    parser.add_argument("--tokens", type=int, default=0, help="tokens in each reply; 0: echo the user")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(options.port, options.first_delay, options.tokens_per_second, options.tokens))


if __name__ == "__main__":
    main()
