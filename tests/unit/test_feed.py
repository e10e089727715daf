"""Whatever happens to live events, a subscriber is told exactly what the rows say, without gap or overlap."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import pytest

from hub.domain.chat import conversation_feed, queries
from hub.domain.chat import feed as feed_module
from hub.domain.chat.conversation_feed import ConversationFeed
from hub.domain.chat.cursor import Fit, ResponseCursor
from hub.domain.chat.feed import Feed
from hub.domain.chat.frames import Frame
from hub.domain.chat.response_feed import ResponseFeed
from hub.domain.chat.schemas import Message, Response, ResponseError, ResponseStatus
from hub.domain.chat.state import ConversationState, Standing
from hub.live.events import Begun, Changed, Delta

CONVERSATION, RESPONSE, ASKED, ANSWER = (uuid.UUID(int=number) for number in range(1, 5))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALPHABET = "abc é中🫖\n"


def row(text: str = "", *, status: ResponseStatus = "in_progress", attempt: int = 1) -> Response:
    ended = status not in ("queued", "in_progress")
    return Response(
        id=RESPONSE,
        conversation_id=CONVERSATION,
        status=status,
        output_text=text,
        message_id=ANSWER if status == "completed" else None,
        attempt=attempt,
        error=ResponseError(code="llm_timeout", message="No.") if status == "failed" else None,
        usage=None,
        created_at=NOW,
        completed_at=NOW if ended else None,
    )


def delta(offset: int, text: str, *, attempt: int = 1) -> Delta:
    return Delta(CONVERSATION, RESPONSE, attempt, offset, text)


def said(*frames: Frame | list[Frame]) -> list[dict[str, Any]]:
    """Return frames as they stand on the wire."""
    flat = [each for frame in frames for each in (frame if isinstance(frame, list) else [frame])]
    return [msgspec.to_builtins(frame) for frame in flat]


def kinds(*frames: Frame | list[Frame]) -> list[str]:
    return [str(frame["type"]).removeprefix("response.") for frame in said(*frames)]


class Reader:
    """A client that checks every frame against what it has."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.end: dict[str, Any] | None = None
        self.attempt = 0
        self.added: list[int] = []

    def read(self, frames: list[Frame]) -> None:
        for frame in said(*frames):
            self._read(frame["type"], frame)

    def _read(self, kind: str, frame: dict[str, Any]) -> None:
        if kind == "conversation.item.added":
            self.added.append(frame["item"]["position"])
            return
        if kind == "response.queued":
            self.end = None
        elif kind == "response.in_progress":
            assert frame["response"]["attempt"] >= self.attempt
            assert frame["response"]["status"] == "in_progress"
            self.end = None
            self.attempt = frame["response"]["attempt"]
            self.text = frame["response"]["output_text"]
        elif kind == "response.output_text.delta":
            assert self.end is None, "nothing comes after the end"
            assert self.text is not None
            assert frame["offset"] == len(self.text)
            assert frame["delta"]
            self.text += frame["delta"]
        elif kind == "response.output_text.done":
            assert frame["text"] == self.text
        else:
            assert self.end is None, "it ends once"
            self.end = frame["response"]


class TestCursor:
    def cursor(self) -> ResponseCursor:
        return ResponseCursor(CONVERSATION, RESPONSE)

    def test_a_whole_reply(self) -> None:
        cursor = self.cursor()
        frames = [*cursor.advance(row(status="queued")), *cursor.advance(row())]
        assert cursor.fit(delta(0, "Hello")) is Fit.NEXT
        frames += [cursor.take(delta(0, "Hello")), cursor.take(delta(5, " you"))]
        frames += cursor.advance(row("Hello you", status="completed"))
        assert kinds(frames) == [
            "queued",
            "in_progress",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "completed",
        ]
        assert [frame["offset"] for frame in said(frames) if "offset" in frame] == [0, 5]

    def test_what_was_told_is_not_told_again(self) -> None:
        cursor = self.cursor()
        cursor.advance(row("Hello"))
        assert cursor.fit(delta(0, "Hello")) is Fit.TOLD
        assert cursor.fit(delta(1, "ell")) is Fit.TOLD
        assert cursor.advance(row("Hell")) == [], "the row may be behind"
        assert cursor.fit(delta(3, "lo you")) is Fit.NEXT
        assert said(cursor.take(delta(3, "lo you")))[0]["delta"] == " you"

    def test_a_gap_waits_for_the_row(self) -> None:
        cursor = self.cursor()
        cursor.advance(row("He"))
        assert cursor.fit(delta(5, " you")) is Fit.AHEAD
        (frame,) = said(cursor.advance(row("Hello")))
        assert (frame["offset"], frame["delta"]) == (2, "llo")
        assert cursor.fit(delta(5, " you")) is Fit.NEXT

    def test_offsets_count_code_points(self) -> None:
        cursor = self.cursor()
        cursor.advance(row("🫖é"))
        assert cursor.fit(delta(2, "中")) is Fit.NEXT
        assert (
            said(cursor.take(delta(1, "é中")))[0] | {"offset": 2, "delta": "中"}
            == said(self._at("🫖é").take(delta(2, "中")))[0]
        )

    def _at(self, text: str) -> ResponseCursor:
        cursor = self.cursor()
        cursor.advance(row(text))
        return cursor

    def test_a_new_attempt_starts_afresh(self) -> None:
        cursor = self._at("Hello")
        assert cursor.fit(delta(0, "Good", attempt=2)) is Fit.AHEAD
        assert kinds(cursor.advance(row("", status="queued"))) == ["queued"]
        assert cursor.fit(delta(5, " you")) is Fit.TOLD, "late, of the attempt that was given up"
        assert cursor.fit(delta(0, "Good", attempt=2)) is Fit.AHEAD, "not while it is queued"
        (frame,) = said(cursor.advance(row("", attempt=2)))
        assert (frame["type"], frame["response"]["output_text"]) == ("response.in_progress", "")
        assert cursor.fit(delta(5, " you")) is Fit.TOLD, "late, of the attempt before"
        assert cursor.fit(delta(0, "Good", attempt=2)) is Fit.NEXT
        assert cursor.advance(row("Hello you", attempt=1)) == []

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_an_end_without_a_reply(self, status: Literal["failed", "cancelled"]) -> None:
        cursor = self._at("Hel")
        frames = cursor.advance(row("Hello", status=status))
        assert kinds(frames) == ["output_text.delta", status], "the stored text is told to its end"
        assert said(frames)[0]["delta"] == "lo"
        assert cursor.fit(delta(3, "lo")) is Fit.AHEAD

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_an_end_whose_worker_is_dead_takes_back_what_was_not_stored(
        self, status: Literal["failed", "cancelled"]
    ) -> None:
        frames = self._at("Hello").advance(row("Hel", status=status))
        assert kinds(frames) == ["in_progress", status]
        reader = Reader()
        reader.read(frames)
        assert reader.text == "Hel"

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    @pytest.mark.parametrize("stored", ["", "Other words"])
    def test_an_end_while_it_waits_for_its_next_attempt(
        self, status: Literal["failed", "cancelled"], stored: str
    ) -> None:
        reader, cursor = Reader(), self.cursor()
        reader.read(cursor.advance(row("Hello")))
        reader.read(cursor.advance(row("", status="queued")))
        reader.read(cursor.advance(row(stored, status=status, attempt=2)))
        assert reader.end is not None
        assert (reader.text, reader.end["output_text"]) == (stored, stored)

    def test_an_end_of_what_nobody_wrote_is_just_told(self) -> None:
        cursor = self.cursor()
        frames = [*cursor.advance(row(status="queued")), *cursor.advance(row(status="cancelled"))]
        assert kinds(frames) == ["queued", "cancelled"]

    def test_a_cancelled_row_may_be_behind_for_a_moment(self) -> None:
        cursor = self._at("Hello")
        assert cursor.lacks_last_words(row("Hel", status="cancelled"), is_heard=True)
        assert not cursor.lacks_last_words(row("Hello", status="cancelled"), is_heard=True)
        assert cursor.lacks_last_words(row("Hello", status="cancelled"), is_heard=False)
        assert not cursor.lacks_last_words(row("Hel", status="failed"), is_heard=False)
        assert not cursor.lacks_last_words(row("Hel", status="cancelled", attempt=2), is_heard=True)

    def test_a_reply_that_ended_unseen(self) -> None:
        frames = self.cursor().advance(row("Hello", status="completed", attempt=3))
        assert kinds(frames) == ["in_progress", "output_text.delta", "output_text.done", "completed"]
        reader = Reader()
        reader.read(frames)
        assert (reader.text, reader.attempt) == ("Hello", 3)

    @pytest.mark.parametrize("offset", [0, 3, 5, 9])
    def test_resuming_behind_what_the_client_has(self, offset: int) -> None:
        reader = Reader()
        reader.read(self.cursor().resume(row("Hello", status="completed"), offset=offset))
        assert reader.text == "Hello"


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop whose clock a test moves."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class World:
    """A reply as it happens: what the worker says, what the row says, what of it the network carries."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.row = row(status="queued")
        self.said = ""
        self.stored: str | None = None
        self.ending: ResponseStatus = self.random.choice(["completed", "completed", "failed", "cancelled"])
        self.worker_is_dead = self.random.random() < 0.2
        self.restarts = self.random.randrange(3)
        self.in_flight: list[Delta | Changed] = []

    def messages(self, after: int) -> list[Message]:
        every = [Message(ASKED, CONVERSATION, 1, "user", "Hi", None, NOW)]
        if self.stored is not None:
            every.append(Message(ANSWER, CONVERSATION, 2, "assistant", self.stored, RESPONSE, NOW))
        return [message for message in every if message.position > after]

    async def read_response(self, _response_id: uuid.UUID) -> Response:
        return self.row

    async def read_state(
        self,
        _conversation_id: uuid.UUID,
        *,
        after: int,
        response_ids: list[uuid.UUID],
        with_ended: bool,
        limit: int,  # noqa: ARG002 - the signature of the real one
        since: int,  # noqa: ARG002 - as above
    ) -> ConversationState:
        messages = self.messages(after)
        told = not self.row.has_ended or RESPONSE in response_ids or (with_ended and bool(messages))
        responses = [self.row] if told else []
        return ConversationState(epoch=0, scene=None, messages=messages, responses=responses, image_calls=[])

    def live(self) -> Iterator[None]:
        """Let it happen, step by step."""
        for attempt in range(1, self.restarts + 2):
            self._change(status="in_progress", attempt=attempt, output_text="")
            self.said = ""
            for _ in range(self.random.randrange(1, 25)):
                self._speak(attempt)
                if self.random.random() < 0.3:
                    self.row = msgspec.structs.replace(self.row, output_text=self.said)
                yield
            if attempt <= self.restarts:
                self._change(status="queued", output_text="")
                yield
        yield from self._end()

    def _speak(self, attempt: int) -> None:
        text = "".join(self.random.choices(ALPHABET, k=self.random.randrange(1, 6)))
        self.in_flight.append(delta(len(self.said), text, attempt=attempt))
        self.said += text

    def _change(self, **changes: Any) -> None:
        self.row = msgspec.structs.replace(self.row, **changes)
        self.in_flight.append(Changed(CONVERSATION, RESPONSE))

    def _end(self) -> Iterator[None]:
        if self.ending == "completed":
            self.stored = self.said
            self._change(status="completed", output_text=self.said, message_id=ANSWER, completed_at=NOW)
        elif self.ending == "failed":
            self._change(status="failed", output_text=self.said, completed_at=NOW)
        else:
            self._change(status="cancelled", completed_at=NOW)
            yield
            if not self.worker_is_dead:
                self._change(output_text=self.said)
        yield

    def deliver(self, feed: Feed) -> None:
        """Carry some of what is in flight: late, out of order, doubled, or not at all."""
        for event in list(self.in_flight):
            luck = self.random.random()
            if luck < 0.3:
                continue
            self.in_flight.remove(event)
            if luck < 0.45:
                continue
            for _ in range(2 if luck < 0.55 else 1):
                feed.on_event(event)
        if self.random.random() < 0.3:
            self.random.shuffle(self.in_flight)
        if self.random.random() < 0.05:
            feed.on_gap()


def has_ended(feed: Feed) -> bool:
    """Whether nobody asks the feed any more."""
    return isinstance(feed, ResponseFeed) and feed.has_ended


async def follow(world: World, feed: Feed, reader: Reader, loop: VirtualTime) -> None:
    for _ in world.live():
        world.deliver(feed)
        loop.now += world.random.choice([0.0, 0.01, 0.05, 0.2, 1.0])
        if world.random.random() < 0.7 and not has_ended(feed):
            reader.read(await feed.next_frames())
    for _ in range(30):  # all is quiet; what is late arrives
        world.deliver(feed)
        if not has_ended(feed):
            reader.read(await feed.next_frames())
        loop.now += feed.look_again_in + 0.001


def check(world: World, reader: Reader) -> None:
    assert reader.end is not None, "the end was told"
    assert reader.end["status"] == world.ending
    assert reader.end["attempt"] == world.row.attempt
    if world.ending == "completed":
        assert reader.text == world.said == reader.end["output_text"]
        return
    if world.ending == "failed":
        assert reader.end["output_text"] == world.said
    if reader.attempt == world.row.attempt:
        assert reader.text == reader.end["output_text"]


@pytest.mark.parametrize("limit", [feed_module.PENDING_LIMIT, 2], ids=["roomy", "overflowing"])
@pytest.mark.parametrize("part", range(4))
def test_a_conversation_through_a_bad_network(part: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PENDING_LIMIT", limit)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTime)
        for seed in range(part * 100, part * 100 + 100):
            world, reader = World(seed), Reader()
            monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
            feed = ConversationFeed(CONVERSATION, after=0, wake=lambda: None)

            async def run(
                world: World = world, feed: ConversationFeed = feed, reader: Reader = reader
            ) -> None:
                reader.read((await feed.open(Standing(1)))[1:])
                await follow(world, feed, reader, loop)

            runner.run(run())
            check(world, reader)
            assert reader.added == [message.position for message in world.messages(0)], seed


@pytest.mark.parametrize("part", range(4))
def test_a_response_through_a_bad_network(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTime)
        for seed in range(part * 100, part * 100 + 100):
            world, reader = World(seed), Reader()
            monkeypatch.setattr(queries, "read_response", world.read_response)
            feed = ResponseFeed(world.row, offset=0, wake=lambda: None)
            runner.run(follow(world, feed, reader, loop))
            check(world, reader)
            assert feed.has_ended


def test_a_reply_that_came_and_went_while_the_bus_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        for ending in ("completed", "failed"):
            world, reader = World(1), Reader()
            world.ending = "completed" if ending == "completed" else "failed"
            monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
            feed = ConversationFeed(CONVERSATION, after=0, wake=lambda: None)
            nothing = ConversationState(epoch=0, scene=None, messages=[], responses=[], image_calls=[])

            async def quiet(
                *_: object, nothing: ConversationState = nothing, **__: object
            ) -> ConversationState:
                return nothing

            monkeypatch.setattr(conversation_feed, "read_state", quiet)
            runner.run(feed.open(Standing(0)))
            for _ in world.live():
                pass  # nothing of it is carried
            monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
            feed.on_gap()
            reader.read(runner.run(feed.next_frames()))
            check(world, reader)


@pytest.mark.parametrize("worker", ["speaks on", "is dead"])
@pytest.mark.parametrize("kind", [ConversationFeed, ResponseFeed])
def test_a_cancel_come_upon_before_its_worker_knows(
    kind: type[Feed], worker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, reader = World(1), Reader()
    monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
    monkeypatch.setattr(queries, "read_response", world.read_response)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualTime)
        world.row = row("Hel", status="in_progress")
        feed: Feed
        if kind is ConversationFeed:
            feed = ConversationFeed(CONVERSATION, after=1, wake=lambda: None)
            reader.read(runner.run(feed.open(Standing(1)))[1:])
        else:
            feed = ResponseFeed(world.row, offset=0, wake=lambda: None)
            reader.read(runner.run(feed.next_frames()))
        world.row = row("Hel", status="cancelled")
        feed.on_gap()  # anything that has the rows read
        reader.read(runner.run(feed.next_frames()))
        assert reader.end is None
        if worker == "speaks on":
            feed.on_event(delta(3, "lo"))
            reader.read(runner.run(feed.next_frames()))
            world.row = row("Hello", status="cancelled")
            feed.on_event(Changed(CONVERSATION, RESPONSE))
        else:
            loop.now += feed_module.LAST_WORDS
        reader.read(runner.run(feed.next_frames()))
        assert reader.end is not None
        assert reader.end["output_text"] == reader.text == world.row.output_text


def test_a_read_that_fails_forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        world, reader = World(2), Reader()
        world.ending, world.restarts = "failed", 0
        monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
        feed = ConversationFeed(CONVERSATION, after=1, wake=lambda: None)
        runner.run(feed.open(Standing(1)))
        for _ in world.live():
            pass
        feed.on_event(Changed(CONVERSATION, RESPONSE))

        async def away(*_: object, **__: object) -> ConversationState:
            raise ConnectionRefusedError

        monkeypatch.setattr(conversation_feed, "read_state", away)
        with pytest.raises(ConnectionRefusedError):
            runner.run(feed.next_frames())
        monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
        feed.on_gap()
        reader.read(runner.run(feed.next_frames()))
        check(world, reader)


def test_the_simulation_would_see_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseCursor, "fit", lambda _cursor, _delta: Fit.NEXT)
    with pytest.raises(AssertionError):
        test_a_response_through_a_bad_network(0, monkeypatch)


@pytest.mark.parametrize("by", ["a response", "hand"])
def test_a_message_that_changed_between_two_looks(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that came and went unnoticed is told of; the one behind an edit was told of long ago."""
    response = row("Do re mi.", status="completed")
    message = Message(ANSWER, CONVERSATION, 2, "assistant", "Do re mi.", RESPONSE, NOW, None, 2, 2)
    quiet = ConversationState(epoch=0, scene=None, messages=[], responses=[], image_calls=[], revision=4)
    changed = msgspec.structs.replace(
        quiet,
        responses=[response],
        revision=5,
        changed=[(message, 5)],
        rewriters=frozenset({RESPONSE} if by == "a response" else set()),
    )
    states, asked = [quiet, changed, msgspec.structs.replace(quiet, revision=5)], []

    async def read_state(*_: object, since: int, **__: object) -> ConversationState:
        asked.append(since)
        return states.pop(0)

    monkeypatch.setattr(conversation_feed, "read_state", read_state)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        feed = ConversationFeed(CONVERSATION, after=2, wake=lambda: None)
        frames = said(runner.run(feed.open(Standing(2, 4))))
        assert [(frame["type"], frame["revision"]) for frame in frames] == [("conversation.subscribed", 4)]
        feed.on_gap()
        told = said(runner.run(feed.next_frames()))
        updated = {"type": "companion_hub.item.updated", "revision": 5, "conversation_id": str(CONVERSATION)}
        assert updated.items() <= next(frame for frame in told if "item" in frame).items()
        whole = ["in_progress", "output_text.delta", "output_text.done"]
        assert [frame["type"].removeprefix("response.") for frame in told] == (
            [*whole, updated["type"], "completed"] if by == "a response" else [updated["type"]]
        )
        feed.on_gap()
        assert runner.run(feed.next_frames()) == []
    assert asked == [4, 4, 5]


def test_messages_that_go_while_a_feed_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before the ones that the feed reads are gone too: its client has to read anew."""
    gone = ConversationState(epoch=4, scene=None, messages=[], responses=[], image_calls=[], revision=8)

    async def read_state(*_: object, **__: object) -> ConversationState:
        return gone

    monkeypatch.setattr(conversation_feed, "read_state", read_state)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        feed = ConversationFeed(CONVERSATION, after=2, wake=lambda: None)
        frames = said(runner.run(feed.open(Standing(2, 7, 6, epoch=3))))
        names = [(frame["type"], frame["revision"]) for frame in frames]
        assert names == [("conversation.subscribed", 7), ("companion_hub.resync", 8)]
        feed.on_gap()
        assert runner.run(feed.next_frames()) == []


def test_what_no_plain_reply_begins_with_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning of a continued text does not fit into an event."""
    world, reader = World(1), Reader()
    monkeypatch.setattr(conversation_feed, "read_state", world.read_state)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        feed = ConversationFeed(CONVERSATION, after=1, wake=lambda: None)
        world.row = row(status="queued")
        reader.read(runner.run(feed.open(Standing(1)))[1:])
        world.row = row("Once upon a")
        feed.on_event(Begun(CONVERSATION, RESPONSE, 1, NOW, is_plain=False))
        feed.on_event(delta(len("Once upon a"), " time"))
        reader.read(runner.run(feed.next_frames()))
    assert reader.text == "Once upon a time"


def test_live_events_that_the_row_has_overtaken_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1)
    monkeypatch.setattr(queries, "read_response", world.read_response)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        feed = ResponseFeed(row(status="queued"), offset=0, wake=lambda: None)
        feed.on_event(Begun(CONVERSATION, RESPONSE, 1, NOW))
        feed.on_event(delta(0, "Half"))
        world.row = row("Half", status="failed")
        feed.on_event(Changed(CONVERSATION, RESPONSE))
        assert kinds(runner.run(feed.next_frames())) == ["in_progress", "failed"]
