"""An image server whose pictures are traced: how long each took, and whether it came."""

from __future__ import annotations

from hub.core import tracing
from hub.providers.images.protocol import ImageServer, Picture, PictureOrder, Progress


def traced(server: ImageServer) -> ImageServer:
    """Return the server, so that it is traced if anything is."""
    return TracedImageServer(server) if tracing.is_on() else server


class TracedImageServer:
    """An ``ImageServer`` that asks another one."""

    def __init__(self, server: ImageServer) -> None:
        self._server = server

    @property
    def provider(self) -> str:
        """Its kind, as recipes name it."""
        return self._server.provider

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture; see ``ImageServer.make``."""
        facts: tracing.Facts = {
            "hub.image.provider": self.provider,
            "hub.image.width": order.width,
            "hub.image.height": order.height,
        }
        with tracing.span("make image", kind="client", facts=facts):
            return await self._server.make(order, progress=progress, ticket=ticket)

    async def check(self) -> None:
        """Return if the server can be asked now; see ``ImageServer.check``."""
        await self._server.check()

    async def close(self) -> None:
        """Give back what is its own."""
        await self._server.close()
