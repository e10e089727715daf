"""A real HTTP server that webhooks are sent to, and the check that a receiver makes of what it gets.

``async with Receiver() as fake``: every path is an endpoint of its own, which answers 204 unless scripts say
otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import defaultdict, deque
from typing import Any

from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, status

TAKEN = Script(status=204, framing="length")


class Receiver(FakeServer):
    """The server; see the module."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._scripts: defaultdict[str, deque[Script]] = defaultdict(deque)

    def url(self, path: str) -> str:
        """Return the address of an endpoint, by the name that hubs in tests may send to."""
        return f"http://localhost:{self._port}{path}"

    def script(self, path: str, *scripts: Script) -> None:
        """Answer an endpoint's next requests like this."""
        self._scripts[path].extend(scripts)

    async def respond(self, request: Request) -> Script:
        scripts = self._scripts[request.path]
        return scripts.popleft() if scripts else TAKEN

    async def received(self, path: str, count: int = 1, *, within: float = 20) -> list[Request]:
        """Wait until an endpoint has had so many requests, and return all of them."""
        await self.wait_for(lambda: len(self.at(path)) >= count, within=within)
        return self.at(path)


def says(code: int, **headers: str) -> Script:
    """Answer with a status and a body that nobody wants."""
    return status(code, {"the receiver": "says something"}, headers=headers)


def signed_with(request: Request, secret: str) -> bool:
    """Tell whether one of the signatures was made with this secret, by the words of the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join(
        (
            request.headers["webhook-id"].encode(),
            request.headers["webhook-timestamp"].encode(),
            request.raw,
        )
    )
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in request.headers["webhook-signature"].split(" ")


def told(request: Request, secret: str) -> dict[str, Any]:
    """Return what a request tells, if it was signed with this secret."""
    assert signed_with(request, secret), request.headers
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    return dict(request.body)
