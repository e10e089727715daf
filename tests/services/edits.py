"""A talk that is changed afterwards: what a client does with messages that are there already."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2

from tests.services.hub import Client, Socket


class Editor:
    """One conversation of a user, and all that can be done to its messages."""

    def __init__(self, client: Client, conversation_id: str) -> None:
        self.client = client
        self.id = conversation_id

    @classmethod
    async def of(cls, client: Client, *said: str, **companion: str) -> Editor:
        """Begin a conversation, say something, and wait for each reply."""
        made = await client.companion(**companion)
        editor = cls(client, (await client.conversation(made["id"]))["id"])
        for each in said:
            await editor.says(each)
        return editor

    async def says(self, text: str) -> dict[str, Any]:
        """Say something and return the response once it has ended."""
        return await self.client.ended((await self.client.send(self.id, text))["response"]["id"])

    async def messages(self) -> list[dict[str, Any]]:
        """Return the messages, oldest first."""
        return await self.client.messages(self.id)

    async def texts(self) -> list[str]:
        """Return what the messages say, oldest first."""
        return [message["content"] for message in await self.messages()]

    async def ask(self, kind: str, *, image: bool = False, key: str | None = None) -> httpx2.Response:
        """Ask for a response."""
        body = {"kind": kind, "generate_image": image}
        headers = {"Idempotency-Key": key} if key else None
        path = f"/api/conversations/{self.id}/responses"
        return await self.client.http.post(path, json=body, headers=headers)

    async def asked(self, kind: str, *, image: bool = False, key: str | None = None) -> dict[str, Any]:
        """Ask for a response, which has to be taken."""
        answer = await self.ask(kind, image=image, key=key)
        assert answer.status_code == 202, answer.text
        response = dict(answer.json())
        assert answer.headers["location"] == f"/api/responses/{response['id']}"
        assert response["kind"] == kind
        return response

    async def done(self, kind: str, *, image: bool = False) -> dict[str, Any]:
        """Ask for a response and wait until it has ended."""
        return await self.client.ended((await self.asked(kind, image=image))["id"])

    async def edit(self, message_id: str, content: str, **headers: str) -> httpx2.Response:
        """Change what a message says."""
        path = f"/api/messages/{message_id}"
        return await self.client.http.patch(path, json={"content": content}, headers=headers)

    async def edited(self, message_id: str, content: str) -> dict[str, Any]:
        """Change what a message says, which has to work."""
        answer = await self.edit(message_id, content)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def delete(self, message_id: str, *, following: bool = False) -> None:
        """Take a message out."""
        path = f"/api/messages/{message_id}"
        answer = await self.client.http.delete(path, params={"following": following} if following else None)
        assert answer.status_code == 204, answer.text

    async def message(self, message_id: str) -> dict[str, Any]:
        """Return a message."""
        answer = await self.client.http.get(f"/api/messages/{message_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def alternatives(self, message_id: str) -> list[dict[str, Any]]:
        """Return a message's texts."""
        answer = await self.client.http.get(f"/api/messages/{message_id}/alternatives")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def choose(self, message_id: str, number: int) -> dict[str, Any]:
        """Choose one of a message's texts."""
        answer = await self.client.http.post(f"/api/messages/{message_id}/alternatives/{number}/choose")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def writes(self, response_id: str, text: str) -> None:
        """Wait until a response has stored this much."""
        deadline = time.monotonic() + 20
        while not (await self.client.response(response_id))["output_text"].startswith(text):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def told_of(socket: Socket, message_id: str) -> dict[str, Any]:
    """Wait until a socket is told of another version of a message; return the frame."""
    while (frame := await socket.expect("companion_hub.item.updated"))["item"]["id"] != message_id:
        pass
    return frame
