"""Whatever is done to conversations, in any order: the rows agree with a model of what was promised.

Hypothesis chooses the steps: sends, claims of several workers, their writes, also those of workers that
have lost their job, cancels, retries, silences, deletions. After each step the model and the database are
compared.

``HUB_TEST_EXAMPLES=2000`` tries so many other, random sequences instead of the usual ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from unittest.mock import Mock
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hub.core.settings import Settings
from hub.db.engine import ENGINE
from hub.domain.chat import service, turns
from hub.domain.chat.clearing import Clearing
from hub.domain.chat.service import ChatService
from hub.domain.chat.turn_schemas import Turn
from hub.domain.limits.service import Limits
from hub.jobs import queue, store
from hub.jobs.relay import Relay
from hub.live.bus import Bus
from tests.services.fixtures import migrated_database
from tests.services.talk_model import Reply, Talk, World, lost
from tests.services.talk_people import CONVERSATIONS, WHICH, People

#: What a worker does while it has a reply, and what it may also do later.
WRITES = ("save", "complete", "fail", "try again", "hand over")
WORK = (*WRITES, "save", "fall silent", "come back", "change of mind", "complete just in time")
EXAMPLES = int(os.environ.get("HUB_TEST_EXAMPLES", "0"))


class Talks(People):
    """What workers and time do, and what always holds."""

    # What workers do

    def claimable(self) -> list[Reply]:
        if len(self.running()) >= (self.cap or CONVERSATIONS + 1):
            return []
        heads: dict[Talk, Reply] = {}
        for reply in sorted(self.known, key=lambda each: each.order):
            if reply.is_active:
                heads.setdefault(reply.talk, reply)
        return [head for head in heads.values() if head.status == "queued" and head.due]

    @rule(which=WHICH, tries=st.sampled_from([1, 3]))
    def claim(self, which: int, tries: int) -> None:
        reply = self.reply(which)
        can = reply in self.claimable()

        async def several() -> list[Turn | None]:
            claims = (turns.begin(reply.job_id, worker=f"worker{n}", cap=self.cap) for n in range(tries))
            return await asyncio.gather(*claims)

        got = [turn for turn in self.world.run(several()) if turn is not None]
        assert len(got) == can
        if got:
            self.note_begun(reply, got[0])

    def note_begun(self, reply: Reply, turn: Turn) -> None:
        reply.attempt += 1
        reply.status, reply.text, reply.turn = "in_progress", "", turn
        assert (turn.response_id, turn.claim.attempt) == (reply.id, reply.attempt)
        assert turn.claim.is_last == (reply.attempt >= reply.last_attempt)
        assert turn.talk[-1].role == "user"
        # However slow the machine is, only the steps below end a lease.
        lasting = "UPDATE jobs SET lease_until = now() + interval '1 day' WHERE id = $1"
        self.world.run(self.world.watcher.execute(lasting, reply.job_id))
        self.begun.append((reply, turn))

    @rule(later=st.booleans())
    def sweep(self, *, later: bool) -> None:
        """Ring for what is due, now or after a while, and claim all of it, as far as the cap goes."""
        if later:
            self.pause()
        can = self.claimable()
        due = self.world.run(queue.take_due(limit=100, fresh=0, stale=0, cap=self.cap))
        assert {job.id for job in due} == {reply.job_id for reply in can}
        for reply in can:
            expected = reply in self.claimable()
            turn = self.world.run(turns.begin(reply.job_id, worker="sweeper", cap=self.cap))
            assert (turn is not None) == expected
            if turn is not None:
                self.note_begun(reply, turn)

    @rule(which=WHICH, what=st.sampled_from(WORK), later=st.booleans())
    def work(self, *, which: int, what: str, later: bool) -> None:
        """Do something as a worker that runs a reply."""
        if not self.running():
            self.sweep(later=later)
        if running := self.running():
            reply = running[which % len(running)]
            assert reply.turn is not None
            self.write(reply, reply.turn, what)

    @precondition(lambda self: bool(self.begun))
    @rule(which=WHICH, what=st.sampled_from([*WRITES, "last words"]))
    def write_late(self, which: int, what: str) -> None:
        """Do something as a worker that has lost its reply, and often does not know it."""
        reply, turn = self.begun[-1 - which % len(self.begun)]
        if reply.turn is not turn:
            self.write(reply, turn, what)

    def running(self) -> list[Reply]:
        return [reply for reply in self.known if reply.turn is not None]

    def write(self, reply: Reply, turn: Turn, what: str) -> None:
        if what == "try again" and turn.claim.is_last:
            what = "fail"
        steps: dict[str, Callable[[Reply, Turn], None]] = {
            "save": self.save,
            "complete": self.complete,
            "complete just in time": self.complete_while_it_is_cancelled,
            "fail": self.fail,
            "try again": self.retry_later,
            "hand over": self.release,
            "fall silent": self.fall_silent,
            "come back": self.come_back,
            "change of mind": self.change_of_mind,
            "last words": self.say_last_words,
        }
        steps[what](reply, turn)

    def save(self, reply: Reply, turn: Turn) -> None:
        is_mine, text = reply.turn is turn, reply.text + f"word{next(self.texts)} "
        assert self.world.run(turns.save(turn, text)) == is_mine
        if is_mine:
            reply.text = text

    def complete(self, reply: Reply, turn: Turn) -> None:
        is_mine, text = reply.turn is turn, f"reply{next(self.texts)}"
        assert self.world.run(lost(turns.complete(turn, text, None))) != is_mine
        if is_mine:
            self.note_completed(reply, text)

    def note_completed(self, reply: Reply, text: str) -> None:
        reply.text = text
        reply.talk.last_position += 1
        reply.end("completed")

    def complete_while_it_is_cancelled(self, reply: Reply, turn: Turn) -> None:
        async def both() -> bool:
            completing = asyncio.create_task(lost(turns.complete(turn, "just in time", None)))
            await self.world.chat.cancel(reply.id, user_id=self.user_id)
            return await completing

        if self.world.run(both()):
            reply.end("cancelled")
        else:
            self.note_completed(reply, "just in time")

    def fail(self, reply: Reply, turn: Turn) -> None:
        is_mine, text = reply.turn is turn, f"failed{next(self.texts)}"
        failing = turns.fail(turn, text, code="llm_refused", message="No.")
        assert self.world.run(lost(failing)) != is_mine
        if is_mine:
            reply.text = text
            reply.end("failed")

    def release(self, reply: Reply, turn: Turn) -> None:
        is_mine = reply.turn is turn
        assert self.world.run(lost(turns.release(turn))) != is_mine
        if is_mine:
            reply.requeue()
            reply.last_attempt += 1

    def retry_later(self, reply: Reply, turn: Turn) -> None:
        is_mine = reply.turn is turn
        assert self.world.run(lost(turns.retry_later(turn, retry_after=None))) != is_mine
        if is_mine:
            reply.requeue(due=False)
            # However slow the machine is, the pause is over only when a step says so.
            later = "UPDATE jobs SET due_at = now() + interval '1 day' WHERE id = $1"
            self.world.run(self.world.watcher.execute(later, reply.job_id))

    def say_last_words(self, reply: Reply, turn: Turn) -> None:
        """Of a turn that was lost; they count for one that was cancelled just now and has nothing longer."""
        text = "x" * 200 + str(next(self.texts))
        counts = reply.cancelled_turn is turn and len(text) > len(reply.text)
        just_now = "UPDATE responses SET completed_at = now() WHERE id = $1 AND status = 'cancelled'"
        self.world.run(self.world.watcher.execute(just_now, reply.id))  # however slow the machine is
        self.world.run(turns.keep(turn, text))
        if counts:
            reply.text = text

    # What time does

    def pause(self) -> None:
        """Let the pauses before the next attempts pass."""
        now = "UPDATE jobs SET due_at = now() WHERE status = 'queued'"
        self.world.run(self.world.watcher.execute(now))
        for reply in self.known:
            reply.due = True

    def fall_silent(self, reply: Reply, turn: Turn) -> None:
        """Let a worker's lease end; it knows nothing of it and may write later."""
        past = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1"
        self.world.run(self.world.watcher.execute(past, turn.claim.job_id))
        self.rescue([reply], everything=False)

    def come_back(self, reply: Reply, turn: Turn) -> None:
        """Wake up and go on writing when another worker has the reply."""
        self.fall_silent(reply, turn)
        self.sweep(later=True)
        for what in WRITES:
            self.write(reply, turn, what)

    def change_of_mind(self, reply: Reply, turn: Turn) -> None:
        """Cancel, ask again, and cancel before it has begun; the worker of the first time is slow."""
        self.give_up(reply)
        self.ask_again(reply)
        self.give_up(reply)
        self.say_last_words(reply, turn)

    @rule()
    def start_alone(self) -> None:
        """Take back all that runs, as a start without any other worker does."""
        self.rescue(self.running(), everything=True)

    def rescue(self, silent: list[Reply], *, everything: bool) -> None:
        _, told = self.world.run(turns.rescue(everything=everything))
        assert set(told) == {(reply.talk.id, reply.id) for reply in silent}
        for reply in silent:
            if reply.attempt < reply.last_attempt:
                reply.requeue()
            else:
                reply.end("failed")

    @rule()
    def forget_ended_jobs(self) -> None:
        self.world.run(store.delete_ended(100, days=0))
        for reply in self.known:
            reply.cancelled_turn = None

    # What always holds

    @invariant()
    def rows_agree_with_the_model(self) -> None:
        rows = self.world.run(
            self.world.watcher.fetch("SELECT id, job_id, status, attempt, output_text FROM responses")
        )
        stored = {
            row["id"]: (row["job_id"], row["status"], row["attempt"], row["output_text"]) for row in rows
        }
        assert stored == {
            reply.id: (reply.job_id, reply.status, reply.attempt, reply.text)
            for reply in self.known
            if not reply.talk.deleted
        }

    @invariant()
    def jobs_agree_with_their_responses(self) -> None:
        rows = self.world.run(
            self.world.watcher.fetch(
                "SELECT id, lane, status, slot, attempt, completed_at IS NOT NULL AS ended FROM jobs"
            )
        )
        jobs = {row["id"]: row for row in rows}
        running = [row for row in rows if row["status"] == "in_progress"]
        assert len({row["lane"] for row in running}) == len(running) <= (self.cap or CONVERSATIONS)
        if self.cap is not None:
            assert len({row["slot"] for row in running}) == len(running)
        for row in rows:
            assert row["ended"] == (row["status"] not in ("queued", "in_progress"))
        active = {reply.job_id for reply in self.known if reply.is_active}
        assert {row["id"] for row in rows if not row["ended"]} == active
        for reply in self.known:
            if not reply.talk.deleted and reply.job_id in jobs:
                assert jobs[reply.job_id]["status"] == reply.status
                assert jobs[reply.job_id]["attempt"] == reply.attempt

    @invariant()
    def messages_are_gapless_and_in_order(self) -> None:
        rows = self.world.run(self.world.watcher.fetch(MESSAGES))
        by_talk: dict[UUID, list[asyncpg.Record]] = {}
        for row in rows:
            by_talk.setdefault(row["conversation_id"], []).append(row)
        for talk in self.known_talks:
            said = by_talk.get(talk.id, [])
            assert len(said) == (0 if talk.deleted else talk.last_position)
            assert [row["position"] for row in said] == list(range(1, len(said) + 1))
            assert {row["last_position"] for row in said} <= {len(said)}
        completed = {reply.id: reply for reply in self.known if reply.status == "completed"}
        told = [row for row in rows if row["role"] == "assistant"]
        assert sorted(row["response_id"] for row in told) == sorted(
            reply.id for reply in completed.values() if not reply.talk.deleted
        )
        answered: dict[UUID, list[int]] = {}
        for row in told:
            reply = completed[row["response_id"]]
            assert (row["content"], row["id"]) == (reply.text, row["message_id"])
            if not reply.retried:
                answered.setdefault(reply.talk.id, []).append(reply.request_position)
        for positions in answered.values():
            assert positions == sorted(positions), "replies come in the order of what they answer"


MESSAGES = """
SELECT messages.id, messages.conversation_id, position, role, content, response_id, message_id, last_position
FROM messages JOIN conversations ON conversations.id = messages.conversation_id
LEFT JOIN responses ON responses.id = response_id ORDER BY messages.conversation_id, position
"""


@pytest.fixture
def world(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Yield a database of its own, and a loop of its own, since Hypothesis calls its steps one by one."""
    monkeypatch.setattr(service, "WORKER_STOPS_WITHIN", 0.01)
    monkeypatch.setattr(service, "logger", Mock())  # a line for each message would hide what failed
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        dsn = runner.run(migrated_database(postgres))
        runner.run(ENGINE.open(dsn, pool_size=4))
        watcher = runner.run(asyncpg.connect(dsn))
        world = runner.run(make_world(runner, watcher, dsn))
        yield world
        runner.run(watcher.close())
        runner.run(ENGINE.close())


async def make_world(runner: asyncio.Runner, watcher: asyncpg.Connection, dsn: str) -> World:
    bus = Bus(dsn)  # not started: what is published stays in this process
    relay, limits = Relay(None, cap=None), Limits(Settings(limits=False))
    chat = ChatService(relay=relay, bus=bus, limits=limits, message_max_length=100)
    world = World(runner, watcher, chat, Clearing(relay=relay, bus=bus, limits=limits), bus)
    bus.on_job_cancelled(world.cancelled)
    return world


def test_whatever_happens_the_rows_hold_what_was_promised(world: World) -> None:
    Talks.world = world
    run_state_machine_as_test(
        Talks,
        settings=settings(
            max_examples=EXAMPLES or 80,
            stateful_step_count=40,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
