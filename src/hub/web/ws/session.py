"""One WebSocket from its first frame to its last."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from msgspec import UNSET, Struct, UnsetType

from hub.core.clock import utc_now
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
from hub.web.ws.traffic import Traffic

logger = get_logger(__name__)

#: Conversations that one socket may follow.
SUBSCRIPTION_LIMIT = 200
#: Seconds until feeds are tried again after the database failed them.
DATABASE_PAUSE = 0.5

CLOSE_BAD_FRAME = 4400
CLOSE_NOT_SIGNED_IN = 4401
CLOSE_TOO_MANY = 4429

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyClientFrame] = msgspec.json.Decoder(AnyClientFrame)


class Session:
    """A signed-in socket: reads frames, answers them, and tells of what it follows."""

    def __init__(
        self, socket: WebSocket[Any, Any, Any], identity: Identity, process: Process, traffic: Traffic
    ) -> None:
        self._socket = socket
        self._identity = identity
        self._process = process
        self._traffic = traffic
        self._feeds: dict[UUID, ConversationFeed] = {}
        self._woken = asyncio.Event()
        self._signed_out = asyncio.Event()

    @property
    def token_id(self) -> UUID:
        """The sign-in that the socket came in by."""
        return self._identity.token_id

    async def run(self) -> None:
        """Serve the socket until either side closes it."""
        info = SessionInfo(id=new_id(), user_id=self._identity.user.id)
        await self._send(SessionCreated(session=info))
        teller = asyncio.create_task(self._tell_forever(), name="socket teller")
        reader = asyncio.create_task(self._read_forever(), name="socket reader")
        leaver = asyncio.create_task(self._signed_out.wait(), name="socket leaver")
        tasks: set[asyncio.Task[Any]] = {teller, reader, leaver}
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for conversation_id in tuple(self._feeds):
                self._unsubscribe(conversation_id)
        # Whether or not the client takes a word about it, nothing of it is obeyed any more.
        if not done:
            await self.close(CLOSE_NOT_SIGNED_IN, "the sign-in has expired")
        elif leaver in done:
            await self.close(CLOSE_NOT_SIGNED_IN, "signed out")
        else:
            for task in done:
                await self._end(task.exception())

    def _seconds_left(self) -> float | None:
        expires_at = self._identity.expires_at
        return (expires_at - utc_now()).total_seconds() if expires_at is not None else None

    async def sign_out(self) -> None:
        """Close the socket, since its sign-in has ended."""
        self._signed_out.set()

    async def close(self, code: int, reason: str) -> None:
        """Close the socket from our side."""
        try:
            async with asyncio.timeout(1):
                await self._socket.close(code=code, reason=reason)
        except (TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            logger.debug("socket was gone already")

    async def _end(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, WebSocketDisconnect):
            logger.error("socket failed", exc_info=error)
            await self.close(1011, "internal error")

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

    async def _send(self, frame: Struct) -> None:
        """Send a frame, once the client has taken enough of those before it.

        Raises:
            WebSocketDisconnect: the client is gone, or was cut off.
        """
        try:
            await self._socket.send_data(_encoder.encode(frame), mode="text")
        except (OSError, RuntimeError) as error:  # uvicorn's: it is gone, or our close is on its way
            raise WebSocketDisconnect(detail=str(error)) from None

    # Reading

    async def _read_forever(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if (wait := self._traffic.count_frame(self._identity.user.id)) is not None:
                logger.info("socket closed, too many frames")
                await self.close(CLOSE_TOO_MANY, f"too many frames, come again in {wait} s")
                return
            text = event.get("text")
            if not isinstance(text, str):
                await self.close(CLOSE_BAD_FRAME, "frames are JSON text")
                return
            await self._answer(text)

    async def _answer(self, text: str) -> None:
        try:
            frame = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            await self._refuse("invalid_frame", _reason(error), _event_id_of(text))
            return
        try:
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
