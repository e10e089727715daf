"""Webhooks: making, changing and removing them, and looking after what was sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from structlog.contextvars import get_contextvars

from hub.core.clock import utc_now
from hub.core.etags import ANYTHING, Expected
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.pages import Page, TimeCursor, by_time
from hub.db.engine import ENGINE
from hub.domain.accounts import queries as accounts
from hub.domain.limits.service import Action, Limits
from hub.domain.webhooks import queries
from hub.domain.webhooks.errors import (
    DeliveryNotFoundError,
    TooManyWebhooksError,
    WebhookDisabledError,
    WebhookNotFoundError,
)
from hub.domain.webhooks.events import Event, deliver, event_of, lane_of
from hub.domain.webhooks.schemas import (
    CreateWebhook,
    Delivery,
    NewSecret,
    NewWebhook,
    UpdateWebhook,
    Webhook,
    WebhookTest,
)
from hub.domain.webhooks.sending import Sender
from hub.domain.webhooks.signing import Secrets
from hub.jobs import store
from hub.jobs.contracts import Cancelled, JobKind
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from hub.live.events import JobCancelled

logger = get_logger(__name__)

#: Webhooks that one user may have.
MOST = 20
#: How long a secret signs on after it was replaced.
OVERLAP = timedelta(hours=24)


class WebhookService:
    """What people do about their webhooks. Each call checks that it is their own."""

    def __init__(self, secrets: Secrets, sender: Sender, *, relay: Relay, bus: Bus, limits: Limits) -> None:
        self._secrets = secrets
        self.sender = sender
        self._relay = relay
        self._bus = bus
        self._limits = limits

    async def create(self, command: CreateWebhook, *, user_id: UUID) -> NewWebhook:
        """Make a webhook.

        Raises:
            FieldError: its address is not one that events are sent to.
            TooManyWebhooksError: the user has as many as one may have.
        """
        await self.sender.check(command.url)
        seed, secret = self._secrets.make()
        async with ENGINE.transaction():
            await accounts.lock_user(user_id)
            if await queries.count(user_id) >= MOST:
                raise TooManyWebhooksError(f"There may be {MOST}. Delete one that you do not need.")
            webhook = await queries.insert(
                new_id(),
                user_id=user_id,
                url=command.url,
                events=_once(command.events),
                description=command.description,
                seed=seed,
            )
        logger.info("webhook created", webhook_id=str(webhook.id))
        return NewWebhook(**msgspec.structs.asdict(webhook), secret=secret)

    async def get(self, webhook_id: UUID, *, user_id: UUID) -> Webhook:
        """Return the owner's webhook.

        Raises:
            WebhookNotFoundError: there is none.
        """
        webhook = await queries.get(webhook_id, user_id=user_id)
        if webhook is None:
            raise _not_found()
        return webhook

    async def page(self, *, user_id: UUID, limit: int, cursor: str | None) -> Page[Webhook]:
        """Return one page of the owner's webhooks, the newest first."""
        after = TimeCursor.decode(cursor) if cursor is not None else None
        return by_time(await queries.page(user_id=user_id, limit=limit + 1, after=after), limit=limit)

    async def update(
        self, webhook_id: UUID, command: UpdateWebhook, *, user_id: UUID, expected: Expected = ANYTHING
    ) -> Webhook:
        """Change the owner's webhook; one that is disabled loses what waits for it.

        Raises:
            FieldError: its address is not one that events are sent to.
            WebhookNotFoundError: there is none.
            StaleEditError: it is not as expected.
        """
        await self.get(webhook_id, user_id=user_id)
        if command.url is not UNSET:
            await self.sender.check(command.url)
        cancelled: list[Cancelled] = []
        async with ENGINE.transaction():
            if command.disabled is True:
                cancelled = await store.cancel_lanes([lane_of(webhook_id)])
            await queries.lock(webhook_id)
            expected.check(await self.get(webhook_id, user_id=user_id))
            webhook = await queries.update(webhook_id, user_id=user_id, changes=_changes(command))
            if webhook is None:
                raise _not_found()
        self.tell(cancelled)
        return webhook

    async def remove(self, webhook_id: UUID, *, user_id: UUID, expected: Expected = ANYTHING) -> None:
        """Remove the owner's webhook with its deliveries, and with what waits for it.

        Raises:
            WebhookNotFoundError: there is none.
            StaleEditError: it is not as expected.
        """
        await self.get(webhook_id, user_id=user_id)
        async with ENGINE.transaction():
            cancelled = await store.cancel_lanes([lane_of(webhook_id)])
            await queries.lock(webhook_id)
            expected.check(await self.get(webhook_id, user_id=user_id))
            if not await queries.delete(webhook_id, user_id=user_id):
                raise _not_found()
        self.tell(cancelled)
        logger.info("webhook deleted", webhook_id=str(webhook_id))

    async def rotate(self, webhook_id: UUID, *, user_id: UUID) -> NewSecret:
        """Give the owner's webhook a new secret; the old one signs too for a day.

        Raises:
            WebhookNotFoundError: there is none.
        """
        seed, secret = self._secrets.make()
        until = await queries.rotate(webhook_id, user_id=user_id, seed=seed, overlap=OVERLAP)
        if until is None:
            raise _not_found()
        logger.info("webhook has a new secret", webhook_id=str(webhook_id))
        return NewSecret(secret=secret, old_secret_until=until)

    # Deliveries

    async def test(self, webhook_id: UUID, *, user_id: UUID) -> Delivery:
        """Queue an event that says nothing, for the owner's webhook.

        Raises:
            WebhookNotFoundError: there is none.
            WebhookDisabledError: nothing is sent to it.
            TooManyRequestsError: too much was sent on demand.
        """
        await self._enabled(webhook_id, user_id=user_id)
        await self._limits.take(Action.WEBHOOKS, user_id)
        return await self._deliver(event_of(WebhookTest(id=webhook_id)), webhook_id, user_id=user_id)

    async def deliveries(
        self, webhook_id: UUID, *, user_id: UUID, limit: int, cursor: str | None
    ) -> Page[Delivery]:
        """Return one page of what was sent to the owner's webhook, or will be; the newest first.

        Raises:
            WebhookNotFoundError: there is none.
        """
        await self.get(webhook_id, user_id=user_id)
        after = TimeCursor.decode(cursor) if cursor is not None else None
        return by_time(await queries.deliveries(webhook_id, limit=limit + 1, after=after), limit=limit)

    async def delivery(self, delivery_id: UUID, *, webhook_id: UUID, user_id: UUID) -> Delivery:
        """Return one delivery of the owner's webhook.

        Raises:
            WebhookNotFoundError, DeliveryNotFoundError: there is none.
        """
        await self.get(webhook_id, user_id=user_id)
        found = await queries.delivery(delivery_id, webhook_id=webhook_id)
        if found is None:
            raise DeliveryNotFoundError("It may have been forgotten: look into the list.")
        return found

    async def retry(self, delivery_id: UUID, *, webhook_id: UUID, user_id: UUID) -> Delivery:
        """Send an event again: at once if it waits, in a delivery of its own if it has ended.

        Raises:
            WebhookNotFoundError, DeliveryNotFoundError: there is none.
            WebhookDisabledError: nothing is sent to the webhook.
            TooManyRequestsError: too much was sent on demand.
        """
        await self._enabled(webhook_id, user_id=user_id)
        found = await self.delivery(delivery_id, webhook_id=webhook_id, user_id=user_id)
        if found.status == "in_progress":
            return found
        await self._limits.take(Action.WEBHOOKS, user_id)
        if found.status == "queued":
            await queries.make_due(delivery_id)
            self._relay.ring(delivery_id, JobKind.WEBHOOK)
            return await self.delivery(delivery_id, webhook_id=webhook_id, user_id=user_id)
        event = await queries.event_of_delivery(delivery_id)
        if event is None:
            raise DeliveryNotFoundError("It may have been forgotten: look into the list.")
        return await self._deliver(event, webhook_id, user_id=user_id)

    def ring(self, job_ids: list[UUID]) -> None:
        """Have deliveries sent that have just been stored, and committed."""
        for job_id in job_ids:
            self._relay.ring(job_id, JobKind.WEBHOOK)

    def tell(self, cancelled: list[Cancelled]) -> None:
        """Stop those who send what was cancelled."""
        for each in cancelled:
            self._bus.publish(JobCancelled(each.job_id))

    async def _enabled(self, webhook_id: UUID, *, user_id: UUID) -> None:
        if (await self.get(webhook_id, user_id=user_id)).disabled:
            raise WebhookDisabledError("Enable it first.")

    async def _deliver(self, event: Event, webhook_id: UUID, *, user_id: UUID) -> Delivery:
        request_id = str(get_contextvars().get("request_id", ""))
        async with ENGINE.transaction():
            await queries.keep(webhook_id)  # it may be about to go
            await self._enabled(webhook_id, user_id=user_id)
            delivery_id = await deliver(event, webhook_id, user_id=user_id, request_id=request_id)
        self._relay.ring(delivery_id, JobKind.WEBHOOK)
        return await self.delivery(delivery_id, webhook_id=webhook_id, user_id=user_id)


def _changes(command: UpdateWebhook) -> dict[str, Any]:
    changes: dict[str, Any] = msgspec.to_builtins(command)  # leaves out what is unset
    if "events" in changes:
        changes["events"] = _once(changes["events"])
    if (disabled := changes.pop("disabled", None)) is not None:
        changes["disabled_at"] = utc_now() if disabled else None
        changes["disabled_reason"] = "user" if disabled else None
    if disabled is False or "url" in changes:
        changes["failing_since"] = None
    return changes


def _once(events: list[Any]) -> list[Any]:
    return list(dict.fromkeys(events))


def _not_found() -> WebhookNotFoundError:
    return WebhookNotFoundError("It may have been deleted, or it belongs to somebody else.")
