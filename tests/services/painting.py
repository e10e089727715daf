"""What tests of painted pictures share: an image server that answers by prompt, and who asks it."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from tests.fakes.a1111 import TXT2IMG, FakeA1111
from tests.fakes.http_server import Request
from tests.fakes.llm_script import Script
from tests.services.hub import Client, Socket

CALL = "response.image_generation_call"
FAILED, COMPLETED, IN_PROGRESS = (f"{CALL}.{how}" for how in ("failed", "completed", "in_progress"))


class PromptedA1111(FakeA1111):
    """AUTOMATIC1111 that has scripts for words in prompts, so that no other picture can take them."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._by_word: defaultdict[str, deque[Script]] = defaultdict(deque)

    def give(self, word: str, *scripts: Script) -> None:
        """Answer orders with this word with these scripts, one an attempt; then as usual."""
        self._by_word[word].extend(scripts)

    def asked(self, word: str) -> int:
        """Return how often a picture with this word was asked for."""
        return sum(word in str(order["prompt"]) for order in self.orders)

    async def respond(self, request: Request) -> Script:
        """Answer by the prompt, else as these servers do."""
        if request.path == TXT2IMG:
            prompt = str(request.body.get("prompt"))
            for word, scripts in self._by_word.items():
                if word in prompt and scripts:
                    return scripts.popleft()
        return await super().respond(request)


async def talk_about(client: Client, word: str) -> str:
    """Begin a conversation with a companion whose pictures have this word in their prompt; return its id."""
    companion = await client.companion(appearance=word)
    return str((await client.conversation(companion["id"]))["id"])


async def say_for_image(socket: Socket, conversation_id: str) -> None:
    """Follow a conversation, and say something in it for a picture."""
    await socket.subscribe(conversation_id)
    await socket.say(conversation_id, "Show me", response={"generate_image": True})


async def image_call(socket: Socket, *, progress: float, position: int | None) -> dict[str, Any]:
    """Wait until a picture is told to be so far, with so many before it."""
    while True:
        frame = await socket.expect(IN_PROGRESS)
        if frame["progress"] >= progress and frame["position"] == position:
            return frame
