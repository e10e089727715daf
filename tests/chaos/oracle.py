"""Compares the database with what users said: what is missing, doubled, misplaced or torn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from tests.chaos.world import World
from tests.fakes.llm_script import default_text

Row = dict[str, Any]


@dataclass
class Verdict:
    """What is wrong, a line each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)


def reply_to(content: str) -> str:
    """Return what the language model says to a message."""
    return default_text({"messages": [{"role": "user", "content": content}]})


async def examine(world: World, said: dict[str, list[str]], *, asked_again: Container[str] = ()) -> Verdict:
    """Compare what is stored with what users said, in order, in each conversation (by its id).

    ``asked_again`` are failed responses that users asked for once more: those come when they come.
    """
    messages = await _by_conversation(world, said, "SELECT * FROM messages", "position")
    responses = await _by_conversation(world, said, "SELECT * FROM responses", "created_at")
    verdict = Verdict()
    for conversation_id, contents in said.items():
        stored, replies = messages[conversation_id], responses[conversation_id]
        _compare_said(conversation_id, contents, stored, verdict)
        _compare_replies(conversation_id, stored, replies, verdict, asked_again)
    verdict.torn += await world.disagreements()
    return verdict


def _compare_said(where: str, contents: list[str], stored: list[Row], verdict: Verdict) -> None:
    found = [row["content"] for row in stored if row["role"] == "user"]
    counts = Counter(found)
    verdict.lost += [
        f"{where}: {each!r} was accepted and is not stored" for each in contents if not counts[each]
    ]
    verdict.doubled += [f"{where}: {each!r} is stored {n} times" for each, n in counts.items() if n > 1]
    if found != contents and Counter(contents) == counts:
        verdict.disordered.append(f"{where}: messages stand in another order than they were sent in")


def _compare_replies(
    where: str, stored: list[Row], responses: list[Row], verdict: Verdict, asked_again: Container[str]
) -> None:
    requests = {row["id"]: row for row in stored if row["role"] == "user"}
    asked = {row["id"]: row["request_message_id"] for row in responses}
    answered: list[int] = []
    in_order: list[int] = []
    for row in stored:
        if row["role"] != "assistant":
            continue
        request = requests.get(asked.get(row["response_id"], UUID(int=0)))
        if request is None:
            verdict.doubled.append(f"{where}: the reply at {row['position']} answers nothing")
            continue
        answered.append(request["position"])
        if str(row["response_id"]) not in asked_again:
            in_order.append(request["position"])
        if row["content"] != reply_to(request["content"]):
            verdict.torn.append(f"{where}: the reply at {row['position']} is {row['content']!r}")
        if row["position"] < request["position"]:
            verdict.disordered.append(f"{where}: the reply at {row['position']} stands before its message")
    verdict.disordered += [
        f"{where}: the message at {before} was answered before that at {after}"
        for before, after in pairwise(in_order)
        if before > after
    ]
    _compare_counts(where, list(requests.values()), Counter(answered), verdict)


def _compare_counts(where: str, requests: list[Row], answered: Counter[int], verdict: Verdict) -> None:
    for request in requests:
        if not answered[request["position"]]:
            verdict.lost.append(f"{where}: {request['content']!r} was never answered")
    verdict.doubled += [
        f"{where}: the message at {at} has {n} replies" for at, n in answered.items() if n > 1
    ]


async def _by_conversation(
    world: World, said: dict[str, list[str]], select: str, order: str
) -> defaultdict[str, list[Row]]:
    ids = [UUID(each) for each in said]
    rows = await world.query(f"{select} WHERE conversation_id = ANY($1) ORDER BY {order}, id", ids)
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["conversation_id"])].append(row)
    return found
