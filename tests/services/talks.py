"""Conversations as files, and users who bring them along."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from httpx2 import Response

from tests.services.hub import Client

NDJSON = "application/x-ndjson"
Line = dict[str, Any]


def own_file(*messages: str | Line, title: str = "About moss") -> list[Line]:
    """Return the lines of a file in the hub's own form; a text is said by both in turn."""
    lines: list[Line] = [
        {
            "type": "conversation",
            "format": "companion-hub.conversation",
            "version": 1,
            "title": title,
            "companion": {"name": "Mira"},
            "created_at": "2026-01-02T03:04:05.678901Z",
        }
    ]
    for position, message in enumerate(messages, start=1):
        fields = message if isinstance(message, dict) else {"content": message}
        lines.append(
            {
                "type": "message",
                "position": position,
                "role": "user" if position % 2 else "assistant",
                "created_at": f"2026-01-02T04:{position // 60 % 60:02}:{position % 60:02}Z",
                **fields,
            }
        )
    return [*lines, {"type": "end", "messages": len(messages)}]


def chat_file(*messages: Line, **header: Any) -> list[Line]:
    """Return the lines of a chat in SillyTavern's form."""
    return [{"user_name": "Ida", "character_name": "Mira", **header}, *messages]


def to_bytes(lines: Iterable[Line]) -> bytes:
    """Return the file that has these lines."""
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


async def send_file(
    client: Client, content: Any, companion_id: str, *, media_type: str = NDJSON, **headers: str
) -> Response:
    """Send a file to be imported."""
    return await client.http.post(
        "/api/conversations/import",
        params={"companion_id": companion_id},
        content=content,
        headers={"Content-Type": media_type, **headers},
    )


async def bring(client: Client, lines: Iterable[Line], companion_id: str | None = None) -> Line:
    """Import a conversation and return it."""
    companion_id = companion_id or (await client.companion())["id"]
    answer = await send_file(client, to_bytes(lines), companion_id)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def taken(client: Client, conversation_id: str) -> list[Line]:
    """Export a conversation and return its lines."""
    answer = await client.http.get(f"/api/conversations/{conversation_id}/export")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.content.splitlines()]
