"""The web application: routes, middleware and error handling around one process."""

from __future__ import annotations

import asyncio
from uuid import UUID

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.types import ASGIApp, ControllerRouterHandler

from hub.core import tracing
from hub.core.errors import HubError
from hub.db.engine import UNAVAILABLE
from hub.process import Process
from hub.web.access import Access
from hub.web.answers import complete
from hub.web.api.accounts import AccountController
from hub.web.api.admin import AdminController
from hub.web.api.archive import ArchiveController
from hub.web.api.companions import CompanionController
from hub.web.api.conversations import ConversationController
from hub.web.api.health import HealthController
from hub.web.api.images import CompanionImageController, ImageController
from hub.web.api.jobs import JobController
from hub.web.api.messages import MessageController
from hub.web.api.responses import ResponseController
from hub.web.api.stats import StatsController
from hub.web.api.tokens import TokenController
from hub.web.api.webhooks import WebhookController
from hub.web.auth import Authentication
from hub.web.clients import Clients
from hub.web.connections import OpenConnections
from hub.web.cors import Cors
from hub.web.docs import assets_router, docs_router
from hub.web.draining import Draining
from hub.web.hosts import Hosts
from hub.web.methods import Methods
from hub.web.metrics import Exposition, metrics_route
from hub.web.pages.assets import asset
from hub.web.pages.problems import handle_nothing_here
from hub.web.pages.routes import pages_router
from hub.web.problems import (
    handle_hub_error,
    handle_unavailable,
    handle_unexpected,
)
from hub.web.rate_limits import RateLimits
from hub.web.requests import HubRequest
from hub.web.tracing import Traced
from hub.web.traffic import Traffic
from hub.web.v1.chat import ChatController
from hub.web.v1.errors import CompletionFailedError, OpenAIErrors, handle_failed
from hub.web.v1.models import ModelController
from hub.web.v1.responses import ResponsesController
from hub.web.v1.socket import responses_socket
from hub.web.ws.route import socket_route

#: JSON bodies may have this many bytes.
BODY_LIMIT = 1_048_576


ROUTE_HANDLERS: list[ControllerRouterHandler] = [
    AccountController,
    TokenController,
    AdminController,
    CompanionController,
    CompanionImageController,
    ConversationController,
    ArchiveController,
    MessageController,
    ResponseController,
    ImageController,
    JobController,
    StatsController,
    WebhookController,
    HealthController,
    metrics_route,
    ModelController,
    ChatController,
    ResponsesController,
    responses_socket,
    socket_route,
    pages_router,
    asset,
    docs_router,
    assets_router,
]


def create_app(process: Process) -> ASGIApp:
    """Build the application around an open process."""
    connections = OpenConnections()
    clients = Clients(process.settings.trusted_proxies)
    traffic = Traffic(process.settings)
    exposition = Exposition(process.settings, gathers=True)
    closing: set[asyncio.Task[None]] = set()

    def on_signed_out(token_id: UUID) -> None:
        task = asyncio.create_task(connections.close_signed_out({token_id}))
        closing.add(task)
        task.add_done_callback(closing.discard)

    process.bus.on_signed_out(on_signed_out)
    app = Litestar(
        route_handlers=ROUTE_HANDLERS,
        dependencies={
            "process": Provide(lambda: process, sync_to_thread=False),
            "connections": Provide(lambda: connections, sync_to_thread=False),
            "clients": Provide(lambda: clients, sync_to_thread=False),
            "traffic": Provide(lambda: traffic, sync_to_thread=False),
            "exposition": Provide(lambda: exposition, sync_to_thread=False),
        },
        middleware=[DefineMiddleware(Authentication)],
        exception_handlers={
            HubError: handle_hub_error,
            CompletionFailedError: handle_failed,
            HTTPException: handle_nothing_here,
            **dict.fromkeys(UNAVAILABLE, handle_unavailable),
            Exception: handle_unexpected,
        },
        after_request=complete,
        request_class=HubRequest,
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        lifespan=[connections.watched(process.accounts)],
        state=State({"process": process}),
        logging_config=None,
        path="",
    )
    settings = process.settings
    within = Hosts(Cors(Methods(app), settings.allowed_origins), settings)
    whole = OpenAIErrors(Access(RateLimits(Draining(within))))
    return Traced(whole, settings.trusted_proxies) if tracing.is_on() else whole
