"""Mutated bodies and frames: whatever comes in, no 5xx, no failed socket, and the server stays well.

Bodies are damaged as bytes here; bodies of odd values are schemathesis' (``test_schemathesis``).
The mutations come from a fixed seed, so a failure comes again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import websockets

from tests.services.hub import Client, HubServer
from tests.services.people import promote
from tests.services.refusals import refused
from tests.services.routes import ROUTES, Home

NUMBER = 300
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**40,
    1e308,
    0.1,
    "",
    " ",
    "\0",
    "\u202e",
    "\U0001f9d1\u200d\U0001f680",
    "x" * 9000,
    "null",
    "018f0000-0000-7000-8000-000000000000",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "{{7*7}}",
    "%s%n",
    "\\ud800",
    [],
    {},
    [[[[]]]],
    {"$ne": None},
]
BYTES = [
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b",",
    b"NaN",
]


def mutated_value(value: Any, chance: random.Random) -> Any:
    """Change one thing somewhere in a JSON value."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        changed = dict(value)
        name = chance.choice(list(changed))
        match chance.randrange(4):
            case 0:
                del changed[name]
            case 1:
                changed[str(chance.choice(VALUES))[:50]] = changed[name]
            case _:
                changed[name] = mutated_value(changed[name], chance)
        return changed
    if isinstance(value, str) and value and chance.random() < 0.4:
        place = chance.randrange(len(value))
        return value[:place] + str(chance.choice(VALUES))[:100] + value[place + 1 :]
    return chance.choice(VALUES)


def mutated_bytes(body: bytes, chance: random.Random) -> bytes:
    """Change one place in the bytes."""
    place = chance.randrange(len(body) + 1)
    change: Callable[[], bytes] = chance.choice(
        [
            lambda: body[:place],
            lambda: body[:place] + chance.choice(BYTES) + body[place:],
            lambda: body[:place] + chance.choice(BYTES) + body[place + 1 :],
            lambda: body[:place] + body[place:] * 2,
            lambda: body + body,
        ]
    )
    return change()


def mutated(value: Any, chance: random.Random) -> bytes:
    """Return JSON with one to three mutations."""
    for _ in range(chance.randrange(1, 3)):
        value = mutated_value(value, chance)
    body = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return mutated_bytes(body, chance) if chance.random() < 0.4 else body


async def well(client: Client, hub: HubServer) -> None:
    """Check that the server is as it was."""
    assert (await client.http.get("/api/health")).json()["status"] == "pass"
    assert "Traceback" not in hub.output, hub.output[hub.output.index("Traceback") - 1500 :][:6000]
    conversation = await client.conversation()
    sent = await client.send(conversation["id"], "Are you well?")
    assert (await client.ended(sent["response"]["id"]))["status"] == "completed"


async def test_damaged_bodies(client: Client, hub: HubServer) -> None:
    chance = random.Random(20261122)
    home = await Home.of(client)
    await promote(hub, client)
    # One that succeeds would sign out, take the home away, or let its owner in no more.
    spared = ("changePassword", "deleteMe", "updateUser")
    routes = [route for route in ROUTES if route.body is not None and route.operation not in spared]
    statuses: dict[int, int] = {}
    for _ in range(NUMBER):
        route = chance.choice(routes)
        body = mutated_bytes(json.dumps(home.body(route)).encode(), chance)
        headers = {"Content-Type": "application/json"}
        answer = await client.http.request(route.method, home.path(route), content=body, headers=headers)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        if not answer.is_success:
            refused(answer, 400, 401, 404, 409, 413, 422)
    assert statuses[400] > NUMBER / 2
    await well(client, hub)


def frames_of(home: Home) -> list[dict[str, Any]]:
    conversation_id = home.ids["conversation_id"]
    return [
        {"type": "conversation.subscribe", "conversation_id": conversation_id, "after": 1},
        {"type": "conversation.unsubscribe", "conversation_id": conversation_id},
        {
            "type": "conversation.item.create",
            "event_id": "fuzz",
            "conversation_id": conversation_id,
            "item": {"type": "message", "role": "user", "content": "Hello"},
            "response": None,
        },
        {"type": "response.cancel", "response_id": home.ids["response_id"]},
    ]


async def test_mutated_frames(client: Client, hub: HubServer) -> None:
    chance = random.Random(20261123)
    home = await Home.of(client)
    frames = frames_of(home)
    sent, closes, errors = 0, 0, 0
    while sent < NUMBER:
        async with client.socket() as socket:
            try:
                while sent < NUMBER:
                    sent += 1
                    frame = mutated(chance.choice(frames), chance)
                    try:
                        text: str | bytes = frame.decode()
                    except UnicodeDecodeError:
                        text = frame
                    await socket.connection.send(text)
                    mark = f"mark-{sent}"
                    await socket.connection.send(json.dumps({"type": "?", "event_id": mark}))
                    async with asyncio.timeout(5):
                        while (await socket.expect("error"))["error"].get("event_id") != mark:
                            errors += 1
            except websockets.ConnectionClosed:
                closes += 1
                assert socket.connection.close_code in (4400, 1009)
    assert errors > NUMBER / 2
    assert closes < NUMBER / 3
    await well(client, hub)
