"""The pages of webhooks: whom the hub tells of one's events. Programs make them, by the API."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.requests import HubRequest

WEBHOOKS = "/settings/webhooks"

_ON_A_PAGE = 20


@get(WEBHOOKS)
async def show_webhooks(
    request: HubRequest, process: ProcessDependency, cursor: Cursor = None
) -> Response[str]:
    """List one's webhooks."""
    webhooks = await process.webhooks.page(user_id=request.user.user.id, limit=_ON_A_PAGE, cursor=cursor)
    return page(
        request,
        "webhooks.html",
        webhooks=webhooks,
        is_first=cursor is None,
        section="settings",
        tab="webhooks",
    )


@get("/settings/webhooks/{webhook_id:uuid}/delete")
async def delete_webhook_form(
    request: HubRequest, webhook_id: FromPath[UUID], process: ProcessDependency
) -> Response[str]:
    """Ask whether the webhook is to go."""
    webhook = await process.webhooks.get(webhook_id, user_id=request.user.user.id)
    words = words_of(request)
    return page(
        request,
        "confirm.html",
        question=words.gettext("Delete this webhook?"),
        consequences=[
            webhook.url,
            words.gettext("It is told of nothing any more. What waits to be sent is not sent."),
        ],
        confirm=words.gettext("Delete webhook"),
        back=WEBHOOKS,
        problems={},
        section="settings",
    )


@post("/settings/webhooks/{webhook_id:uuid}/delete")
async def delete_webhook(
    request: HubRequest, webhook_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Remove a webhook with its deliveries."""
    await process.webhooks.remove(webhook_id, user_id=request.user.user.id)
    return redirect(WEBHOOKS, notice=words_of(request).gettext("The webhook is deleted."))


WEBHOOK_HANDLERS: list[ControllerRouterHandler] = [show_webhooks, delete_webhook_form, delete_webhook]
