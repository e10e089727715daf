"""ComfyUI's socket: what it tells of one piece of work while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from urllib.parse import quote

import httpcore2

from hub.providers.http.endpoint import Endpoint
from hub.providers.http.websocket import SOCKET_ERRORS, open_socket
from hub.providers.images.failures import failure, failure_of_words
from hub.providers.images.protocol import ImageServerError

_MAX_FRAME = 16 * 1024 * 1024  # previews are small pictures
_CONNECTIONS = 5  # to one piece of work; the socket is a comfort, no need
_CLASS_NAME = re.compile(r"[\w.]{1,80}")  # an exception's: it cannot be a prompt


class Share:
    """How much of a graph is done, 0 to 1, never backwards.

    ``weights`` says how much of the work each node is, ``tell`` is called with each share.
    """

    def __init__(self, weights: Mapping[str, int], tell: Callable[[float], None]) -> None:
        self._weights = weights
        self._total = sum(weights.values()) or 1
        self._parts: dict[str, float] = {}
        self._tell = tell

    def set(self, node: object, part: float = 1.0) -> None:
        """Note that ``part`` of a node is done; nodes that the graph does not have count nothing."""
        if not isinstance(node, str) or node not in self._weights:
            return
        self._parts[node] = max(self._parts.get(node, 0.0), min(part, 1.0))
        self._tell(sum(self._weights[name] * done for name, done in self._parts.items()) / self._total)


class Follower:
    """Reads the frames about one piece of work; ``news`` is set when its end can be asked for.

    ``failure`` is what the server said went wrong. ``prompt_id`` may be set later: until then, and of other
    people's work, nothing is heard.
    """

    def __init__(self, share: Share, prompt_id: str) -> None:
        self.prompt_id = prompt_id
        self.news = asyncio.Event()
        self.failure: ImageServerError | None = None
        self._share = share
        self._node: object = None

    def hear(self, frame: str | bytes) -> None:
        """Take a frame; previews (binary ones) and what is not understood say nothing."""
        if isinstance(frame, bytes):
            return
        try:
            event: object = json.loads(frame)  # the standard one: ComfyUI sends NaN
        except (ValueError, RecursionError):
            return
        data = event.get("data") if isinstance(event, dict) else None
        if isinstance(event, dict) and isinstance(data, dict) and data.get("prompt_id") == self.prompt_id:
            self._understand(event.get("type"), data)

    def _understand(self, kind: object, data: dict[str, object]) -> None:
        node = data.get("node")
        match kind:
            case "progress":
                self._share.set(node, _part(data.get("value"), data.get("max")))
            case "executed":
                self._share.set(node)
            case "execution_cached":
                nodes = data.get("nodes")
                for cached in nodes if isinstance(nodes, list) else ():
                    self._share.set(cached)
            case "executing":
                self._share.set(self._node)
                self._node = node
                if node is None:
                    self.news.set()
            case "execution_success" | "execution_error" | "execution_interrupted":
                self.failure = failure_of_message(kind, data)
                self.news.set()


def failure_of_message(kind: object, data: Mapping[str, object]) -> ImageServerError | None:
    """Read a message about an end, as the socket and the history have it; None if it is a good one."""
    if kind == "execution_interrupted":
        return failure("image_server_error", detail="interrupted at the server")
    if kind != "execution_error":
        return None
    exception = str(data.get("exception_type"))
    named = exception if _CLASS_NAME.fullmatch(exception) else "an exception"
    # torch says it by its type, the driver below it only in words.
    return failure_of_words(f"{exception} {data.get('exception_message')}", detail=named)


class Socket:
    """The socket of one server, to be opened for each piece of work."""

    def __init__(
        self, endpoint: Endpoint, pool: httpcore2.AsyncConnectionPool, *, patience: float, pause: float
    ) -> None:
        """``patience`` in seconds is for opening it, ``pause`` lies between two connections."""
        self._endpoint = endpoint
        self._pool = pool
        self._patience = patience
        self._pause = pause

    @contextlib.asynccontextmanager
    async def heard_by(self, follower: Follower, client_id: str) -> AsyncGenerator[None, None]:
        """Let ``follower`` hear the frames for this client while the block runs.

        The block begins when the socket is open or cannot be opened: a server without one only shows no
        progress.
        """
        tried = asyncio.Event()
        listening = asyncio.create_task(self._listen(follower, client_id, tried))
        try:
            await tried.wait()
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self, follower: Follower, client_id: str, tried: asyncio.Event) -> None:
        path = f"/ws?clientId={quote(client_id, safe='')}"
        for _ in range(_CONNECTIONS):
            opened = False
            try:
                async with open_socket(
                    self._pool, self._endpoint, path, patience=self._patience, max_bytes=_MAX_FRAME
                ) as messages:
                    opened = True
                    tried.set()
                    async for message in messages:
                        follower.hear(message)
            except SOCKET_ERRORS:
                pass  # the history tells the end
            finally:
                tried.set()
            if not opened:  # a server that refuses it once will do so again
                return
            await asyncio.sleep(self._pause)


def _part(value: object, whole: object) -> float:
    """Return how much of a node is done; 0 for figures that make no sense."""
    if not isinstance(value, (int, float)) or not isinstance(whole, (int, float)) or not whole > 0:
        return 0.0
    try:
        part = value / whole
    except OverflowError:
        return 0.0
    return part if part > 0 else 0.0  # NaN is not
