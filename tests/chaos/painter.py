"""An AUTOMATIC1111 that notes whom it served, and who called while another one still waited."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping

from tests.fakes.a1111 import INTERRUPT, TXT2IMG, FakeA1111
from tests.fakes.http_server import Request
from tests.fakes.llm_script import Script


class BusyPainter(FakeA1111):
    """Takes a little time for each picture.

    ``served`` counts the calls for each seed: each request for a picture has one of its own.
    ``together`` are pairs of calls, the later one of which came while the caller of the earlier one was still
    there: a process that is killed is gone at once, as its connections are, though the server goes on with
    its picture (``overlaps``).
    ``stopped`` are the seeds of the pictures that were worked on when somebody interrupted the server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slowest = 0.1  # seconds
        self.stopped: set[int] = set()
        self._seed: int | None = None
        self._turn = asyncio.Lock()  # as the server's own, but it tells whose turn it is
        self.served: Counter[int] = Counter()
        self.together: list[tuple[int, int]] = []
        self._callers: set[int] = set()
        self._random = random.Random(1)

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests.clear()
        self.served.clear()
        self.together.clear()
        self.stopped.clear()
        self.overlaps = 0

    async def respond(self, request: Request) -> Script:
        """Answer as usual, and count."""
        if request.path == INTERRUPT and self._seed is not None:
            self.stopped.add(self._seed)
        if request.path != TXT2IMG:
            return await super().respond(request)
        self.requests.clear()  # thousands would fill the memory
        seed = request.body["seed"]
        assert isinstance(seed, int)
        self.served[seed] += 1
        self.seconds = self._random.uniform(0, self.slowest)
        self.together += [(each, seed) for each in self._callers]
        self._callers.add(seed)
        try:
            return await super().respond(request)
        finally:
            self._callers.discard(seed)

    async def _work(self, body: Mapping[str, object]) -> Script:
        async with self._turn:
            seed = body["seed"]
            assert isinstance(seed, int)
            self._seed = seed
            try:
                return await super()._work(body)
            finally:
                self._seed = None
