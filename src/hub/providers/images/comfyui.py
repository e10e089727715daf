"""Pictures from ComfyUI: asked for once, followed by socket and history, found again by their id."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path

from hub.providers.http.breaker import Breaker
from hub.providers.http.client import HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool
from hub.providers.images.comfyui_api import Api, Ended
from hub.providers.images.comfyui_graph import (
    Graph,
    Nodes,
    Values,
    comfy_sampler,
    first_number,
    first_text,
    weights,
)
from hub.providers.images.comfyui_socket import Follower, Share, Socket
from hub.providers.images.content import plain
from hub.providers.images.exchange import MAX_BYTES
from hub.providers.images.failures import failure
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServerError, Picture, PictureOrder, Progress

_SILENCE_SECONDS = 30.0  # for one request: while a model is loaded the server is slow to answer
_SOCKET_SECONDS = 2.0  # the work is not held up longer for its progress
_STOP_SECONDS = 2.0
_LOOKS_FOR_QUEUE = 5  # looks into the history between two into the queue, which is a longer answer
_FIRST_LOOK = 2
_MISSES = 3  # looks in a row that may fail: the server may be busy, or be restarted
_LONGEST_NAME = 200
_HIGHEST_SEED = 2**32 - 1
_MOST_STEPS = 10_000


class _Work:
    """One call of ``make``: whom it tells, and what to stop if it is cancelled."""

    def __init__(self, progress: Progress) -> None:
        self.keep_ticket = progress.keep_ticket
        self.prompt_id = ""
        self._tell = progress.tell
        self._told = 0.0

    def tell(self, share: float) -> None:
        """Tell the share that is done, if it is more than was told."""
        if share > self._told:
            self._told = share
            self._tell(share)


class ComfyUI:
    """An ``ImageServer``; see the protocol.

    The truth about a picture is the server's history, looked at every ``poll_seconds``; the socket shows the
    progress and says when to look at once. The id of the work is chosen here and kept before it is sent, so
    that even work whose answer got lost is found again; a server that names its own is believed. A picture
    that is not ready after ``timeout`` seconds goes on at the server, for the next attempt to find.
    """

    provider = "comfyui"

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        *,
        options: Options,
        timeout: float,
        breaker: Breaker,
        workflow: Path | None = None,
        poll_seconds: float = 1.0,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Raises ``ValueError`` in one sentence for a ``workflow`` that cannot be used."""
        self._graph = Graph.built_in() if workflow is None else Graph.read(workflow)
        self._options = options
        self._timeout = timeout
        self._poll = poll_seconds
        self._found_model = ""
        client = HttpClient(endpoint, pool, breaker)
        self._api = Api(client, patience=min(timeout, _SILENCE_SECONDS), max_picture=max_bytes)
        self._socket = Socket(endpoint, pool, patience=min(timeout / 2, _SOCKET_SECONDS), pause=poll_seconds)

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture; see ``ImageServer.make``."""
        work = _Work(progress)
        try:
            async with asyncio.timeout(self._timeout) as deadline:
                nodes = self._graph.filled(await self._values(order))
                content = await self._earlier(ticket, nodes, work) if ticket else None
                if content is None:
                    content = await self._fetched(await self._new(nodes, work))
        except TimeoutError:
            if not deadline.expired():
                raise  # it is the ticket's keeper's
            raise failure("image_timeout", detail="the whole picture took too long") from None
        except asyncio.CancelledError:
            if not progress.hands_over():
                await self._stop(work.prompt_id)
            raise
        except ImageServerError as error:
            if not error.transient:
                self._found_model = ""  # it may be gone from the server
            raise
        work.tell(1.0)
        return self._picture(content, order, nodes)

    async def check(self) -> None:
        """Return if a ComfyUI answers; see ``ImageServer.check``."""
        await self._api.look()

    async def close(self) -> None:
        """Nothing here is its own: the connections are the process's."""

    async def _values(self, order: PictureOrder) -> Values:
        model = self._options.model or self._found_model
        if not model and self._graph.asks_for_model:
            model = self._found_model = await self._api.first_checkpoint()
        sampler, scheduler = comfy_sampler(self._options.sampler)
        return Values(
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            seed=order.seed,
            width=order.width,
            height=order.height,
            steps=self._options.steps,
            cfg_scale=self._options.cfg_scale,
            sampler=sampler,
            scheduler=scheduler,
            model=model,
        )

    async def _earlier(self, ticket: str, nodes: Nodes, work: _Work) -> bytes | None:
        """Return the picture of an earlier attempt, None if there is none and none to come."""
        ended = await self._api.ended(ticket)
        if ended is None:
            place = await self._api.place(ticket)
            if place is None:
                ended = await self._api.ended(ticket)  # it may have ended between the two looks
            else:
                work.prompt_id = ticket
                follower = Follower(Share(weights(nodes), work.tell), ticket)
                async with self._socket.heard_by(follower, place.client_id or str(uuid.uuid4())):
                    return await self._fetched(await self._end(follower))
        if ended is None or ended.failure is not None or not ended.files:
            return None
        return await self._content(ended)

    async def _new(self, nodes: Nodes, work: _Work) -> Ended:
        """Ask for the picture and wait for its end."""
        client_id, chosen = str(uuid.uuid4()), str(uuid.uuid4())
        await work.keep_ticket(chosen)
        follower = Follower(Share(weights(nodes), work.tell), chosen)
        async with self._socket.heard_by(follower, client_id):
            work.prompt_id = chosen
            named = await self._api.post(nodes, client_id=client_id, prompt_id=chosen)
            if named != chosen:
                work.prompt_id = follower.prompt_id = named
                await work.keep_ticket(named)
            return await self._end(follower)

    async def _end(self, follower: Follower) -> Ended:
        """Wait for the end of the work; raises what went wrong with it."""
        misses = looks = 0
        while True:
            try:
                ended = await self._look(
                    follower.prompt_id, into_queue=looks % _LOOKS_FOR_QUEUE == _FIRST_LOOK
                )
                misses = 0
            except ImageServerError as error:
                ended = None
                misses += 1
                if misses == _MISSES or not error.transient:
                    raise
            wrong = follower.failure or (ended.failure if ended else None)
            if wrong is not None:
                raise wrong
            if ended is not None:
                return ended
            looks += 1
            await _pause(follower.news, self._poll)

    async def _look(self, prompt_id: str, *, into_queue: bool) -> Ended | None:
        ended = await self._api.ended(prompt_id)
        if ended is None and into_queue and await self._api.place(prompt_id) is None:
            ended = await self._api.ended(prompt_id)  # it may have ended between the two looks
            if ended is None:
                return Ended(failure("image_server_error", detail="the server has forgotten the work"), ())
        return ended

    async def _fetched(self, ended: Ended) -> bytes:
        content = await self._content(ended)
        if content is None:
            raise failure("image_server_error", detail="the finished picture is not there any more")
        return content

    async def _content(self, ended: Ended) -> bytes | None:
        """Return the picture of finished work, None if its file is gone; saved ones before previews."""
        for kind in ("output", "temp"):
            for file in ended.files:
                if file.type == kind:
                    return await self._api.view(file)
        raise failure("image_empty", detail="no node has saved a picture")

    async def _stop(self, prompt_id: str) -> None:
        with contextlib.suppress(ImageServerError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                if prompt_id:
                    await self._api.stop(prompt_id)

    def _picture(self, content: bytes, order: PictureOrder, nodes: Nodes) -> Picture:
        """Say what was used: an operator's graph may have steps, seed and more of its own."""
        sampler, _ = comfy_sampler(self._options.sampler)
        used = first_text(nodes, "sampler_name")
        seed = first_number(nodes, "seed", "noise_seed")
        steps = first_number(nodes, "steps")
        return Picture(
            content=content,
            seed=seed if seed is not None and 0 <= seed <= _HIGHEST_SEED else order.seed,
            model=plain(first_text(nodes, "ckpt_name", "unet_name"), longest=_LONGEST_NAME),
            sampler=self._options.sampler if used == sampler else plain(used, longest=_LONGEST_NAME),
            steps=steps if steps is not None and 0 <= steps <= _MOST_STEPS else 0,
        )


async def _pause(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, but not longer than this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
    news.clear()
