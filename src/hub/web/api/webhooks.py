"""Routes of webhooks: who is told of what happens, and what was told."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from hub.core.etags import tag_of
from hub.core.pages import Page
from hub.domain.webhooks.schemas import (
    CreateWebhook,
    Delivery,
    NewSecret,
    NewWebhook,
    UpdateWebhook,
    Webhook,
)
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.etags import IfMatch, expected
from hub.web.requests import HubRequest

_READ = {"scopes": ("read",)}
_WRITE = {"scopes": ("write",)}


class WebhookController(Controller):
    """Addresses that are told of events, by the Standard Webhooks specification."""

    path = "/api/webhooks"
    tags = ("Webhooks",)

    @post(operation_id="createWebhook", summary="Create a webhook", opt=_WRITE)
    async def create(
        self, request: HubRequest, data: JSONBody[CreateWebhook], process: ProcessDependency
    ) -> Response[NewWebhook]:
        """Have events told to an address. The answer holds the secret, which is not shown again."""
        webhook = await process.webhooks.create(data, user_id=request.user.user.id)
        headers = {"Location": f"/api/webhooks/{webhook.id}", "ETag": tag_of(webhook.without_secret())}
        return Response(webhook, status_code=201, headers=headers)

    @get(operation_id="listWebhooks", summary="List my webhooks", opt=_READ)
    async def page(
        self,
        request: HubRequest,
        process: ProcessDependency,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Webhook]:
        """Return one page of the caller's webhooks, the newest first."""
        return await process.webhooks.page(user_id=request.user.user.id, limit=limit, cursor=cursor)

    @get("/{webhook_id:uuid}", operation_id="getWebhook", summary="Get a webhook", opt=_READ)
    async def show(
        self, request: HubRequest, webhook_id: FromPath[UUID], process: ProcessDependency
    ) -> Webhook:
        """Return one of the caller's webhooks; ``disabled_reason`` says why nothing is sent any more."""
        return await process.webhooks.get(webhook_id, user_id=request.user.user.id)

    @patch("/{webhook_id:uuid}", operation_id="updateWebhook", summary="Change a webhook", opt=_WRITE)
    async def update(
        self,
        request: HubRequest,
        webhook_id: FromPath[UUID],
        data: JSONBody[UpdateWebhook],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> Webhook:
        """Change a webhook; what is left out stays. Disabling it cancels what waits to be sent."""
        return await process.webhooks.update(
            webhook_id, data, user_id=request.user.user.id, expected=expected(if_match)
        )

    @delete("/{webhook_id:uuid}", operation_id="deleteWebhook", summary="Delete a webhook", opt=_WRITE)
    async def remove(
        self,
        request: HubRequest,
        webhook_id: FromPath[UUID],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> None:
        """Remove a webhook with its deliveries; what waits to be sent is cancelled."""
        await process.webhooks.remove(webhook_id, user_id=request.user.user.id, expected=expected(if_match))

    @post(
        "/{webhook_id:uuid}/rotate-secret",
        operation_id="rotateWebhookSecret",
        summary="Get a new secret",
        status_code=200,
        opt=_WRITE,
    )
    async def rotate(
        self, request: HubRequest, webhook_id: FromPath[UUID], process: ProcessDependency
    ) -> NewSecret:
        """Replace the secret. For 24 hours everything is signed with the one before, too."""
        return await process.webhooks.rotate(webhook_id, user_id=request.user.user.id)

    @post(
        "/{webhook_id:uuid}/test",
        operation_id="testWebhook",
        summary="Send a test event",
        status_code=202,
        opt=_WRITE,
    )
    async def test(
        self, request: HubRequest, webhook_id: FromPath[UUID], process: ProcessDependency
    ) -> Response[Delivery]:
        """Send ``webhook.test``, the way all events go; the delivery tells how it went."""
        sent = await process.webhooks.test(webhook_id, user_id=request.user.user.id)
        return _accepted(webhook_id, sent)

    @get(
        "/{webhook_id:uuid}/deliveries",
        operation_id="listWebhookDeliveries",
        summary="List what was sent",
        opt=_READ,
    )
    async def deliveries(
        self,
        request: HubRequest,
        webhook_id: FromPath[UUID],
        process: ProcessDependency,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Delivery]:
        """Return one page of a webhook's deliveries, the newest first."""
        return await process.webhooks.deliveries(
            webhook_id, user_id=request.user.user.id, limit=limit, cursor=cursor
        )

    @get(
        "/{webhook_id:uuid}/deliveries/{delivery_id:uuid}",
        operation_id="getWebhookDelivery",
        summary="Get a delivery",
        opt=_READ,
    )
    async def delivery(
        self,
        request: HubRequest,
        webhook_id: FromPath[UUID],
        delivery_id: FromPath[UUID],
        process: ProcessDependency,
    ) -> Delivery:
        """Return one delivery: how often it was tried, how it went, and when it is tried next."""
        return await process.webhooks.delivery(
            delivery_id, webhook_id=webhook_id, user_id=request.user.user.id
        )

    @post(
        "/{webhook_id:uuid}/deliveries/{delivery_id:uuid}/retry",
        operation_id="retryWebhookDelivery",
        summary="Send an event again",
        status_code=202,
        opt=_WRITE,
    )
    async def retry(
        self,
        request: HubRequest,
        webhook_id: FromPath[UUID],
        delivery_id: FromPath[UUID],
        process: ProcessDependency,
    ) -> Response[Delivery]:
        """Send an event once more: now if it waits, as a new delivery if it has ended. Its id stays."""
        sent = await process.webhooks.retry(delivery_id, webhook_id=webhook_id, user_id=request.user.user.id)
        return _accepted(webhook_id, sent)


def _accepted(webhook_id: UUID, sent: Delivery) -> Response[Delivery]:
    location = f"/api/webhooks/{webhook_id}/deliveries/{sent.id}"
    return Response(sent, status_code=202, headers={"Location": location})
