"""Image servers of a cluster: with RabbitMQ an AUTOMATIC1111, with brokers inside the processes a ComfyUI.

The first forgets a picture whose answer was lost; the second is asked for it again, by its ticket.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Self

from tests.fakes import a1111, comfyui
from tests.fakes.a1111 import FakeA1111
from tests.fakes.comfyui import FakeComfyUI, Run, refused_node
from tests.services.pictures import flat_png

_OFTEN = 9
#: Seconds that a held picture seems to take; an AUTOMATIC1111 tells its progress each second.
_SEEMS = 8.0


class Studio:
    """One image server, by what scenarios want of it."""

    def __init__(self, broker: str) -> None:
        self._a1111 = FakeA1111() if broker == "rabbitmq" else None
        self._comfyui = None if self._a1111 else FakeComfyUI()
        self._stack = AsyncExitStack()
        self._waiting: set[asyncio.Task[None]] = set()

    @property
    def settings(self) -> dict[str, str]:
        """What points a hub at it; small pictures, since nobody looks at them."""
        server = self._a1111 or self._comfyui
        assert server is not None
        kind = "a1111" if self._a1111 else "comfyui"
        sides = {"HUB_IMAGE_WIDTH": "64", "HUB_IMAGE_HEIGHT": "64"}
        return {"HUB_SD_URL": server.url, "HUB_SD_KIND": kind, **sides}

    async def __aenter__(self) -> Self:
        if self._a1111:
            await self._stack.enter_async_context(self._a1111)
        if self._comfyui:
            await self._stack.enter_async_context(self._comfyui)
            self._comfyui.files = dict.fromkeys(self._comfyui.files, flat_png(64, 64))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        await self._stack.aclose()

    def clear(self) -> None:
        """Make pictures as usual again."""
        for task in self._waiting:
            task.cancel()
        if self._a1111:
            self._a1111._scripts.clear()
            self._release(self._a1111)
        if self._comfyui:
            self._comfyui.runs.clear()
            self._comfyui.instead.clear()

    def holds(self, go: asyncio.Event) -> None:
        """Stop every picture in its middle until ``go`` is set."""
        if self._comfyui:
            self._comfyui.runs.extend([Run(halfway=go)] * _OFTEN)
        if self._a1111:
            self._a1111.held, self._a1111.seconds = True, _SEEMS
            task = asyncio.create_task(self._finish(self._a1111, go))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    def fails_once(self) -> None:
        """Fail with the next picture, in a way that passes."""
        if self._a1111:
            self._a1111.script(a1111.OUT_OF_MEMORY)
        if self._comfyui:
            self._comfyui.runs.append(Run(error=comfyui.OUT_OF_MEMORY))

    def refuses(self) -> None:
        """Refuse every picture for good."""
        if self._a1111:
            self._a1111.script(*[a1111.INVALID] * _OFTEN)
        if self._comfyui:
            self._comfyui.instead["/prompt"] = [refused_node("model", received="gone.safetensors")] * _OFTEN

    async def works(self) -> None:
        """Wait until it works on a picture."""
        if self._a1111:
            fake = self._a1111
            await fake.wait_for(lambda: fake.working, within=20)
        if self._comfyui:
            await self._comfyui.wait_until_running()

    async def _finish(self, fake: FakeA1111, go: asyncio.Event) -> None:
        await go.wait()
        self._release(fake)

    @staticmethod
    def _release(fake: FakeA1111) -> None:
        fake.held, fake.seconds = False, 0.0
        fake.finish()
