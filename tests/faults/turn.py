"""One turn that is interrupted at one point, and everything that must be true of it afterwards."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.faults.cluster import Cluster, signal_hub
from tests.faults.failpoints import Action
from tests.faults.talker import Talker, Viewer
from tests.faults.whole import judge_whole
from tests.services.oracle import disagreements

#: Seconds for which a process is frozen that a client waits for: longer than a transaction may idle here.
FREEZE = 1.4
#: Seconds within which others must have ended the turn of a process that stays frozen.
TAKEN_OVER = 10.0
SETTLED = 20.0

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """A point that a turn goes through, and what happens there.

    ``asked``: a client's request is what has come to this point, so it waits there too.
    """

    point: str
    side: str
    action: Action
    scenario: str
    asked: bool

    def __str__(self) -> str:
        return f"{self.scenario}: {self.action} {self.side} {self.point}"


class Turn:
    """A conversation in which one message's turn is interrupted."""

    def __init__(self, cluster: Cluster, case: Case) -> None:
        self.cluster = cluster
        self.case = case
        self.go = asyncio.Event()
        self.goes_when_fired = True
        #: What the message is to end as, and the response of each message that was accepted.
        self.ends_as = "completed"
        self.accepted: dict[str, str] = {}
        #: The same of the picture that goes with it, and the messages that one was asked for with.
        self.picture_ends_as = "completed"
        self.painted: set[str] = set()
        self.unsure: set[str] = set()
        self._heard = asyncio.Event()
        self.talker = Talker(cluster.urls, cluster.token)
        self._conversation_id = ""
        self._viewer: Viewer | None = None
        self._fault: asyncio.Task[None] | None = None

    # What scenarios are made of

    @property
    def viewer(self) -> Viewer:
        """The client that follows the conversation."""
        assert self._viewer is not None
        return self._viewer

    def new_content(self) -> str:
        """Return words that were never said before."""
        return f"{self.case}, number {next(_numbers)}"

    def arm(self) -> None:
        """Let the fault happen from now on."""
        self.cluster.arm(self.case.point, self.case.side, self.case.action)
        self._fault = asyncio.create_task(self._suffer())

    async def say(self, content: str, *, paints: bool = False) -> str:
        """Send a message with a key, until it is accepted; return its response's id."""
        body: dict[str, object] = {"content": content}
        if paints:
            self.painted.add(content)
            body["generate_image"] = True
        key = f"key-{next(_numbers)}"
        answer = await self.talker.insist("POST", self._messages, body, **{"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        return self._accept(content, str(answer.json()["response"]["id"]))

    async def say_by_socket(self, content: str) -> None:
        """Send a message over a socket, until it is accepted."""
        event_id = f"event-{next(_numbers)}"
        message_id = await self.talker.say(self._conversation_id, content, event_id=event_id)
        sql = "SELECT id FROM responses WHERE request_message_id = $1"
        self._accept(content, str(await self.cluster.database.fetchval(sql, UUID(message_id))))

    async def say_once(self, content: str) -> None:
        """Send a message without a key: whether it was stored stays unknown if no answer comes."""
        answer = await self.talker.once("POST", self._messages, {"content": content})
        if answer is None:
            self.unsure.add(content)
        else:
            assert answer.status_code == 202, answer.text
            self._accept(content, str(answer.json()["response"]["id"]))

    async def have_written_anew(self, content: str) -> None:
        """Ask for another answer to the last message, until that is accepted."""
        path, key = f"/api/conversations/{self._conversation_id}/responses", f"key-{next(_numbers)}"
        answer = await self.talker.insist("POST", path, {"kind": "regenerate"}, **{"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        self._accept(content, str(answer.json()["id"]))

    def _accept(self, content: str, response_id: str) -> str:
        self.accepted[content] = response_id
        self._heard.set()
        return response_id

    async def worker_of(self, response_id: str, kind: str = "reply") -> int:
        """Return the process that writes a reply, reads its scene or paints it, as soon as one does."""
        sql = "SELECT worker FROM jobs WHERE kind = $2 AND status = 'in_progress' AND (subject_id = $1"
        sql += " OR id IN (SELECT id FROM image_requests WHERE response_id = $1))"
        deadline = time.monotonic() + SETTLED
        while not (name := await self.cluster.database.fetchval(sql, UUID(response_id), kind)):
            assert time.monotonic() < deadline, f"nobody does the {kind} of {response_id}"
            await asyncio.sleep(0.01)
        return int(str(name).rpartition(":")[2])

    async def settle(self, *, within: float = SETTLED) -> None:
        """Wait until every accepted message's turn has ended."""
        deadline = time.monotonic() + within
        while left := await self._under_way():
            assert time.monotonic() < deadline, f"not ended within {within:g} s: {left}"
            await asyncio.sleep(0.02)

    # The course of it

    async def run(self, scenario: Callable[[Turn], Awaitable[None]]) -> None:
        """Go through a turn and its fault, and check what came of it.

        Raises:
            AssertionError: a promise was broken.
        """
        body = {"companion_id": self.cluster.companion_id}
        answer = await self.talker.insist("POST", "/api/conversations", body)
        self._conversation_id = answer.json()["id"]
        self._viewer = Viewer(self.cluster.urls, self.cluster.token, self._conversation_id)
        try:
            await scenario(self)
            assert self._fault is not None
            await self._fault
            self.go.set()
            await self.settle()
            await self._ask_again_for_what_broke()
            await self.say(self.new_content())  # the conversation goes on
            await self.settle()
            await self._judge()
        finally:
            self.go.set()
            if self._fault is not None:
                self._fault.cancel()
                await asyncio.gather(self._fault, return_exceptions=True)
            await self._viewer.close()
            await self.talker.close()

    async def _suffer(self) -> None:
        pid = await self.cluster.fired(self.case.point, self.case.side)
        if self.goes_when_fired:
            self.go.set()
        if self.case.action is not Action.HANG:
            return
        try:
            if self.case.asked:
                await asyncio.sleep(FREEZE)
            else:
                await self._others_end_it()
        finally:
            signal_hub(pid, signal.SIGCONT)

    async def _others_end_it(self) -> None:
        with suppress(TimeoutError):  # what is frozen may be what the message has to come in by
            async with asyncio.timeout(FREEZE):
                await self._heard.wait()
        if self.accepted:
            await self.settle(within=TAKEN_OVER)
        if self.ends_as == "cancelled":  # frozen until its end was told, it must not change it any more
            with suppress(TimeoutError):  # unless what is frozen is what tells it
                async with asyncio.timeout(2 * FREEZE):
                    await self.viewer.hears_of_end(next(iter(self.accepted.values())))

    async def _ask_again_for_what_broke(self) -> None:
        """Retry what an error in the hub itself has ended: visibly failed is safe, and asked for again."""
        if self.case.action is not Action.ERROR or self.ends_as != "completed":
            return
        for response_id in self.accepted.values():
            response = await self._response(response_id)
            if response["status"] == "failed":
                assert response["error"]["code"] == "internal_error", response
                await self.talker.insist("POST", f"/api/responses/{response_id}/retry")
        await self.settle()

    async def _under_way(self) -> list[dict[str, Any]]:
        rows = await self.cluster.database.fetch(
            "SELECT responses.id, responses.status, responses.attempt, jobs.status AS job, worker, due_at,"
            " published_at, lease_until, now() FROM responses JOIN jobs ON jobs.id = job_id"
            " WHERE conversation_id = $1 AND (responses.status IN ('queued', 'in_progress')"
            " OR jobs.status IN ('queued', 'in_progress')) UNION ALL"
            " SELECT id, kind, attempt, status, worker, due_at, published_at, lease_until, now() FROM jobs"
            " WHERE kind IN ('scene', 'image') AND status IN ('queued', 'in_progress')",
            UUID(self._conversation_id),
        )
        return [dict(row) for row in rows]

    # What must be true

    async def _judge(self) -> None:
        answer = await self.talker.insist("GET", f"{self._messages}?limit=1000")
        messages = list(reversed(answer.json()["items"]))
        said = [each["content"] for each in messages if each["role"] == "user"]
        for content in self.accepted:
            assert said.count(content) == 1, (content, messages)
        assert all(said.count(content) <= 1 for content in self.unsure), messages
        assert set(said) <= self.accepted.keys() | self.unsure, messages
        replies = {each["response_id"]: each["content"] for each in messages if each["role"] == "assistant"}
        assert len(replies) == len(messages) - len(said), messages
        first = next(iter(self.accepted), None)
        for content, response_id in self.accepted.items():
            response = await self._response(response_id)
            assert response["status"] == (self.ends_as if content == first else "completed"), response
            whole = self.cluster.model.text(content)
            assert whole.startswith(response["output_text"]), response
            assert replies.get(response_id) == (whole if response["status"] == "completed" else None)
        for content in self.unsure & set(said):  # stored after all: then it was answered as well
            assert self.cluster.model.text(content) in replies.values(), messages
        await judge_whole(self.cluster, self._conversation_id, self.painted)
        await self._judge_pictures(messages)
        await self._judge_viewer(messages)
        assert not (found := await disagreements(self.cluster.database)), found

    async def _judge_pictures(self, messages: list[dict[str, Any]]) -> None:
        """Each picture has come, or its failure is told; what the viewer heard of it is what is stored."""
        stored = {each["response_id"]: each["image"] for each in messages if each["response_id"]}
        for content in self.painted:
            response_id = self.accepted[content]
            response = await self._response(response_id)
            if response["status"] != "completed":
                continue
            job = (await self.talker.insist("GET", f"/api/jobs/{response['image_job_id']}")).json()
            may_break = self.case.action is Action.ERROR and job["status"] == "failed"
            assert may_break or job["status"] == self.picture_ends_as, job
            assert (job["result"] or {}).get("id") == (stored[response_id] or {}).get("id"), job
            if may_break:
                assert job["error"]["code"] in ("internal_error", "image_bad_request"), job
            told = self.viewer.pictures.get(response_id, job["result"] and job["result"]["id"])
            assert told == (job["result"] and job["result"]["id"]), (told, job)
        assert {key for key, image in stored.items() if image} <= {self.accepted[c] for c in self.painted}

    async def _judge_viewer(self, messages: list[dict[str, Any]]) -> None:
        await self.viewer.sees(len(messages))
        assert [_text(each) for each in self.viewer.messages] == [_text(each) for each in messages]
        for (response_id, attempt), text in self.viewer.built.items():
            response = await self._response(response_id)
            if response["attempt"] == attempt:
                assert response["output_text"] == text, response
        assert not self.viewer.complaints, self.viewer.complaints

    async def _response(self, response_id: str) -> dict[str, Any]:
        return dict((await self.talker.insist("GET", f"/api/responses/{response_id}")).json())

    @property
    def _messages(self) -> str:
        return f"/api/conversations/{self._conversation_id}/messages"


def _text(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without its picture, which comes later."""
    return {name: value for name, value in message.items() if name != "image"}
