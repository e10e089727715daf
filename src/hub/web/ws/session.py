"""One WebSocket from its first frame to its last."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket
from msgspec import UNSET, UnsetType

from hub.core.errors import HubError, InvalidRequestError
from hub.core.ids import new_id
from hub.core.logging import get_logger
from hub.core.validation import invalid_part
from hub.db.engine import DATABASE_ERRORS
from hub.domain.accounts.schemas import Identity
from hub.domain.chat.conversation_feed import ConversationFeed
from hub.domain.chat.frames import ItemAdded, ResponseQueued
from hub.domain.chat.idempotency import Asking, Sending
from hub.domain.chat.schemas import SendMessage
from hub.process import Process
from hub.web.auth import require_scope
from hub.web.sockets import SignedInSocket
from hub.web.tracing import frame_traced
from hub.web.traffic import Traffic
from hub.web.ws.frames import (
    VERB_SCOPES,
    AnyClientFrame,
    ConversationItemCreate,
    ConversationSubscribe,
    ConversationUnsubscribe,
    Error,
    ErrorInfo,
    ResponseCancel,
    ResponseCreate,
    SessionCreated,
    SessionInfo,
)

logger = get_logger(__name__)

#: Conversations that one socket may follow.
SUBSCRIPTION_LIMIT = 200
#: Seconds until feeds are tried again after the database failed them.
DATABASE_PAUSE = 0.5

_decoder: msgspec.json.Decoder[AnyClientFrame] = msgspec.json.Decoder(AnyClientFrame)


class Session(SignedInSocket):
    """A signed-in socket: reads frames, answers them, and tells of what it follows."""

    def __init__(
        self, socket: WebSocket[Any, Any, Any], identity: Identity, process: Process, traffic: Traffic
    ) -> None:
        super().__init__(socket, identity, traffic)
        self._process = process
        self._feeds: dict[UUID, ConversationFeed] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        info = SessionInfo(id=new_id(), user_id=self._identity.user.id)
        await self._send(SessionCreated(session=info))
        try:
            done = await self._serve(teller=self._tell_forever())
        finally:
            for conversation_id in tuple(self._feeds):
                self._unsubscribe(conversation_id)
        # Whether or not the client takes a word about it, nothing of it is obeyed any more.
        await self._leave(done)

    # Telling

    async def _tell_forever(self) -> None:
        while True:
            await self._wait()
            try:
                for conversation_id, feed in tuple(self._feeds.items()):
                    for frame in await feed.next_frames():
                        if self._feeds.get(conversation_id) is not feed:
                            break  # unsubscribed meanwhile, or subscribed anew: a new feed tells
                        await self._send(frame)
            except DATABASE_ERRORS as error:
                logger.debug("feed waits for the database", reason=type(error).__name__)
                await asyncio.sleep(DATABASE_PAUSE)
                for feed in self._feeds.values():
                    feed.on_gap()

    async def _wait(self) -> None:
        pauses = [feed.look_again_in for feed in self._feeds.values()]
        try:
            async with asyncio.timeout(min(pauses, default=None)):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    # Reading

    async def _take(self, text: str) -> None:
        try:
            frame = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            await self._refuse("invalid_frame", _reason(error), _event_id_of(text))
            return
        try:
            with frame_traced(frame):
                await self._obey(frame)
        except HubError as error:
            detail = error.errors[0].detail if isinstance(error, InvalidRequestError) else str(error)
            wait = UNSET if error.retry_after is None else error.retry_after
            await self._refuse(error.code, f"{error.title}. {detail}", frame.event_id, retry_after=wait)
        except DATABASE_ERRORS:
            logger.exception("frame failed")
            await self._refuse("not_ready", "The server cannot do this now. Try again.", frame.event_id)

    async def _obey(self, frame: AnyClientFrame) -> None:
        require_scope(self._identity, VERB_SCOPES.get(type(frame), ()))
        if isinstance(frame, ConversationSubscribe):
            await self._subscribe(frame)
        elif isinstance(frame, ConversationUnsubscribe):
            self._unsubscribe(frame.conversation_id)
        elif isinstance(frame, ConversationItemCreate):
            await self._create(frame)
        elif isinstance(frame, ResponseCreate):
            await self._ask(frame)
        else:
            await self._cancel(frame)

    async def _subscribe(self, frame: ConversationSubscribe) -> None:
        chat, user_id = self._process.chat, self._identity.user.id
        await chat.get(frame.conversation_id, user_id=user_id)
        self._unsubscribe(frame.conversation_id)
        if len(self._feeds) >= SUBSCRIPTION_LIMIT:
            await self._refuse(
                "too_many_subscriptions",
                f"One socket follows at most {SUBSCRIPTION_LIMIT} conversations. Open another.",
                frame.event_id,
            )
            return
        feed = ConversationFeed(
            frame.conversation_id,
            after=frame.after,
            wake=self._woken.set,
            revision=None if frame.revision is UNSET else frame.revision,
        )
        self._process.bus.subscribe(frame.conversation_id, feed)
        try:
            standing = await chat.standing(frame.conversation_id, user_id=user_id)
            for told in await feed.open(standing):
                await self._send(told)
        except BaseException:
            self._process.bus.unsubscribe(frame.conversation_id, feed)
            raise
        self._feeds[frame.conversation_id] = feed
        self._woken.set()

    def _unsubscribe(self, conversation_id: UUID) -> None:
        feed = self._feeds.pop(conversation_id, None)
        if feed is not None:
            self._process.bus.unsubscribe(conversation_id, feed)

    async def _create(self, frame: ConversationItemCreate) -> None:
        message_id = new_id()
        feed = self._feeds.get(frame.conversation_id)
        if feed is None:
            accepted = await self._process.chat.send(self._message_of(frame, message_id))
        else:
            feed.expect(message_id, frame.event_id)
            try:
                accepted = await self._process.chat.send(self._message_of(frame, message_id))
            except BaseException:
                feed.expect_no_more(message_id)
                raise
            if not accepted.replayed:
                return  # the feed tells of it, with the event id
            feed.expect_no_more(message_id)
        await self._send(
            ItemAdded(
                conversation_id=frame.conversation_id,
                item=accepted.sent.message,
                event_id=frame.event_id,
            )
        )

    def _message_of(self, frame: ConversationItemCreate, message_id: UUID) -> Sending:
        options = frame.response
        wants_image = bool(options and options.generate_image)
        return Sending(
            conversation_id=frame.conversation_id,
            user_id=self._identity.user.id,
            command=SendMessage(content=frame.item.content, generate_image=wants_image),
            wants_response=options is not None,
            key=f"ws:{frame.conversation_id}:{frame.event_id}",
            message_id=message_id,
        )

    async def _ask(self, frame: ResponseCreate) -> None:
        asked = await self._process.responses.ask(
            Asking(
                conversation_id=frame.conversation_id,
                user_id=self._identity.user.id,
                command=frame.response,
                key=f"ws:{frame.conversation_id}:{frame.event_id}",
            )
        )
        if frame.conversation_id in self._feeds and not asked.replayed:
            return  # the feed tells of it
        queued = ResponseQueued(
            conversation_id=frame.conversation_id,
            response=asked.response.as_queued(),
            event_id=frame.event_id,
        )
        await self._send(queued)

    async def _cancel(self, frame: ResponseCancel) -> None:
        await self._process.chat.cancel(frame.response_id, user_id=self._identity.user.id)

    async def _refuse(
        self, code: str, message: str, event_id: object = UNSET, *, retry_after: int | UnsetType = UNSET
    ) -> None:
        known = event_id if isinstance(event_id, str) else UNSET
        info = ErrorInfo(code=code, message=message, event_id=known, retry_after=retry_after)
        await self._send(Error(error=info))


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        part = invalid_part("", error)
        place = f" at {part.pointer}" if part.pointer else ""
        return f"This frame is not valid{place}: {part.detail}"
    return "This frame is not a JSON object."


def _event_id_of(text: str) -> object:
    """Find the event id of a frame that is otherwise wrong, so that its sender knows which one it was."""
    try:
        given = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return UNSET
    event_id = given.get("event_id") if isinstance(given, dict) else None
    return event_id if isinstance(event_id, str) and 0 < len(event_id) <= 200 else UNSET  # noqa: PLR2004 - EventId's bound
