"""The settings choose the image server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from hub.providers.http.breaker import Breaker
from hub.providers.http.client import CONNECT_SECONDS, HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool
from hub.providers.images.a1111 import A1111
from hub.providers.images.comfyui import ComfyUI
from hub.providers.images.exchange import exchange
from hub.providers.images.openai import OpenAIImages
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServer, ImageServerError, Picture, PictureOrder, Progress

_WHOSE = "the image server's"
_LOOK_SECONDS = CONNECT_SECONDS + 1.0  # a connection that does not come has to count as one
_LOOK_BYTES = 4 * 1024 * 1024
# It hung up, or said what ComfyUI does not say there. (If nobody is there, A1111's own call will say so.)
_NOT_COMFYUI = frozenset({"image_unreachable", "image_truncated", "image_bad_answer"})

Kind = Literal["auto", "a1111", "comfyui", "openai"]


class ImageServerSettings(Protocol):
    """What is asked of the settings; there is an ``sd_url``, else the built-in painter is used."""

    @property
    def sd_url(self) -> str | None:
        """The base address; one that ends in /v1 is OpenAI's kind."""

    @property
    def sd_kind(self) -> Kind:
        """What kind of server it is; auto: see ``open_image_server``."""

    @property
    def sd_key(self) -> str | None:
        """The key, or "user:password", if the server wants one."""

    @property
    def sd_model(self) -> str | None:
        """The model's name at the server."""

    @property
    def sd_steps(self) -> int:
        """How many steps a picture takes."""

    @property
    def sd_cfg_scale(self) -> float:
        """How closely a picture keeps to its prompt."""

    @property
    def sd_sampler(self) -> str:
        """The sampler as AUTOMATIC1111 names it."""

    @property
    def sd_timeout(self) -> float:
        """Seconds for a whole picture."""

    @property
    def sd_workflow(self) -> Path | None:
        """A file with a graph for ComfyUI, if not the built-in one."""


def open_image_server(settings: ImageServerSettings, pool: Pool) -> ImageServer:
    """Make the image server that the settings name; it is not asked yet, since it may come up later.

    Of kind auto: OpenAI's if the address ends in /v1; else the first call looks whether it is ComfyUI, and
    takes it for AUTOMATIC1111 or Forge if not. ``pool`` is the process's, to be closed after the server.

    Raises ``ValueError`` for an address, key or workflow that cannot be used.
    """
    url, kind = address_and_kind(settings.sd_url or "", settings.sd_kind)
    endpoint = Endpoint.parse(url, settings.sd_key, whose=_WHOSE, basic=kind != "openai")
    maker = _Maker(settings, endpoint, pool)
    if kind == "openai":
        return maker.openai()
    if kind == "a1111":
        return maker.a1111()
    if kind == "comfyui":
        return maker.comfyui()
    return DetectedServer(
        HttpClient(endpoint, pool, maker.breaker), comfyui=maker.comfyui(), a1111=maker.a1111()
    )


def address_and_kind(url: str, kind: Kind) -> tuple[str, Kind]:
    """Return the base address that is meant, and the kind as far as the address tells it."""
    url = url.strip().rstrip("/").removesuffix("/sdapi/v1")
    return url, "openai" if kind == "auto" and url.endswith("/v1") else kind


class _Maker:
    """Makes each kind from the same settings; they share the breaker, since it is one server."""

    def __init__(self, settings: ImageServerSettings, endpoint: Endpoint, pool: Pool) -> None:
        self.breaker = Breaker()
        self._endpoint = endpoint
        self._pool = pool
        self._timeout = settings.sd_timeout
        self._workflow = settings.sd_workflow
        self._options = Options(
            model=settings.sd_model or None,
            steps=settings.sd_steps,
            cfg_scale=settings.sd_cfg_scale,
            sampler=settings.sd_sampler,
        )

    def a1111(self) -> ImageServer:
        return A1111(
            self._endpoint, self._pool, options=self._options, timeout=self._timeout, breaker=self.breaker
        )

    def openai(self) -> ImageServer:
        return OpenAIImages(
            self._endpoint, self._pool, options=self._options, timeout=self._timeout, breaker=self.breaker
        )

    def comfyui(self) -> ImageServer:
        return ComfyUI(
            self._endpoint,
            self._pool,
            options=self._options,
            timeout=self._timeout,
            breaker=self.breaker,
            workflow=self._workflow,
        )


class DetectedServer:
    """An ``ImageServer`` that finds out at its first call what kind of server there is.

    ``provider`` is "auto" until it knows.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        comfyui: ImageServer,
        a1111: ImageServer,
    ) -> None:
        self._client = client
        self._comfyui = comfyui
        self._a1111 = a1111
        self._found: ImageServer | None = None
        self._looking = asyncio.Lock()

    @property
    def provider(self) -> str:
        """What was found."""
        return self._found.provider if self._found is not None else "auto"

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture; see ``ImageServer.make``."""
        server = await self._find(looking=False)
        picture = await server.make(order, progress=progress, ticket=ticket)
        self._found = server  # what paints is what it is, whatever it said when it was looked at
        return picture

    async def check(self) -> None:
        """Return if the server can be asked now; see ``ImageServer.check``."""
        server = await self._find(looking=True)
        await server.check()
        self._found = server

    async def close(self) -> None:
        """Give back what is its own."""
        await self._comfyui.close()
        await self._a1111.close()

    async def _find(self, *, looking: bool) -> ImageServer:
        """Return the server; what is not ComfyUI is taken for A1111 this once.

        For good only when that has served: a proxy says 404, too, for a ComfyUI that is starting.

        Raises:
            ImageServerError: it cannot be looked at.
        """
        async with self._looking:
            if self._found is not None:
                return self._found
            try:
                answer = await exchange(
                    self._client,
                    "GET",
                    "/system_stats",
                    seconds=_LOOK_SECONDS,
                    max_bytes=_LOOK_BYTES,
                    looking=looking,
                )
            except ImageServerError as error:
                if error.code not in _NOT_COMFYUI:
                    raise
                return self._a1111
            if answer.ok and _is_comfyui(answer.body):
                self._found = self._comfyui
            return self._found or self._a1111


def _is_comfyui(body: bytes) -> bool:
    try:
        told: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(told, dict) and "system" in told and "devices" in told
