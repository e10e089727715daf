"""The steps that people take in a state machine of conversations, each with what has to come of it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from hub.core.ids import new_id
from hub.domain.chat import queries, turns
from hub.domain.chat.errors import (
    ConversationNotFoundError,
    IdempotencyKeyReusedError,
    ResponseNotFoundError,
    ResponseNotRetryableError,
)
from hub.domain.chat.idempotency import Sending
from hub.domain.chat.schemas import SendMessage
from hub.domain.chat.service import Accepted
from hub.domain.chat.turn_schemas import Turn
from hub.jobs.contracts import MAX_ATTEMPTS
from hub.live.events import Changed
from tests.services.talk_model import Reply, Talk, World

#: Conversations of the one user, of whom some may have fewer replies written at once.
CONVERSATIONS = 3
#: Chooses a conversation, or one of the latest replies, or of the latest attempts.
WHICH = st.integers(0, 6)


class People(RuleBasedStateMachine):
    """What people do with a few conversations, in any order, and what has to come of it."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.user_id, self.companion_id = new_id(), new_id()
        self.cap: int | None = None
        self.known: list[Reply] = []
        self.begun: list[tuple[Reply, Turn]] = []
        self.known_talks: list[Talk] = []
        self.keys: dict[str, tuple[Talk, str, bool, Accepted]] = {}
        self.orders = count(1)
        self.texts = count(1)
        self.world.on_cancel = self.on_cancel
        self.world.run(self.clear())

    async def clear(self) -> None:
        await self.world.watcher.execute("DELETE FROM jobs; DELETE FROM users")
        await self.world.watcher.execute(
            "INSERT INTO users (id, username, email, display_name, password_hash)"
            " VALUES ($1, 'ada', 'ada@example.org', 'Ada', '')",
            self.user_id,
        )
        await self.world.watcher.execute(
            "INSERT INTO companions (id, user_id, name) VALUES ($1, $2, 'Mira')",
            self.companion_id,
            self.user_id,
        )

    # Hypothesis leaves some rules out of each run, so every run begins with something to do.
    @initialize(cap=st.sampled_from([1, 2, None]), messages=st.integers(1, 2))
    def converse(self, cap: int | None, messages: int) -> None:
        self.cap = cap
        for _ in range(CONVERSATIONS):
            talk = Talk(new_id())
            self.known_talks.append(talk)
            self.world.run(
                queries.insert_conversation(
                    talk.id, user_id=self.user_id, companion_id=self.companion_id, title=""
                )
            )
            for _ in range(messages):
                self.say(talk, "Hello", key=None, wants_response=True)

    # What people do

    @rule(
        which=WHICH,
        content=st.sampled_from(["Hello", "Bye"]),
        key=st.sampled_from([None, None, "one", "two"]),
        wants_response=st.sampled_from([True, True, True, False]),
    )
    def send(self, *, which: int, content: str, key: str | None, wants_response: bool) -> None:
        self.say(self.talk(which), content, key=key, wants_response=wants_response)

    def talk(self, which: int) -> Talk:
        return self.known_talks[which % CONVERSATIONS]

    def reply(self, which: int) -> Reply:
        return self.known[-1 - which % len(self.known)]

    def say(self, talk: Talk, content: str, *, key: str | None, wants_response: bool) -> None:
        sending = Sending(
            conversation_id=talk.id,
            user_id=self.user_id,
            command=SendMessage(content=content),
            wants_response=wants_response,
            key=key,
        )
        before = self.keys.get(key or "")
        if before is not None and before[:3] != (talk, content, wants_response):
            with pytest.raises(IdempotencyKeyReusedError):
                self.world.run(self.world.chat.send(sending))
            return
        if before is None and talk.deleted:
            with pytest.raises(ConversationNotFoundError):
                self.world.run(self.world.chat.send(sending))
            return
        accepted = self.world.run(self.world.chat.send(sending))
        if before is not None:
            assert accepted == Accepted(sent=before[3].sent, replayed=True)
            return
        assert not accepted.replayed
        talk.last_position += 1
        assert accepted.sent.message.position == talk.last_position
        if key is not None:
            self.keys[key] = (talk, content, wants_response, accepted)
        response = accepted.sent.response
        assert (response is not None) == wants_response
        if response is None:
            return
        job_id = self.world.run(queries.job_of(response.id))
        assert job_id is not None
        reply = Reply(response.id, talk, talk.last_position, next(self.orders), job_id)
        self.known.append(reply)

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        self.give_up(self.reply(which))

    def give_up(self, reply: Reply) -> None:
        if reply.talk.deleted:
            with pytest.raises(ResponseNotFoundError):
                self.world.run(self.world.chat.cancel(reply.id, user_id=self.user_id))
            return
        returned = self.world.run(self.world.chat.cancel(reply.id, user_id=self.user_id))
        if reply.is_active:
            reply.end("cancelled")
        assert (returned.status, returned.output_text) == (reply.status, reply.text)

    def on_cancel(self, job_id: UUID) -> None:
        """Do what a worker does that hears of a cancel: say its last words, which were not saved yet."""
        for reply in self.known:
            if reply.job_id == job_id and reply.turn is not None:
                reply.text += "!"
                self.last_words = asyncio.create_task(self.keep(reply, reply.turn, reply.text))

    async def keep(self, reply: Reply, turn: Turn, text: str) -> None:
        await turns.keep(turn, text)
        self.world.bus.publish(Changed(reply.talk.id, reply.id))

    @rule(which=WHICH, and_cancel=st.booleans())
    def retry(self, *, which: int, and_cancel: bool) -> None:
        reply = self.reply(which)
        self.ask_again(reply)
        if and_cancel and reply.is_active:
            self.give_up(reply)

    def ask_again(self, reply: Reply) -> None:
        retrying = self.world.chat.retry(reply.id, user_id=self.user_id)
        if reply.talk.deleted:
            with pytest.raises(ResponseNotFoundError):
                self.world.run(retrying)
        elif reply.status not in ("failed", "cancelled"):
            with pytest.raises(ResponseNotRetryableError):
                self.world.run(retrying)
        else:
            returned = self.world.run(retrying)
            assert (returned.id, returned.status, returned.error) == (reply.id, "queued", None)
            reply.requeue()
            reply.retried = True
            reply.order = next(self.orders)
            reply.last_attempt = reply.attempt + MAX_ATTEMPTS
            job_id = self.world.run(queries.job_of(reply.id))
            assert job_id is not None
            assert job_id != reply.job_id
            reply.job_id = job_id

    @rule(which=WHICH, really=st.sampled_from([False, False, False, True]))
    def delete(self, *, which: int, really: bool) -> None:
        if not really:
            return
        talk = self.talk(which)
        deleting = self.world.clearing.delete_conversation(talk.id, user_id=self.user_id)
        if talk.deleted:
            with pytest.raises(ConversationNotFoundError):
                self.world.run(deleting)
            return
        self.world.run(deleting)
        talk.deleted = True
        for reply in self.known:
            if reply.talk is talk:
                reply.turn = None
        self.keys = {key: value for key, value in self.keys.items() if value[0] is not talk}
