"""The least that a server could do: a route that starts a task, a task that asks the model, a socket.

Another route has the task ask the model twice: for the scene, as the hub does, and then for the reply.

No database, no accounts, no jobs, no bus; the same framework, server options and model client as the hub.
Run as a process it prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import msgspec
import uvicorn
import uvloop
from litestar import Litestar, WebSocket, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath, JSONBody

from hub.core.ids import new_id
from hub.domain.chat.frames import Frame, OutputTextDelta, OutputTextDone
from hub.domain.chat.schemas import SendMessage
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes import analysis
from hub.domain.scenes.schemas import Scene
from hub.providers.http.network import open_pool
from hub.providers.llm.openai_compatible import OpenAICompatible
from hub.providers.llm.protocol import ChatMessage, ChatRequest, Delta

_SYSTEM = "You are Mira, a calm botanist who loves moss. " * 20
_SCENE = Scene(outfit="a green coat", location="a forest", action="looking at moss", expression="curious")
_encoder = msgspec.json.Encoder()


class Floor:
    """One socket and the tasks that write to it."""

    def __init__(self, model: OpenAICompatible) -> None:
        self._model = model
        self._prompts = Prompts.load(None)
        self._socket: WebSocket[Any, Any, Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Keep the socket until its client leaves."""
        await socket.accept()
        self._socket = socket
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            self._socket = None

    def start(self, reply: Coroutine[None, None, None]) -> None:
        """Reply in a task."""
        task = asyncio.create_task(reply)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reply_with_scene(self, conversation_id: UUID, content: str) -> None:
        """Read the scene first."""
        talk = [ChatMessage(role="user", content=content)]
        request = analysis.request(
            self._prompts, name="Mira", user_name="Ann", scene=_SCENE, talk=talk, budget=8192
        )
        answer = await self._model.answer(request, schema=analysis.SCHEMA, patience=5)
        analysis.read(answer)
        await self.reply(conversation_id, content)

    async def reply(self, conversation_id: UUID, content: str) -> None:
        """Ask the model and tell what it says."""
        said = (ChatMessage(role="system", content=_SYSTEM), ChatMessage(role="user", content=content))
        request = ChatRequest(messages=said, max_tokens=300, temperature=0.9, top_p=0.9)
        response_id, text = new_id(), ""
        async for piece in self._model.stream(request):
            if isinstance(piece, Delta):
                await self._tell(_delta(conversation_id, response_id, text, piece.text))
                text += piece.text
        await self._tell(OutputTextDone(conversation_id=conversation_id, response_id=response_id, text=text))

    async def greet(self, conversation_id: UUID) -> None:
        """Say something without the model."""
        response_id = new_id()
        await self._tell(_delta(conversation_id, response_id, "", "Hello"))
        await self._tell(
            OutputTextDone(conversation_id=conversation_id, response_id=response_id, text="Hello")
        )

    async def _tell(self, frame: Frame) -> None:
        if self._socket is not None:
            await self._socket.send_data(_encoder.encode(frame), mode="text")


def _delta(conversation_id: UUID, response_id: UUID, before: str, text: str) -> Frame:
    return OutputTextDelta(
        conversation_id=conversation_id, response_id=response_id, offset=len(before), delta=text
    )


def create_app(floor: Floor) -> Litestar:
    """Build the application: one socket, and routes with the model, with two calls to it, and without."""

    @websocket("/ws")
    async def listen(socket: WebSocket[Any, Any, Any]) -> None:
        await floor.listen(socket)

    @post("/ask/{conversation_id:uuid}", status_code=202)
    async def ask(conversation_id: FromPath[UUID], data: JSONBody[SendMessage]) -> dict[str, UUID]:
        floor.start(floor.reply(conversation_id, data.content))
        return {"conversation_id": conversation_id}

    @post("/read/{conversation_id:uuid}", status_code=202)
    async def read(conversation_id: FromPath[UUID], data: JSONBody[SendMessage]) -> dict[str, UUID]:
        floor.start(floor.reply_with_scene(conversation_id, data.content))
        return {"conversation_id": conversation_id}

    @post("/greet/{conversation_id:uuid}", status_code=202)
    async def greet(conversation_id: FromPath[UUID], data: JSONBody[SendMessage]) -> dict[str, UUID]:  # noqa: ARG001 - it is decoded all the same
        floor.start(floor.greet(conversation_id))
        return {"conversation_id": conversation_id}

    return Litestar([listen, ask, read, greet], logging_config=None, openapi_config=None)


class _Announced(uvicorn.Server):
    """Uvicorn that prints where it listens."""

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)


async def _serve(llm_url: str) -> None:
    model = OpenAICompatible(
        base_url=llm_url, key=None, model="fake", timeout=5, context_tokens=8192, pool=open_pool()
    )
    config = uvicorn.Config(
        create_app(Floor(model)),
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
    await _Announced(config).serve()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A server that only streams.")
    parser.add_argument("--llm", required=True, help="base address of the language model")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.llm))


if __name__ == "__main__":
    main()
