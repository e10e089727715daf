"""What Prometheus asks for: ``/metrics`` of a web, and the port of its own that a worker may have."""

from __future__ import annotations

import asyncio
import hmac
from functools import partial
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from prometheus_client import generate_latest

from hub.core import metrics
from hub.core.errors import HubError
from hub.core.settings import Settings
from hub.domain.accounts.errors import NotAllowedError, NotSignedInError
from hub.domain.monitoring import readings, reports
from hub.domain.monitoring.counts import Gathered
from hub.web.clients import Clients
from hub.web.hosts import Hosts
from hub.web.problems import TITLES, refuse

PATH = "/metrics"
#: Of the text format, which everything reads that scrapes.
MEDIA_TYPE = "text/plain; version=0.0.4"

# So that the first answer of a process has every family, and not only its name.
metrics.HTTP_REQUESTS.labels("GET", PATH, "2xx")
metrics.HTTP_SECONDS.labels("GET", PATH)


class Exposition:
    """The numbers of this process for those who may see them.

    Args:
        settings: the checked settings.
        gathers: takes what workers have handed in, and tells it as its own.
    """

    def __init__(self, settings: Settings, *, gathers: bool) -> None:
        self._settings = settings
        self._clients = Clients(settings.trusted_proxies)
        self._gathered = Gathered() if gathers else None
        self._reports = readings.Lookout()

    def require_leave(self, scope: Scope) -> None:
        """Return if whoever asks may know: they are on this machine, or have the token.

        Raises:
            NotSignedInError: they are not, and have not.
            NotAllowedError: there is no token.
        """
        token = self._settings.metrics_token
        if (token is not None and _bears(scope, token)) or self._clients.is_of_this_machine(scope):
            return
        if token is None:
            raise NotAllowedError("Ask from the server's own machine, or set HUB_METRICS_TOKEN and send it.")
        raise NotSignedInError("Send HUB_METRICS_TOKEN as 'Authorization: Bearer <token>'.")

    async def text(self) -> bytes:
        """Return all numbers, brought up to date."""
        is_up = await readings.refresh(self._settings)
        if self._gathered is None:
            return await asyncio.to_thread(generate_latest, metrics.REGISTRY)
        if is_up:
            await self._reports.see(partial(_gather, self._gathered))
        return await asyncio.to_thread(generate_latest, self._gathered)


async def _gather(gathered: Gathered) -> None:
    gathered.add(await reports.take())


def _bears(scope: Scope, token: str) -> bool:
    given = dict(scope["headers"]).get(b"authorization", b"")
    scheme, _, value = given.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(value.strip(), token.encode())


@get(PATH, opt={"exclude_from_auth": True}, include_in_schema=False)
async def metrics_route(
    request: Request[Any, Any, Any], exposition: NamedDependency[Exposition]
) -> Response[bytes]:
    """Return the numbers of this process."""
    exposition.require_leave(request.scope)
    return Response(await exposition.text(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


class _Port:
    """The application behind a worker's port: ``/metrics`` and nothing else."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            return
        try:
            self._exposition.require_leave(scope)
            if scope["path"] != PATH or scope["method"] not in ("GET", "HEAD"):
                raise _NothingElseError
        except HubError as error:
            await refuse(
                scope, send, status=error.status, code=error.code, title=error.title, detail=str(error)
            )
            return
        body = await self._exposition.text()
        headers = [
            (b"content-type", f"{MEDIA_TYPE}; charset=utf-8".encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        start: Any = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})


class _NothingElseError(HubError):
    """Something else was asked for."""

    status = 404
    code, title = TITLES[404]

    def __init__(self) -> None:
        super().__init__(f"A worker answers GET {PATH} here; the rest is at the web's address.")


def metrics_port(settings: Settings) -> ASGIApp:
    """Build the application of a worker's port."""
    return Hosts(_Port(Exposition(settings, gathers=False)), settings)
