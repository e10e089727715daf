"""A real HTTP server that makes pictures as OpenAI and those who copy it do, faults included.

``async with FakeOpenAIImages() as fake``: each order takes the next script given to ``fake.script(...)``,
else a picture is made.
"""

from __future__ import annotations

from collections import deque

from tests.fakes.a1111 import encoded, picture
from tests.fakes.http_server import FakeServer, Request
from tests.fakes.llm_script import Script, error, status

GENERATIONS = "/v1/images/generations"

NO_RESPONSE_FORMAT = error(
    400,
    "Unknown parameter: 'response_format'.",
    type="invalid_request_error",
    param="response_format",
    code="unknown_parameter",
)
CONTENT_POLICY = error(
    400,
    "Your request was rejected as a result of our safety system.",
    type="image_generation_user_error",
    param=None,
    code="content_policy_violation",
)
MODERATION = error(
    400, "Your request was rejected.", type="user_error", param=None, code="moderation_blocked"
)
NO_CREDIT = error(
    429, "You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota"
)
HARD_LIMIT = error(400, "Billing hard limit has been reached", code="billing_hard_limit_reached")
TOO_FAST = error(429, "Rate limit reached", code="rate_limit_exceeded", headers={"Retry-After": "9"})


def drawn(*ones: object) -> Script:
    """A 200 with these entries."""
    return status(200, {"created": 1_700_000_000, "data": list(ones)})


class FakeOpenAIImages(FakeServer):
    """The server; see the module.

    ``sizes``: those it knows, None for any; ``names_sizes``: its refusal lists them; ``auto``: it takes that
    for a size. ``response_format``: it knows the parameter. ``as_url``: it answers with addresses of its own.
    ``revised_prompt``: what it made of the prompt.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.sizes: tuple[str, ...] | None = None
        self.names_sizes = True
        self.auto = True
        self.response_format = True
        self.as_url = False
        self.revised_prompt: str | None = None
        self.key: str | None = None
        self.models: Script = status(200, {"object": "list", "data": [{"id": "fake-image"}]})
        self._scripts: deque[Script] = deque()

    @property
    def url(self) -> str:
        """The base address, ending in /v1."""
        return f"{self.origin}/v1"

    @property
    def orders(self) -> list[dict[str, object]]:
        """The bodies of what was asked for, so far."""
        return [request.body for request in self.at(GENERATIONS)]

    def script(self, *scripts: Script) -> None:
        """Answer the next orders with these, in turn."""
        self._scripts.extend(scripts)

    async def respond(self, request: Request) -> Script:
        """Answer as these servers do."""
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {self.key}.", code="invalid_api_key")
        if request.path.startswith("/files/"):
            return status(200, picture(64, 64, int(request.path[7:])), content_type="image/png")
        if request.path == "/v1/models":
            return self.models
        if request.path != GENERATIONS or request.method != "POST":
            return error(404, "no such path")
        if self._scripts:
            return self._scripts.popleft()
        return self._refusal(request.body) or self._made()

    def _refusal(self, body: dict[str, object]) -> Script | None:
        if "response_format" in body and not self.response_format:
            return NO_RESPONSE_FORMAT
        size = body.get("size")
        if self.sizes is None or size is None or size in self.sizes or (size == "auto" and self.auto):
            return None
        known = f" Supported values are: {', '.join(map(repr, self.sizes))}." if self.names_sizes else ""
        return error(400, f"Invalid value: '{size}'.{known}", param="size", code="invalid_value")

    def _made(self) -> Script:
        number = len(self.orders)
        if self.as_url:
            made: dict[str, object] = {"url": f"{self.origin}/files/{number}"}
        else:
            made = {"b64_json": encoded(picture(64, 64, number))}
        if self.revised_prompt is not None:
            made["revised_prompt"] = self.revised_prompt
        return drawn(made)
