"""The feed of a conversation, for sockets: its messages, and every reply that is written in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

from hub.domain.chat import queries
from hub.domain.chat.cursor import ResponseCursor
from hub.domain.chat.feed import Feed
from hub.domain.chat.frames import Frame, ItemAdded, ItemUpdated, Resync, SceneChanged, Subscribed
from hub.domain.chat.image_calls import ImageCalls
from hub.domain.chat.schemas import Message, Response
from hub.domain.chat.state import ConversationState, Standing, read_state
from hub.domain.scenes.schemas import Scene
from hub.live.events import Begun, Delta, Said

#: Missing messages that a subscription sends itself; beyond it the client reads them with GET.
REPLAY_LIMIT = 200
#: Ended responses remembered, so that a late event does not tell of their end again.
ENDED_LIMIT = 64

#: An end that was told of: the attempt, and when it ended.
_End = tuple[int, datetime | None]


class ConversationFeed(Feed):
    """Everything about one conversation, from the message after ``after`` on.

    Of earlier messages it tells what was changed since ``revision``, or since it was opened.
    """

    def __init__(
        self, conversation_id: UUID, *, after: int, wake: Callable[[], None], revision: int | None = None
    ) -> None:
        super().__init__(wake)
        self.conversation_id = conversation_id
        self._position = after
        self._since = revision
        self._revision = 0
        self._cursors: dict[UUID, ResponseCursor] = {}
        self._ended: dict[UUID, _End] = {}
        self._event_ids: dict[UUID, str] = {}
        self._images = ImageCalls(conversation_id)
        self._scene: Scene | None = None
        self._epoch: int | None = None
        self._is_open = False

    async def open(self, standing: Standing) -> list[Frame]:
        """Return the first frames: where the conversation stands, what is missing, and what is under way."""
        self._stale = False
        last_position = standing.last_position
        self._position = min(self._position, last_position)
        since = standing.revision if self._since is None else self._since
        self._revision = min(since, standing.revision)
        self._epoch = standing.epoch
        frames: list[Frame] = [
            Subscribed(
                conversation_id=self.conversation_id, last_position=last_position, revision=self._revision
            )
        ]
        too_much = last_position - self._position > REPLAY_LIMIT
        if too_much or self._revision < standing.removed_revision:
            self._position, self._revision = last_position, standing.revision
            frames.append(self._resync(standing.revision))
        frames += await self._read()
        self._is_open = True
        return frames

    def expect(self, message_id: UUID, event_id: str) -> None:
        """Tell of this message with the event id under which this subscriber sent it."""
        self._event_ids[message_id] = event_id

    def expect_no_more(self, message_id: UUID) -> None:
        """Forget a message that was not stored after all."""
        self._event_ids.pop(message_id, None)

    async def _read(self) -> list[Frame]:
        asked, self._asked = self._asked, set()
        try:
            state = await read_state(
                self.conversation_id,
                after=self._position,
                response_ids=list(asked | self._cursors.keys() | self._images.response_ids),
                # Once open, a reply that came and ended unnoticed is told of like any other.
                with_ended=self._is_open,
                limit=REPLAY_LIMIT,
                since=self._revision,
            )
        except BaseException:
            self._asked |= asked
            raise
        self._stale = self._stale or REPLAY_LIMIT in (len(state.messages), len(state.changed))
        return [*self._tell_setting(state), *self._tell_talk(state)]

    def _tell_talk(self, state: ConversationState) -> list[Frame]:
        responses = {response.id: response for response in state.responses}
        frames: list[Frame] = []
        ended_now: set[UUID] = set()
        for message, revision in state.changed:
            rewriter = self._rewriter(message, responses, state.rewriters)
            frames += self._tell_changed(message, revision, rewriter)
            ended_now |= {rewriter.id} if rewriter is not None else set()
        self._revision = state.revision
        for message in state.messages:
            response = responses.pop(message.response_id, None) if message.response_id else None
            frames += self._tell_message(message, response)
            ended_now |= {response.id} if response is not None else set()
        for response in responses.values():
            frames += self._tell_response(response)
        self._images.keep_only({call.response_id for call in state.image_calls})
        for call in state.image_calls:
            frames += self._images.tell(call, is_new=call.response_id in ended_now)
        return frames

    def _tell_setting(self, state: ConversationState) -> list[Frame]:
        """Tell of another scene, and of messages that were taken out."""
        frames: list[Frame] = []
        if state.epoch != self._epoch:  # wiped, or deleted, perhaps since the standing was read
            self._cursors.clear()
            frames.append(self._resync(state.revision))
        if self._is_open and state.scene is not None and state.scene != self._scene:
            frames.append(SceneChanged(conversation_id=self.conversation_id, scene=state.scene))
        self._epoch, self._scene = state.epoch, state.scene
        return frames

    def _resync(self, revision: int) -> Frame:
        return Resync(conversation_id=self.conversation_id, last_position=self._position, revision=revision)

    def _tell_said(self, said: Said) -> list[Frame]:
        if said.position != self._position + 1:
            self._stale = self._stale or said.position > self._position  # something before it is missing
            return []
        message = Message(
            said.message_id,
            said.conversation_id,
            said.position,
            "user",
            said.content,
            None,
            said.created_at,
        )
        response = queries.queued_response(message, said.response_id)
        if response is None:
            return [self._added(message)]
        cursor = self._cursors.setdefault(response.id, self._new_cursor(response.id))
        return [self._added(message), *cursor.queue(response)]

    def _added(self, message: Message) -> Frame:
        self._position = message.position
        event_id = self._event_ids.pop(message.id, None)
        if event_id is None:
            return ItemAdded(conversation_id=self.conversation_id, item=message)
        return ItemAdded(conversation_id=self.conversation_id, item=message, event_id=event_id)

    def _tell_message(self, message: Message, response: Response | None) -> list[Frame]:
        return self._tell_finished(self._added(message), response)

    def _tell_finished(self, told: Frame, response: Response | None) -> list[Frame]:
        """Tell of a message, and of the response that it comes from if that is news."""
        if response is None:
            return [told]
        cursor = self._cursors.pop(response.id, None) or self._new_cursor(response.id)
        self._remember_end(response)
        return [*cursor.finish_text(response), told, cursor.completed(response)]

    def _rewriter(
        self, message: Message, responses: dict[UUID, Response], rewriters: Collection[UUID]
    ) -> Response | None:
        """Take out the response that changed a message, if it has to be told that it completed."""
        response_id = message.response_id
        if response_id is None or not (response_id in self._cursors or response_id in rewriters):
            return None
        return responses.pop(response_id, None)

    def _tell_changed(self, message: Message, revision: int, rewriter: Response | None) -> list[Frame]:
        updated = ItemUpdated(conversation_id=self.conversation_id, item=message, revision=revision)
        return self._tell_finished(updated, rewriter)

    def _tell_response(self, response: Response) -> list[Frame]:
        if response.has_ended and self._ended.get(response.id) == (response.attempt, response.completed_at):
            return []
        cursor = self._cursors.get(response.id)
        if cursor is not None and self._waits_for_last_words(cursor, response):
            return []
        if response.has_ended:
            self._cursors.pop(response.id, None)
            self._remember_end(response)
            if cursor is None and response.status == "completed":  # its message was there before this feed
                return []
            return (cursor or self._new_cursor(response.id)).advance(response)
        self._ended.pop(response.id, None)  # tried again: its next end is news, also one of the same attempt
        if cursor is None:
            cursor = self._cursors[response.id] = self._new_cursor(response.id)
        return cursor.advance(response)

    def _remember_end(self, response: Response) -> None:
        self._ended[response.id] = (response.attempt, response.completed_at)
        if len(self._ended) > ENDED_LIMIT:
            del self._ended[next(iter(self._ended))]

    def _new_cursor(self, response_id: UUID) -> ResponseCursor:
        return ResponseCursor(self.conversation_id, response_id)

    def _cursor_of(self, event: Delta | Begun) -> ResponseCursor | None:
        cursor = self._cursors.get(event.response_id)
        if cursor is None:
            ended = self._ended.get(event.response_id)
            # The reply began, or began anew, and this feed was not told: look, and find the text in the row.
            self._stale = self._stale or ended is None or event.attempt > ended[0]
        return cursor

    def _is_active(self) -> bool:
        return bool(self._cursors or self._images.response_ids)
