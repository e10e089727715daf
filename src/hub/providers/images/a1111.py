"""AUTOMATIC1111's web UI and Forge, by their /sdapi/v1.

Such a server works on one picture at a time and knows no ids: progress and interruption concern whatever it
works on, so calls must not overlap, and an answer that was lost cannot be asked for again.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
from msgspec import Struct

from hub.providers.http.breaker import Breaker
from hub.providers.http.client import HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool
from hub.providers.images.content import plain, read_base64, unread
from hub.providers.images.exchange import MAX_BYTES, exchange
from hub.providers.images.failures import failure
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServerError, Picture, PictureOrder, Progress
from hub.providers.images.samplers import SamplerName, is_about_samplers, ways_to_name

POLL_SECONDS = 1.0
STOP_SECONDS = 2.0
_CHECK_SECONDS = 5.0
_SMALL = 4 * 1024 * 1024  # bytes of an answer that is neither a picture nor an error
_LARGE = 256 * 1024  # a body from here on is read beside the event loop
_LONGEST_NAME = 200
_HIGHEST_SEED = 2**32 - 1
_MOST_STEPS = 10_000
_PROGRESS = "/sdapi/v1/progress?skip_current_image=true"


class _Made(Struct):
    images: list[str | None] | None = None
    info: object = None


class _Done(Struct):
    progress: float


class A1111:
    """An ``ImageServer``. Its key is "user:password" (``--api-auth``) or a bearer's, for a proxy before it.

    ``timeout`` is in seconds for a whole picture; when it is over, or the call is cancelled, the server is
    told to stop and has ``stop_seconds`` to do so. ``options``'s model is loaded and stays loaded. Tickets
    are neither given nor heeded.
    """

    provider = "a1111"

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        *,
        options: Options,
        timeout: float,
        breaker: Breaker,
        poll_seconds: float = POLL_SECONDS,
        stop_seconds: float = STOP_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._client = HttpClient(endpoint, pool, breaker)
        self._options = options
        self._timeout = timeout
        self._poll_seconds = poll_seconds
        self._stop_seconds = stop_seconds
        self._max_bytes = max_bytes
        self._samplers = ways_to_name(options.sampler)
        self._turn = asyncio.Lock()  # one that is cancelled holds the next up until the server has stopped

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture; see ``ImageServer.make``."""
        del ticket
        async with self._turn:
            return await self._make_alone(order, progress)

    async def _make_alone(self, order: PictureOrder, progress: Progress) -> Picture:
        working = asyncio.ensure_future(self._make(order))
        watching = asyncio.ensure_future(self._watch(progress))
        try:
            await asyncio.wait({working}, timeout=self._timeout)
            if working.done():
                return working.result()
            raise failure("image_timeout", detail="the whole picture took too long")
        finally:
            watching.cancel()
            try:
                if not working.done():  # given up, or cancelled
                    await self._interrupt(working)
            finally:
                working.cancel()
                await asyncio.gather(working, watching, return_exceptions=True)

    async def check(self) -> None:
        """Ask for the options: cheap, and there on both kinds; raises ``ImageServerError``."""
        seconds = min(self._timeout, _CHECK_SECONDS)
        answer = await exchange(
            self._client, "GET", "/sdapi/v1/options", seconds=seconds, max_bytes=_SMALL, looking=True
        )
        if not answer.ok:
            raise answer.failure()
        if not answer.body.lstrip().startswith(b"{"):
            raise failure("image_bad_answer", detail="the options are no JSON")

    async def close(self) -> None:
        """Nothing is its own."""

    async def _make(self, order: PictureOrder) -> Picture:
        """Ask, in words that the server knows."""
        refused = failure("image_bad_request")
        for number, name in enumerate(self._samplers):
            body = msgspec.json.encode(self._request(order, name))
            answer = await exchange(
                self._client,
                "POST",
                "/sdapi/v1/txt2img",
                body,
                seconds=self._timeout + self._stop_seconds,  # ``make`` gives up, and says so to the server
                max_bytes=self._max_bytes,
            )
            if answer.ok:
                self._samplers = self._samplers[number:]  # only what worked is remembered
                if len(answer.body) > _LARGE:
                    return await asyncio.to_thread(self._read, answer.body, order, name)
                return self._read(answer.body, order, name)
            refused = answer.failure()
            if not is_about_samplers(answer.status, answer.body):
                break
        raise refused

    def _request(self, order: PictureOrder, name: SamplerName) -> dict[str, object]:
        request: dict[str, object] = {
            "prompt": order.prompt,
            "negative_prompt": order.negative_prompt,
            "seed": order.seed,
            "width": order.width,
            "height": order.height,
            "steps": self._options.steps,
            "cfg_scale": self._options.cfg_scale,
            "batch_size": 1,
            "n_iter": 1,
            "send_images": True,
            "save_images": False,
            **name.fields(),
        }
        if self._options.model:
            request["override_settings"] = {"sd_model_checkpoint": self._options.model}
            request["override_settings_restore_afterwards"] = False  # else it is loaded for each picture
        return request

    def _read(self, body: bytes, order: PictureOrder, name: SamplerName) -> Picture:
        """Read the answer: the first picture that is no grid, and what the server says that it did."""
        try:
            made = _made.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise unread(body) from None
        info = _read_info(made.info)
        images = made.images or []
        first = info.get("index_of_first_image")
        if isinstance(first, int) and 0 < first < len(images):
            images = images[first:]
        if not images or not images[0]:
            raise failure("image_empty")
        model = plain(info.get("sd_model_name"), longest=_LONGEST_NAME)
        return Picture(
            content=read_base64(images[0]),
            seed=_number(info.get("seed"), _HIGHEST_SEED, order.seed),
            model=model or self._options.model or "",
            sampler=name.used(plain(info.get("sampler_name"), longest=_LONGEST_NAME)),
            steps=_number(info.get("steps"), _MOST_STEPS, self._options.steps),
        )

    async def _watch(self, progress: Progress) -> None:
        """Tell how far the server is, for as long as it works for us; failures do not matter."""
        told = 0.0
        while True:
            await asyncio.sleep(self._poll_seconds)
            with contextlib.suppress(
                ImageServerError, msgspec.DecodeError, UnicodeDecodeError, RecursionError
            ):
                answer = await exchange(
                    self._client, "GET", _PROGRESS, seconds=_CHECK_SECONDS, max_bytes=_SMALL, looking=True
                )
                share = min(_done.decode(answer.body).progress, 1.0) if answer.ok else 0.0
                if share > told:  # it falls back to 0 between pictures
                    told = share
                    progress.tell(share)

    async def _interrupt(self, working: asyncio.Future[Picture]) -> None:
        """Tell the server to stop, and give it a moment to do so: the next call must not overlap."""
        with contextlib.suppress(ImageServerError, TimeoutError):
            async with asyncio.timeout(self._stop_seconds):
                answer = await exchange(
                    self._client,
                    "POST",
                    "/sdapi/v1/interrupt",
                    b"{}",
                    seconds=self._stop_seconds,
                    max_bytes=_SMALL,
                    looking=True,
                )
                if answer.ok:
                    await asyncio.wait({working})


_made = msgspec.json.Decoder(_Made)
_done = msgspec.json.Decoder(_Done)


def _read_info(told: object) -> dict[str, object]:
    """Read what stands under "info": JSON in a string, or the object itself; {} for anything else."""
    if isinstance(told, str):
        try:
            told = msgspec.json.decode(told)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return {}
    return told if isinstance(told, dict) else {}


def _number(told: object, highest: int, ordered: int) -> int:
    fits = isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= highest
    return told if fits and isinstance(told, int) else ordered
